"""The size that a JPEG XL file announces, before a decoder sees it: its plug-in decodes as soon as it opens.

In: a file's bytes, a bare codestream or a container of boxes. Out: width and height as stored, or None.
"""

from __future__ import annotations

from collections.abc import Iterator

_CODESTREAM = b"\xff\x0a"
_BOX_WITH_NUMBER = b"jxlp"
_HOLDERS = (b"jxlc", _BOX_WITH_NUMBER)
_MOST_BOXES = 1_000
_HEADER_BYTES = 16
_SIZE_BITS = (9, 13, 18, 30)
# ratio code -> width : height
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")
        self._count = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._count:
            raise EOFError("the header ends early")
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        self._count -= count
        return value


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the image, None where no header is found."""
    start = 0 if data.startswith(_CODESTREAM) else _codestream_start(data)
    if start is None or data[start : start + 2] != _CODESTREAM:
        return None
    bits = _Bits(data[start + 2 : start + 2 + _HEADER_BYTES])
    try:
        small = bits.take(1) == 1
        height = _side(bits, small=small)
        ratio = bits.take(3)
        width = height * _RATIOS[ratio][0] // _RATIOS[ratio][1] if ratio else _side(bits, small=small)
    except EOFError:
        return None
    return width, height


def _side(bits: _Bits, *, small: bool) -> int:
    """A side: a multiple of eight up to 256, or one more than a number of as many bits as two bits say."""
    return 8 * (1 + bits.take(5)) if small else 1 + bits.take(_SIZE_BITS[bits.take(2)])


def _codestream_start(data: bytes) -> int | None:
    """Where the codestream, or its first part, begins in a container."""
    for kind, body in _boxes(data):
        if kind in _HOLDERS:
            return body + 4 if kind == _BOX_WITH_NUMBER else body
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each box's kind, and where its contents begin."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(data):
            return
        size, kind, body = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, body = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        yield kind, body
        if size < body - at:
            return
        at += size
