"""Records of WARC files, gzip per record, zstd or plain: a damaged record costs itself, never the file.

In: a seekable binary file. Out: the records asked for, with their contents and offsets; damage is reported by its
offset. Whole gzip members are read the fast way (see members.py); at anything else FastWARC reads, and where it gives
up, reading goes on at the next place where a record begins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Protocol

from beam_jobs.extraction.members import whole_members
from beam_jobs.extraction.resuming import only_padding, record_end, resume

_WARC = b"WARC/"
_GZIP = b"\x1f\x8b\x08"
_GAP = b"\r\n\r\n"
_KIND = b"\r\nWARC-Type: "
_HEAD = 65_536
_SMALL = 8_192  # longer records mostly hold what is looked for: nobody looks twice


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
    the first 64 KiB of its block or more. mark: bytes without which nobody looks at a record that ends with `closing`:
    it may be passed over, or come all the same. bad(offset, message) is called for each stretch that could not be read,
    passed(number) for records passed over."""

    kinds: Collection[str]
    bad: Callable[[int, str], None]
    max_bytes: int
    worth: Callable[[Headers, bytes], bool] | None = None
    mark: bytes = b""
    closing: bytes = b""
    passed: Callable[[int], None] | None = None


def iter_records(file: IO[bytes], wanted: Wanted) -> Iterator[Record]:
    """The wanted records in file order, their blocks up to max_bytes."""
    position: int | None = 0
    patience = 1
    while position is not None:
        stopped = yield from _whole_records(file, position, wanted)
        if stopped is None or (stopped and only_padding(file, stopped, file.seek(0, 2))):
            return
        patience = 1 if stopped > position else patience * 2
        position = yield from _careful_records(file, stopped, patience, wanted)


def _whole_records(file: IO[bytes], position: int, wanted: Wanted) -> Generator[Record, None, int | None]:
    """Records that are whole members and spelled as usual. Returns where something else stands; None at the end."""
    from stringzilla import find

    kinds = {kind.encode() for kind in wanted.kinds}
    worth, max_bytes, mark = wanted.worth, wanted.max_bytes, wanted.mark
    unread = tuple(b"WARC/1.0\r\nWARC-Type: %b\r\n" % kind for kind in kinds) if wanted.passed else ()
    passed = 0
    closing = wanted.closing + _GAP
    members = whole_members(file, position, max_bytes=max_bytes + _HEAD)
    try:
        while True:
            offset, data = next(members)
            if len(data) < _SMALL and find(data, mark) < 0 and data.startswith(unread) and data.endswith(closing):
                passed += 1
                continue
            end = data.find(_GAP)
            length = len(data) - end - 2 * len(_GAP)
            start = data.find(_KIND, 0, end) + len(_KIND)
            if (
                not data.startswith(_WARC)
                or not data.endswith(_GAP)
                or start < len(_KIND)
                or length > max_bytes
                or data.find(b"\r\nContent-Length: %d\r\n" % length, 0, end + 2) < 0
            ):
                return offset
            kind = bytes(data[start : data.find(b"\r", start)])
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
                if record_end(file, last) == record.stream_pos:
                    return int(record.stream_pos)
                file.seek(here)
                turning = False  # several records in one member
            last = record.stream_pos
            begun += 1
            if int(record.record_type) not in kinds:
                continue
            length = record.content_length
            if not length and record.headers.get("Content-Length") is None:
                wanted.bad(last, "the record does not tell its length")
                continue
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
    return resume(file, position, last, failure, short, wanted.bad)
