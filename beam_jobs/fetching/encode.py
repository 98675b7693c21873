"""Pixels to the bytes of a file: JPEG, WebP or PNG, as OpenCV writes them.

In: an array, BGR or gray, and options. Out: encoded bytes.
"""

from __future__ import annotations

import cv2

from beam_jobs.fetching.resize import Pixels
from schemas.download import DownloadSection
from schemas.reasons import Failed

_QUALITY = {
    "jpg": cv2.IMWRITE_JPEG_QUALITY,
    "webp": cv2.IMWRITE_WEBP_QUALITY,
    "png": cv2.IMWRITE_PNG_COMPRESSION,
}
LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383, "png": 1_000_000}


def check_encodable(width: int, height: int, section: DownloadSection) -> None:
    """Failed when the format, or the pixel cap, does not allow an image of that size."""
    longest = LONGEST_SIDE[section.encode_format]
    if max(width, height) > longest or width * height > section.max_pixels:
        raise Failed("too_many_pixels", f"an image of {width} x {height} pixels cannot be stored")


def encode(pixels: Pixels, section: DownloadSection) -> bytes:
    """The file's bytes."""
    parameters = [int(_QUALITY[section.encode_format]), section.quality]
    done, data = cv2.imencode(f".{section.encode_format}", pixels, parameters)
    if not done:
        raise Failed("decode_error", f"an image of shape {pixels.shape} cannot be written")
    return data.tobytes()
