"""The EXIF of an image as a flat JSON object of strings, in the manner of img2dataset's column.

In: a TIFF block, or what Pillow parsed. Out: JSON with keys such as `Image Make` and `EXIF ExposureTime`, without
thumbnails and maker notes, and without positions and serial numbers unless asked for; the orientation, 1 to 8.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

_LONGEST = 1_000
_GPS = int(ExifTags.IFD.GPSInfo)
_EXIF = int(ExifTags.IFD.Exif)
_POINTERS = frozenset({_GPS, _EXIF, int(ExifTags.IFD.Interop), 0x014A})
_OPAQUE = frozenset({0x927C, 0x8773, 0x02BC, 0x83BB, 0x8649, 0xC4A5, 0x0111, 0x0117, 0x0144, 0x0145, 0x015B})
_PRIVATE_WORDS = ("serial", "gps", "owner", "uniqueid")
ORIENTATION = 0x0112


def tiff_orientation(block: bytes) -> int:
    """The orientation in the first directory of a TIFF block, 1 where it has none that counts."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    try:
        if order is None:
            return 1
        start = struct.unpack_from(order + "I", block, 4)[0]
        for entry in range(struct.unpack_from(order + "H", block, start)[0]):
            tag, kind, count = struct.unpack_from(order + "HHI", block, start + 2 + 12 * entry)
            if tag == ORIENTATION:
                value = struct.unpack_from(order + ("H" if kind == 3 else "I"), block, start + 10 + 12 * entry)[0]
                return value if count == 1 and kind in (3, 4) and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def exif_json(block: bytes | None, *, location: bool) -> str:
    """The column's value for a TIFF block; `{}` where there is none or it cannot be read."""
    if not block:
        return "{}"
    exif = Image.Exif()
    try:
        exif.load(b"Exif\0\0" + block)
        return json.dumps(_flat(exif, location=location))
    except (
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        OSError,
        struct.error,
        EOFError,
    ):
        return "{}"


def pillow_exif_json(image: Image.Image, *, location: bool) -> str:
    """The same of an image opened by Pillow, whatever its format."""
    try:
        return json.dumps(_flat(image.getexif(), location=location))
    except (
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        OSError,
        struct.error,
        EOFError,
    ):
        return "{}"


def _flat(exif: Image.Exif, *, location: bool) -> dict[str, str]:
    found = _named("Image", dict(exif), ExifTags.TAGS, location=location)
    if _EXIF in exif:
        found.update(_named("EXIF", exif.get_ifd(_EXIF), ExifTags.TAGS, location=location))
    if location and _GPS in exif:
        found.update(_named("GPS", exif.get_ifd(_GPS), ExifTags.GPSTAGS, location=True))
    return found


def _named(folder: str, tags: Mapping[int, Any], names: Mapping[int, str], *, location: bool) -> dict[str, str]:
    found = {}
    for tag, value in sorted(tags.items()):
        name = names.get(tag, f"Tag 0x{tag:04X}")
        private = any(word in name.lower() for word in _PRIVATE_WORDS)
        if tag in _POINTERS or tag in _OPAQUE or (private and not location):
            continue
        text = _text(value)
        if text:
            found[f"{folder} {name}"] = text[:_LONGEST]
    return found


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        text = value.removeprefix(b"ASCII\0\0\0").rstrip(b"\0 ").decode("utf-8", "replace")
        return text.strip() if text.isprintable() else ""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_text(item) for item in value[:64]) + "]"
    return str(value).replace("\0", "").strip()
