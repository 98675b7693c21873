"""Records of WARC files, gzip per record, zstd or plain: a damaged record costs itself, never the file.

In: a seekable binary file. Out: the records asked for, with their contents and offsets; damage is reported by its
offset. Whole gzip members are read the fast way (see members.py); at anything else FastWARC reads, and where it gives
up, reading goes on at the next place where a record begins.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, Protocol

import zstandard

from beam_jobs.extraction.members import whole_members

_BEGINNING = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|WARC/[01]\.\d{1,2}\r?\n[A-Za-z-]{1,40}:")
_LENGTH = re.compile(rb"\r?\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r?\n", re.IGNORECASE)
_UNREADABLE = (zlib.error, zstandard.ZstdError)
_WARC = b"WARC/"
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GAP = b"\r\n\r\n"
_KIND = b"\r\nWARC-Type: "
_WINDOW = 1_048_576
_LONGEST_MARK = 64
_LOOK = 8_192
_HEAD = 65_536


class Headers(Protocol):
    """The named fields of a record, whatever the case of their names."""

    def get(self, name: str) -> str | None: ...


class Lines:
    """Headers as a record spells them, taken apart when first asked for."""

    def __init__(self, spelled: bytes) -> None:
        self._spelled = spelled

    def get(self, name: str) -> str | None:
        return self._fields.get(name.lower())

    @cached_property
    def _fields(self) -> dict[str, str]:
        lines = (line.partition(":") for line in self._spelled.decode("utf-8", "replace").splitlines()[1:])
        return {name.strip().lower(): value.strip() for name, _, value in lines}


class Record:
    """A record that was read: its block, as far as it was asked for, stands in `data` from `begin` to `end`.

    whole: whether that is all of it.
    """

    __slots__ = ("_head", "begin", "data", "end", "offset", "whole")

    def __init__(
        self, offset: int, head: Headers | None, data: bytes | bytearray, begin: int, end: int, whole: bool = True
    ) -> None:
        self.offset = offset
        self.data = data
        self.begin = begin
        self.end = end
        self.whole = whole
        self._head = head

    @property
    def headers(self) -> Headers:
        if self._head is None:
            self._head = Lines(bytes(self.data[: self.begin]))
        return self._head

    @property
    def content(self) -> bytes:
        """The block."""
        if self.begin == 0 and isinstance(self.data, bytes):
            return self.data
        return bytes(memoryview(self.data)[self.begin : self.end])


@dataclass(frozen=True)
class Wanted:
    """Which records to read. kinds: their WARC types. worth: whether a record is to be read on, by its headers and
    the first 64 KiB of its block or more. mark: bytes without which nobody looks at a record: it may be passed over,
    or come all the same. bad(offset, message) is called for each stretch that could not be read, passed(number) for
    records passed over."""

    kinds: Collection[str]
    bad: Callable[[int, str], None]
    max_bytes: int
    worth: Callable[[Headers, bytes], bool] | None = None
    mark: bytes = b""
    passed: Callable[[int], None] | None = None


def iter_records(file: IO[bytes], wanted: Wanted) -> Iterator[Record]:
    """The wanted records in file order, their blocks up to max_bytes."""
    position: int | None = 0
    patience = 1
    while position is not None:
        stopped = yield from _whole_records(file, position, wanted)
        if stopped is None or (stopped and _only_padding(file, stopped, file.seek(0, 2))):
            return
        patience = 1 if stopped > position else patience * 2
        position = yield from _careful_records(file, stopped, patience, wanted)


def _whole_records(file: IO[bytes], position: int, wanted: Wanted) -> Generator[Record, None, int | None]:
    """Records that are whole members and spelled as usual. Returns where something else stands; None at the end."""
    kinds = {kind.encode() for kind in wanted.kinds}
    worth, max_bytes, mark = wanted.worth, wanted.max_bytes, wanted.mark
    unread = tuple(b"WARC/1.0\r\nWARC-Type: %b\r\n" % kind for kind in kinds) if wanted.passed else ()
    passed = 0
    members = whole_members(file, position, max_bytes=max_bytes + _HEAD)
    try:
        while True:
            offset, data = next(members)
            if unread and mark not in data and data.startswith(unread):
                passed += 1
                continue
            end = data.find(_GAP)
            head = data[: end + 2]
            length = len(data) - end - 2 * len(_GAP)
            start = head.find(_KIND) + len(_KIND)
            if (
                not data.startswith(_WARC)
                or not data.endswith(_GAP)
                or start < len(_KIND)
                or length > max_bytes
                or b"\r\nContent-Length: %d\r\n" % length not in head
            ):
                return offset
            kind = bytes(head[start : head.find(b"\r", start)])
            if kind in kinds:
                record = Record(offset, None, data, end + len(_GAP), len(data) - len(_GAP))
                if worth is None or worth(record.headers, record.content):
                    yield record
            elif not kind.islower():
                return offset
    except StopIteration as stop:
        return stop.value
    finally:
        if wanted.passed is not None and passed:
            wanted.passed(passed)


def _careful_records(
    file: IO[bytes], position: int, patience: int, wanted: Wanted
) -> Generator[Record, None, int | None]:
    """Records as FastWARC reads them, so many where they are gzip members, all that follow otherwise.

    Returns where to go on; None at the end.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    kinds = {int(getattr(WarcRecordType, kind)) for kind in wanted.kinds}
    last: int | None = None
    failure: str | None = None
    short = False
    begun = 0
    file.seek(position)
    turning = file.read(len(_GZIP)) == _GZIP
    file.seek(position)
    try:
        for record in ArchiveIterator(file, parse_http=False):
            if turning and begun == patience and last is not None:
                here = file.tell()
                if _record_end(file, last) == record.stream_pos:
                    return int(record.stream_pos)
                file.seek(here)
                turning = False  # several records in one member
            last = record.stream_pos
            begun += 1
            if int(record.record_type) not in kinds:
                continue
            length = record.content_length
            asked = min(length, wanted.max_bytes)
            content = record.reader.read(asked if wanted.worth is None else min(asked, _HEAD))
            if wanted.worth is not None:
                if not wanted.worth(record.headers, content):
                    continue
                if asked > _HEAD:
                    content += record.reader.read(asked - _HEAD)
            short = len(content) < asked
            if short:
                failure = f"the record ends after {len(content)} of {length} bytes"
                break
            yield Record(record.stream_pos, record.headers, content, 0, len(content), asked == length)
    except (OSError, ValueError, EOFError) as error:
        failure = f"{type(error).__name__}: {error}"
    return _resume(file, position, last, failure, short, wanted.bad)


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
