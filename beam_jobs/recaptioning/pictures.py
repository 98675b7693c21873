"""Stored pictures as they are sent to a model: no larger than it takes.

In: the bytes of a stored picture and the side that is enough. Out: the same bytes where they will do, else a JPEG whose
shorter side is that long; with their media type. What a picture is called in a request's digest depends on the stored
bytes and the side alone, so that it is known before anything is decoded.
"""

from __future__ import annotations

import hashlib
import struct
from io import BytesIO

from PIL import Image

from filters.rgb import in_rgb
from schemas.reasons import Failed

_MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_QUALITY = 95
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


def picture_id(data: bytes, side: int | None) -> str:
    digest = hashlib.sha256(data).hexdigest()
    return digest if side is None else f"{digest}@{side}"


def picture_for(data: bytes, side: int | None) -> tuple[bytes, str]:
    """Raises Failed where the stored bytes are no picture."""
    try:
        image = Image.open(BytesIO(data))
        shorter = min(image.size)
        if (side is None or shorter <= side) and image.format in _MEDIA_TYPES:
            return data, _MEDIA_TYPES[image.format]
        scale = 1.0 if side is None else min(1.0, side / shorter)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image.draft("RGB", size)
        scaled = in_rgb(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    except _UNREADABLE as error:
        raise Failed("caption_failed", f"the stored picture cannot be read: {type(error).__name__}") from error
    written = BytesIO()
    scaled.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue(), _MEDIA_TYPES["JPEG"]
