"""Records of WARC files, gzip per record, zstd or plain: a damaged record costs itself, never the file.

In: a seekable binary file. Out: the records asked for, with their contents and offsets; damage is reported by its
offset. FastWARC reads; where it gives up, reading goes on at the next place where a record begins.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_BEGINNING = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|WARC/[01]\.\d{1,2}\r?\n[A-Za-z-]{1,40}:")
_LENGTH = re.compile(rb"\r?\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r?\n", re.IGNORECASE)
_UNREADABLE = (zlib.error, zstandard.ZstdError)
_WARC = b"WARC/"
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_WINDOW = 1_048_576
_LONGEST_MARK = 64
_LOOK = 8_192
_HEAD = 65_536


@dataclass(slots=True)
class Record:
    """A record that was read: `content` is its block, as far as it was asked for; `whole` says whether that is all."""

    offset: int
    record: Any
    content: bytes
    whole: bool


def iter_records(
    file: IO[bytes],
    *,
    wanted: Callable[[WarcRecord], bool],
    bad: Callable[[int, str], None],
    max_bytes: int,
    worth: Callable[[bytes], bool] | None = None,
) -> Iterator[Record]:
    """The wanted records in file order.

    bad(offset, message) is called for each stretch that could not be read. worth: whether the rest of a block is to
    be read, by its first 64 KiB; without it every wanted block is read, up to max_bytes.
    """
    from fastwarc.warc import ArchiveIterator

    position: int | None = 0
    while position is not None:
        last: int | None = None
        failure: str | None = None
        short = False
        file.seek(position)
        try:
            for record in ArchiveIterator(file, parse_http=False):
                last = record.stream_pos
                if not wanted(record):
                    continue
                length = record.content_length
                asked = min(length, max_bytes)
                content = record.reader.read(asked if worth is None else min(asked, _HEAD))
                if worth is not None:
                    if not worth(content):
                        continue
                    if asked > _HEAD:
                        content += record.reader.read(asked - _HEAD)
                short = len(content) < asked
                if short:
                    failure = f"the record ends after {len(content)} of {length} bytes"
                    break
                yield Record(last, record, content, asked == length)
        except (OSError, ValueError, EOFError) as error:
            failure = f"{type(error).__name__}: {error}"
        position = _resume(file, position, last, failure, short, bad)


def _resume(
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
    end = None if short else _record_end(file, last)
    if end is not None and end <= size:
        following = end if failure is None else _next_record(file, last + 1)
        if following is not None and following < end:
            if _is_plain(file, last):
                bad(last, f"the record reaches into the next: {failure}")
                return following
            following = end
        return end if end < size and not _only_padding(file, end, size) else None
    if failure is None:
        return None
    bad(last, failure)
    return _next_record(file, last + 1)


def _is_plain(file: IO[bytes], offset: int) -> bool:
    file.seek(offset)
    return file.read(len(_WARC)) == _WARC


def _only_padding(file: IO[bytes], offset: int, size: int) -> bool:
    """Whether only line ends follow, as some writers leave."""
    if size - offset > _LOOK:
        return False
    file.seek(offset)
    return not file.read(_LOOK).strip(b"\r\n")


def _record_end(file: IO[bytes], offset: int) -> int | None:
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
