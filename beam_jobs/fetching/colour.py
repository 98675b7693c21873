"""Colours to sRGB: ICC profiles, CMYK, palettes, transparency on white, 16 bit.

In: an image opened by Pillow, or an array with its profile. Out: 8-bit arrays, BGR or gray.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageCms

from beam_jobs.fetching.resize import Pixels

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
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
    image = Image.fromarray(np.ascontiguousarray(raw.pixels), raw.mode)
    image = image.convert("RGB") if transform is None else ImageCms.applyTransform(image, transform) or image
    pixels = np.asarray(image)
    if raw.mode == "L":
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def flatten(image: Image.Image) -> Raw:
    """An opened image of any mode as one of three, without transparency and at 8 bits."""
    icc = image.info.get("icc_profile")
    icc = icc if isinstance(icc, bytes) and icc else None
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        return Raw(np.asarray(_on_white(image)), "RGB", icc)
    if image.mode.startswith("I") or image.mode == "F":
        return Raw(_eight_bits(image), "L", None)
    if image.mode == "1":
        return Raw(np.asarray(image.convert("L")), "L", None)
    if image.mode in _SPACES:
        return Raw(np.asarray(image), image.mode, icc)
    return Raw(np.asarray(image.convert("RGB")), "RGB", icc if image.mode in ("P", "RGBX") else None)


def _on_white(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
    white.alpha_composite(clear)
    return white.convert("RGB")


def _eight_bits(image: Image.Image) -> Pixels:
    """16-bit, 32-bit and floating gray: the full range of the mode, or of the values where they exceed it."""
    values = np.asarray(image).astype(np.float32)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    if image.mode == "F":
        top = 1.0 if values.size and values.min() >= 0 and values.max() <= 1 else 255.0
    else:
        top = 65535.0
    return np.rint(values.clip(0, top) * (255.0 / top)).astype(np.uint8)
