"""Image files of the embedded web: pixels or nothing in, bytes out. The traps are made here too.

Equal arguments give equal bytes with one version of Pillow.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib

from beam_jobs.world.drawing import Pixels, draw
from beam_jobs.world.rows import Row, Stored

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
BOMB_SIDE = 20_000  # 400 million pixels in some 50 KB
_EXIF_ORIENTATION = 0x0112
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
DATA_URL = "data:image/gif;base64," + base64.b64encode(_PIXEL).decode()


def encode(pixels: Pixels, stored: Stored) -> bytes:
    """The picture as a file. An orientation other than 1 stores it turned, so that applying it turns it back."""
    from PIL import Image

    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    if stored.format == "JPEG":
        turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
        if stored.orientation in turn:
            exif = Image.Exif()
            exif[_EXIF_ORIENTATION] = stored.orientation
            image = image.transpose(turn[stored.orientation])
            image.save(buffer, "JPEG", quality=stored.quality, exif=exif)
        else:
            image.save(buffer, "JPEG", quality=stored.quality)
    elif stored.format == "PNG":
        image.save(buffer, "PNG", compress_level=2)
    elif stored.format == "WEBP":
        image.save(buffer, "WEBP", quality=stored.quality, method=0)
    else:
        image.quantize(128, method=Image.Quantize.FASTOCTREE).save(buffer, "GIF", optimize=False)
    return buffer.getvalue()


def file_of(row: Row) -> bytes | None:
    """The bytes behind a row's URL, or None where nothing is served."""
    if row.fate in ("missing_file", "data_url", "javascript", "no_source", "broken_url"):
        return None
    if row.fate == "svg":
        return _svg()
    if row.fate == "html":
        return b"<!doctype html><html><head><title>Moved</title></head><body>This image has moved.</body></html>\n"
    if row.fate == "pixel":
        return _PIXEL
    if row.fate == "no_bytes":
        return b""
    if row.fate == "bomb":
        return bomb(BOMB_SIDE)
    data = encode(draw(row.scene, row.stored.longer), row.stored)
    return data[: len(data) // 2] if row.fate == "cut_short" else data


def bomb(side: int) -> bytes:
    """A valid PNG of side x side white pixels, one bit each, in very few bytes."""
    packer = zlib.compressobj(9)
    line = b"\x00" + b"\xff" * ((side + 7) // 8)
    stack = line * 100
    packed = b"".join([packer.compress(stack) for _ in range(side // 100)] + [packer.compress(line * (side % 100))])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", packed + packer.flush()), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _svg() -> bytes:
    return (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        b'<circle cx="50" cy="50" r="40" fill="teal"/></svg>\n'
    )
