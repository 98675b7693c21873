"""Where reading goes on in an archive behind a damaged record, and where the records in it end.

In: a seekable binary file, and how far reading came. Out: the offset of the next record; damage is reported by its own.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import IO, Any

import zstandard

_BEGINNING = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|WARC/[01]\.\d{1,2}\r?\n[A-Za-z-]{1,40}:")
_LENGTH = re.compile(rb"\r?\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r?\n", re.IGNORECASE)
_UNREADABLE = (zlib.error, zstandard.ZstdError)
_WARC = b"WARC/"
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_WINDOW = 1_048_576
_LONGEST_MARK = 64
_LOOK = 8_192


def resume(
    file: IO[bytes],
    position: int,
    last: int | None,
    failure: str | None,
    short: bool,
    bad: Callable[[int, str], None],
) -> int | None:
    """Where to go on after a round that began at `position` and saw its last record at `last`; None at the end.

    short: the last record itself was not whole.
    """
    size = file.seek(0, 2)
    if last is None:
        if position < size:
            bad(position, failure or "no record begins here")
            return _next_record(file, position + 1)
        return None
    end = None if short else record_end(file, last)
    if end is not None and end <= size:
        following = end if failure is None else _next_record(file, last + 1)
        if following is not None and following < end:
            if _is_plain(file, last):
                bad(last, f"the record reaches into the next: {failure}")
                return following
            following = end
        return end if end < size and not only_padding(file, end, size) else None
    if failure is None:
        return None
    bad(last, failure)
    return _next_record(file, last + 1)


def _is_plain(file: IO[bytes], offset: int) -> bool:
    file.seek(offset)
    return file.read(len(_WARC)) == _WARC


def only_padding(file: IO[bytes], offset: int, size: int) -> bool:
    """Whether only line ends follow, as some writers leave."""
    if size - offset > _LOOK:
        return False
    file.seek(offset)
    return not file.read(_LOOK).strip(b"\r\n")


def record_end(file: IO[bytes], offset: int) -> int | None:
    """The end of the record at an offset by its own account; None where it is damaged, or none begins here."""
    file.seek(offset)
    chunk = file.read(_LOOK)
    if chunk.startswith(_WARC):
        header, gap, _ = chunk.partition(b"\r\n\r\n")
        length = _LENGTH.search(header + b"\r\n")
        return offset + len(header) + len(gap) + int(length[1]) + 4 if gap and length else None
    try:
        if chunk.startswith(_GZIP):
            return _member_end(file, offset, chunk, zlib.decompressobj(31))
        if chunk.startswith(_ZSTD):
            return _member_end(file, offset, chunk, zstandard.ZstdDecompressor().decompressobj())
    except _UNREADABLE:
        return None
    return None


def _member_end(file: IO[bytes], offset: int, chunk: bytes, member: Any) -> int | None:
    while chunk and not member.eof:
        offset += len(chunk)
        member.decompress(chunk)
        chunk = b"" if member.eof else file.read(_LOOK)
    return offset - len(member.unused_data) if member.eof else None


def _next_record(file: IO[bytes], offset: int) -> int | None:
    """The next place, at or after an offset, where a record begins."""
    while True:
        file.seek(offset)
        window = file.read(_WINDOW)
        for mark in _BEGINNING.finditer(window):
            place = offset + mark.start()
            if mark[0].startswith(_WARC) or _holds_record(file, place):
                return place
        if len(window) < _WINDOW:
            return None
        offset += _WINDOW - _LONGEST_MARK


def _holds_record(file: IO[bytes], place: int) -> bool:
    """Whether what is compressed here begins as a record."""
    file.seek(place)
    data = file.read(_LOOK)
    try:
        if data.startswith(_GZIP):
            return zlib.decompressobj(31).decompress(data, _LONGEST_MARK).startswith(_WARC)
        return zstandard.ZstdDecompressor().stream_reader(data).read(_LONGEST_MARK).startswith(_WARC)
    except _UNREADABLE:
        return False
