"""What bytes are, by their first ones, and what a JPEG's segments say, before any decoder sees them.

In: a file's bytes. Out: a format's name or None; JpegHeader.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

RASTERS = frozenset({"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC", "JXL"})
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def sniff(data: bytes) -> str | None:
    """JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC, JXL, SVG; None for anything else."""
    head = data[:64]
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if head.startswith(b"BM"):
        return "BMP"
    if head[4:8] == b"ftyp":
        return _iso_format(data)
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JXL"
    return "SVG" if _is_svg(data) else None


def _iso_format(data: bytes) -> str | None:
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
    if any(brand in _AVIF for brand in brands):
        return "AVIF"
    if any(brand in _HEIC for brand in brands):
        return "HEIC"
    return None


def _is_svg(data: bytes) -> bool:
    """An `<svg` element that comes before any other, behind XML's prologue, doctype and comments."""
    if data[:2] == b"\x1f\x8b":
        return False
    text = data[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    while text.startswith((b"<?", b"<!")):
        if text.startswith(b"<!--"):
            text = text.partition(b"-->")[2].lstrip()
        elif text.startswith(b"<!doctype svg"):
            return True
        else:
            text = text.partition(b">")[2].lstrip()
    name = text[1:].split(b">", 1)[0].split()[:1] if text.startswith(b"<") else []
    return bool(name) and name[0].rstrip(b"/").rpartition(b":")[2] == b"svg"


@dataclass(frozen=True)
class JpegHeader:
    """A JPEG's frame and metadata segments; exif and icc are whole, or None."""

    width: int
    height: int
    components: int
    precision: int
    progressive: bool
    exif: bytes | None
    icc: bytes | None


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """The segments up to the first scan; None where there is no frame header before it."""
    at, end = 2, len(data)
    frame: tuple[int, int, int, int, bool] | None = None
    exif: bytes | None = None
    icc: dict[int, bytes] = {}
    while at + 4 <= end:
        if data[at] != 0xFF:
            at = data.find(b"\xff", at)
            if at < 0:
                break
            continue
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _STANDALONE or marker == 0:
            at += 2
            continue
        if marker in (0xDA, 0xD9):
            break
        length = struct.unpack_from(">H", data, at + 2)[0]
        body = at + 4
        if marker in _FRAMES and frame is None and body + 6 <= end:
            precision, height, width, components = struct.unpack_from(">BHHB", data, body)
            frame = (width, height, components, precision, marker not in (0xC0, 0xC1))
        elif marker == 0xE1 and exif is None and data.startswith(b"Exif\0", body):
            exif = data[body + 6 : at + 2 + length]
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", body) and body + 14 <= end:
            icc.setdefault(data[body + 12], data[body + 14 : at + 2 + length])
        at += 2 + max(length, 2)
    if frame is None:
        return None
    profile = b"".join(icc[number] for number in sorted(icc)) or None
    return JpegHeader(*frame, exif=exif, icc=profile)
