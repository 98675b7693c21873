"""WAT files with one damaged record: all pairs of the others are there, and the damage is told by its offset.

Each damage is of a kind that archives have: of the member, of the record around the JSON, or of the JSON itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.wat import wat_batches

RECORDS = 12
DAMAGED = 5
IMAGES = 4
Record = Callable[..., bytes]


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(record: bytes) -> bytes:
        assert old in record
        head, gap, block = record.partition(b"\r\n\r\n")
        block = block.replace(old, new)
        head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % (len(block) - 4), head)
        return head + gap + block

    return change


# what becomes of the record, of its member, and how many of its own pairs are still there
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes], int]] = {
    "a flipped bit": (bytes, lambda member: member[:200] + bytes([member[200] ^ 16]) + member[201:], 0),
    "zeros": (bytes, lambda member: member[:150] + bytes(64) + member[214:], 0),
    "a cut member": (bytes, lambda member: member[: len(member) // 2], 0),
    "a lost beginning": (bytes, lambda member: member[7:], 0),
    "a wrong checksum": (bytes, lambda member: member[:-8] + b"\xde\xad\xbe\xef" + member[-4:], 0),
    "a length too long": (
        lambda record: re.sub(rb"Content-Length: \d+", b"Content-Length: 99999", record),
        bytes,
        0,
    ),
    "no length": (lambda record: re.sub(rb"Content-Length: \d+\r\n", b"", record), bytes, 0),
    "half a JSON": (lambda record: record[: len(record) // 2] + b"\r\n\r\n", bytes, 0),
    "no JSON": (replaced(b'{"Container"', b"<html><body>"), bytes, 0),
    "no envelope": (replaced(b'"Envelope"', b'"Envelopf"'), bytes, 0),
    "no page URL": (replaced(b'"WARC-Target-URI"', b'"WARC-Target-URL"'), bytes, 0),
    "letters that are none": (replaced(b"alt 5 2", b"alt \xff 2"), bytes, 0),
    "a control in a text": (replaced(b"alt 5 2", b"alt \x02 2"), bytes, 0),
    "links that are no list": (replaced(b'"Links":[', b'"Links":"["],"x":['), bytes, 0),
    "a URL that is null": (replaced(b'"url":"/5/2.png"', b'"url":null'), bytes, IMAGES - 1),
    "a text that is a number": (replaced(b'"alt":"alt 5 2"', b'"alt":52'), bytes, IMAGES - 1),
    "a head that is null": (replaced(b'"Head":{"Title":"A page"}', b'"Head":null'), bytes, IMAGES),
    "a base that is no text": (replaced(b'"Title":"A page"', b'"Base":[1]'), bytes, IMAGES),
    "an escape cut in two": (replaced(b"alt 5 2", rb"alt \ud83d 2"), bytes, 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_all_other_pairs_are_there(damage: str, wat_record: Record, gzipped: Callable[[bytes], bytes]) -> None:
    of_record, of_member, own = DAMAGES[damage]
    members = []
    for number in range(RECORDS):
        links = [
            {"path": "IMG@/src", "url": f"/{number}/{image}.png", "alt": f"alt {number} {image}"}
            for image in range(IMAGES)
        ]
        record = wat_record(f"http://h.test/{number}", links)
        if number == DAMAGED:
            members.append(of_member(gzipped(of_record(record))))
        else:
            members.append(gzipped(record))
    counts = Counts()
    rows = [
        (row["page_url"], row["url"], row["text"])
        for batch in wat_batches(io.BytesIO(b"".join(members)), ExtractOptions(), counts, name="a.wat.gz")
        for row in batch.to_pylist()
        if row["reason"] is None
    ]
    expected = [
        (f"http://h.test/{number}", f"http://h.test/{number}/{image}.png", f"alt {number} {image}")
        for number in range(RECORDS)
        for image in range(IMAGES)
    ]
    others = [pair for pair in expected if pair[0] != f"http://h.test/{DAMAGED}"]
    assert [row for row in rows if row[0] != f"http://h.test/{DAMAGED}"] == others
    found = [row for row in rows if row[0] == f"http://h.test/{DAMAGED}"]
    assert len([pair for pair in expected if pair in found]) == own
    details = counts.details()
    if not own:
        assert details["bad_records"] == {f"a.wat.gz@{sum(map(len, members[:DAMAGED]))}": 1}
        assert details["records"] == {"bad_record": 1, "read": details["records"]["read"]}
