"""A damaged record costs itself: each kind of damage, in each kind of file, with the records that remain."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import pytest
import zstandard

from beam_jobs.extraction.archives import Wanted, iter_records

Read = Callable[[bytes], tuple[str, list[int]]]


@pytest.fixture(scope="module")
def records(response: Callable[..., bytes]) -> list[bytes]:
    return [response(f"http://h.test/{number}", b"<p>%d " % number + b"words " * 500) for number in range(8)]


def read(data: bytes) -> tuple[str, list[int]]:
    """The digits of the pages that were read, and the offsets reported as bad."""
    bad: list[int] = []
    found = iter_records(io.BytesIO(data), Wanted(("response",), lambda offset, _: bad.append(offset), 10**6))
    return "".join(chr(record.content[record.content.index(b"<p>") + 3]) for record in found), bad


def damaged(parts: list[bytes], spoil: Callable[[bytes], bytes]) -> bytes:
    return b"".join(part if number != 5 else spoil(part) for number, part in enumerate(parts))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda member: member[:60] + bytes(20) + member[80:], "0123467"),
        (lambda member: member[:-8] + b"\0\0\0\0" + member[-4:], "0123467"),
        (lambda member: b"\0" + member[1:], "0123467"),
        (lambda member: member[: len(member) // 2], "0123467"),
        (lambda member: member + b"garbage" * 30, "01234567"),
        (lambda member: member + bytes(100), "01234567"),
    ],
    ids=["bytes", "checksum", "magic", "cut", "garbage behind", "zeros behind"],
)
def test_gzip(
    records: list[bytes], gzipped: Callable[[bytes], bytes], spoil: Callable[[bytes], bytes], expected: str
) -> None:
    members = [gzipped(record) for record in records]
    found, bad = read(damaged(members, spoil))
    assert found == expected
    offset = sum(map(len, members[:5])) if expected == "0123467" else sum(map(len, members[:6]))
    assert bad == [offset]


@pytest.mark.parametrize(
    ("spoil", "expected", "offset"),
    [
        (lambda record: b"XXXX" + record[4:], "0123467", 5),
        (lambda record: record[:700], "01234567", 5),
        (lambda record: record + b"garbage" * 30, "01234567", 6),
        (lambda record: record.replace(b"Content-Length: 3", b"Content-Length: 9"), "01234567", 5),
        (lambda record: record.replace(b"Content-Length: 3", b"Content-Length: 1"), "01234567", None),
    ],
    ids=["version", "cut", "garbage behind", "too long", "too short"],
)
def test_plain(records: list[bytes], spoil: Callable[[bytes], bytes], expected: str, offset: int | None) -> None:
    found, bad = read(damaged(records, spoil))
    assert found == expected
    assert len(bad) == 1
    if offset is not None:
        assert bad == [sum(map(len, records[:offset]))]


def test_zstd(records: list[bytes]) -> None:
    frames = [zstandard.ZstdCompressor().compress(record) for record in records]
    assert read(b"".join(frames)) == ("01234567", [])
    found, bad = read(damaged(frames, lambda frame: b"\0" + frame[1:]))
    assert (found, bad) == ("0123467", [sum(map(len, frames[:5]))])


def test_header_damage_inside_a_good_member(records: list[bytes], gzipped: Callable[[bytes], bytes]) -> None:
    members = [gzipped(record) for record in records]
    members[5] = gzipped(records[5].replace(b"WARC/1.0", b"W\0RC/1.0"))
    assert read(b"".join(members)) == ("0123467", [sum(map(len, members[:5]))])
    members[5] = gzipped(b"")
    assert read(b"".join(members)) == ("0123467", [sum(map(len, members[:5]))])


def test_ends_of_files(records: list[bytes], gzipped: Callable[[bytes], bytes]) -> None:
    members = [gzipped(record) for record in records]
    assert read(b"".join(members)[:-30]) == ("0123456", [sum(map(len, members[:7]))])
    assert read(gzipped(b"".join(records))) == ("01234567", [])
    assert read(b"") == ("", [])
    assert read(b"no archive at all") == ("", [0])
    assert read(b"\0" + b"".join(members)[1:]) == ("1234567", [0])


def test_members_of_every_header(records: list[bytes]) -> None:
    """Times, names and levels stand in a member's header; one lies about its length."""
    members = [gzip.compress(record, 9, mtime=number) for number, record in enumerate(records)]
    assert read(b"".join(members)) == ("01234567", [])
    members[3] = gzip.compress(records[3], 1, mtime=0)
    members[4] = members[4][:3] + b"\x08" + members[4][4:10] + b"name\0" + members[4][10:]
    assert read(b"".join(members)) == ("01234567", [])
    members[6] = members[6][:-4] + b"\xff\xff\xff\xff"
    assert read(b"".join(members)) == ("0123457", [sum(map(len, members[:6]))])


def test_a_record_is_read_up_to_the_bound(records: list[bytes]) -> None:
    wanted = Wanted(("response",), lambda offset, message: None, 100)
    found = list(iter_records(io.BytesIO(b"".join(records)), wanted))
    assert [(len(record.content), record.whole) for record in found] == [(100, False)] * 8
