"""Colours to sRGB: ICC profiles, CMYK, palettes, transparency on white, 16 bit.

In: an image opened by Pillow, or an array with its profile. Out: 8-bit arrays, BGR or gray.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np
from PIL import Image, ImageCms

from beam_jobs.fetching.resize import Pixels

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_CHANNELS = {"RGB": (3,), "L": (), "CMYK": (4,)}
_STRIP = 4_000_000
_TRANSPARENT = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})


@dataclass(frozen=True)
class Raw:
    """8-bit pixels in one of the modes RGB, L and CMYK, and the profile that gives them meaning."""

    pixels: Pixels
    mode: str
    icc: bytes | None


@lru_cache(maxsize=16)
def _to_srgb(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of a profile; None where it is sRGB already, is broken, or belongs to another mode."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if profile.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        if mode == "RGB" and "srgb" in (profile.profile.profile_description or "").lower():
            return None
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def needs_conversion(icc: bytes | None, mode: str) -> bool:
    """Whether pixels of this mode and profile are anything but sRGB or plain gray."""
    return mode == "CMYK" or (icc is not None and _to_srgb(icc, mode) is not None)


def to_bgr(raw: Raw) -> Pixels:
    """The pixels in sRGB, as OpenCV orders them; gray stays gray."""
    transform = None if raw.icc is None else _to_srgb(raw.icc, raw.mode)
    if transform is None and raw.mode == "L":
        return raw.pixels
    if transform is None and raw.mode == "RGB":
        return cv2.cvtColor(raw.pixels, cv2.COLOR_RGB2BGR)
    image = Image.frombytes(raw.mode, (raw.pixels.shape[1], raw.pixels.shape[0]), raw.pixels.tobytes())
    image = image.convert("RGB") if transform is None else ImageCms.applyTransform(image, transform) or image
    pixels = np.asarray(image)
    if raw.mode == "L":
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def flatten(image: Image.Image, shrink: int = 1) -> Raw:
    """A loaded image of any mode as one of three, without transparency and at 8 bits; its sides divided by `shrink`.

    Large images go strip by strip, so that no second whole copy is ever held.
    """
    icc = image.info.get("icc_profile")
    icc = icc if isinstance(icc, bytes) and icc else None
    convert, mode, keeps_profile = _conversion(image)
    rows = max(shrink, _STRIP // image.width // shrink * shrink)
    if shrink == 1 and rows >= image.height:
        return Raw(convert(image), mode, icc if keeps_profile else None)
    width, height = image.width // shrink, image.height // shrink
    pixels = np.empty((height, width, *_CHANNELS[mode]), np.uint8)
    for top in range(0, height * shrink, rows):
        bottom = min(top + rows, height * shrink)
        strip = convert(image.crop((0, top, width * shrink, bottom)))
        if shrink > 1:
            strip = cv2.resize(strip, (width, (bottom - top) // shrink), interpolation=cv2.INTER_AREA)
        pixels[top // shrink : bottom // shrink] = strip
    return Raw(pixels, mode, icc if keeps_profile else None)


def _conversion(image: Image.Image) -> tuple[Callable[[Image.Image], Pixels], str, bool]:
    """How pixels of an image's mode become those of ours, which mode that is, and whether its profile is of it."""
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        return _on_white, "RGB", True
    if image.mode.startswith("I") or image.mode == "F":
        return partial(_eight_bits, top=_top(image)), "L", False
    if image.mode == "1":
        return partial(_converted, mode="L"), "L", False
    if image.mode in _SPACES:
        return np.asarray, image.mode, True
    return partial(_converted, mode="RGB"), "RGB", image.mode in ("P", "RGBX")


def _converted(image: Image.Image, mode: str) -> Pixels:
    return np.asarray(image.convert(mode))


def _on_white(image: Image.Image) -> Pixels:
    clear = image.convert("RGBA")
    white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
    white.alpha_composite(clear)
    return np.asarray(white.convert("RGB"))


def _top(image: Image.Image) -> float:
    """The value that is white: of integers that of 16 bits, of fractions 1 where none is above, else 255."""
    if image.mode != "F":
        return 65535.0
    least, most = image.getextrema()
    return 1.0 if least >= 0 and most <= 1 else 255.0  # type: ignore[operator]


def _eight_bits(image: Image.Image, top: float) -> Pixels:
    values = np.nan_to_num(np.asarray(image).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.rint(values.clip(0, top) * (255.0 / top)).astype(np.uint8)
