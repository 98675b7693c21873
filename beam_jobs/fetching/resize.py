"""img2dataset's resize modes: what size an image gets, and getting it there.

In: a displayed size, options; then pixels. Out: a Plan; then an array of the planned size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.download import DownloadSection

Pixels = NDArray[np.uint8]

_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "bilinear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
    "lanczos4": cv2.INTER_LANCZOS4,
}
# (pixels a side for each pixel wanted, up to: samples a side), so that results stay alike to 0.99 (SSIM); 0 where no
# number of samples gives that.
_SAMPLES_A_SIDE = ((1.85, 0), (2.2, 2), (2.6, 0), (3.6, 3), (6.6, 4))
_NEARLY_THREE = (2.95, 3.05)


@dataclass(frozen=True)
class Plan:
    """The size to resize to, by which interpolation, and the square to crop to or to pad to in white (0: neither)."""

    width: int
    height: int
    interpolation: str
    shrinks: bool
    crop: int = 0
    pad: int = 0


def plan_resize(width: int, height: int, section: DownloadSection) -> Plan | None:
    """What is done to an image of this displayed size; None when it stays as it is."""
    if section.resize == "no":
        return None
    size = section.image_size
    side = min(width, height) if section.resize in ("keep_ratio", "center_crop") else max(width, height)
    shrinks = side > size
    if section.resize_only_if_bigger and not shrinks:
        return None
    scale = size / side
    return Plan(
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        interpolation=section.downscale_interpolation if shrinks else section.upscale_interpolation,
        shrinks=shrinks,
        crop=size if section.resize == "center_crop" else 0,
        pad=size if section.resize == "border" else 0,
    )


def scale_to(pixels: Pixels, width: int, height: int, interpolation: str) -> Pixels:
    """An array of that size, with its channels as they were."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return cv2.resize(pixels, (width, height), interpolation=_INTERPOLATIONS[interpolation])


def average_to(pixels: Pixels, width: int, height: int) -> Pixels:
    """Very nearly what INTER_AREA gives, for a shrunk photograph, in half its time or less.

    Each pixel becomes the mean of 2 x 2 to 4 x 4 linearly interpolated samples. One pixel apart they would give an
    area's mean exactly; a little further apart they leave next to nothing out. A mean of 3 x 3 pixels is an area's own
    where three are to become one.
    """
    ratio = max(pixels.shape[1] / width, pixels.shape[0] / height)
    side = next((side for most, side in _SAMPLES_A_SIDE if ratio <= most), 0)
    if _NEARLY_THREE[0] < ratio < _NEARLY_THREE[1]:
        return scale_to(cv2.blur(pixels, (3, 3)), width, height, "linear")
    if not side:
        return scale_to(pixels, width, height, "area")
    samples = scale_to(pixels, side * width, side * height, "linear")
    if side == 3:
        means = cv2.blur(samples, (3, 3), anchor=(0, 0))  # at each corner, the mean of its square
        return scale_to(means, width, height, "nearest")
    if side == 4:
        samples = scale_to(samples, 2 * width, 2 * height, "area")
    return scale_to(samples, width, height, "area")


def frame(pixels: Pixels, plan: Plan) -> Pixels:
    """Cropped to, or padded to, the plan's square."""
    height, width = pixels.shape[:2]
    if plan.crop:
        top, left = (height - plan.crop) // 2, (width - plan.crop) // 2
        return pixels[top : top + plan.crop, left : left + plan.crop]
    if plan.pad and (height, width) != (plan.pad, plan.pad):
        square = np.full((plan.pad, plan.pad, *pixels.shape[2:]), 255, np.uint8)
        top, left = (plan.pad - height) // 2, (plan.pad - width) // 2
        square[top : top + height, left : left + width] = pixels
        return square
    return pixels


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """The pixels as EXIF's orientation says that they are to be seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
