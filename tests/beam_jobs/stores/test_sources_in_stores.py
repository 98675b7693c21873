"""Sources of every kind in an object store: the rows that the same files on a disk give, damage included."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.reading import read_split
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.splits import plan_splits
from schemas.sources import Source

PAGES = 40


def record(kind: str, url: str, block: bytes) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)


def warc() -> bytes:
    """Some megabytes, so that clients read them in several requests; the twentieth record is damaged."""
    chosen = random.Random(5)
    members = []
    for number in range(PAGES):
        page = f"<img src=/{number}.png alt='nr {number}'><!--".encode() + chosen.randbytes(200_000).hex().encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
        members.append(record("response", f"http://h.test/{number}", head + page))
    members[20] = members[20][:5_000] + bytes(50) + members[20][5_050:]
    return b"".join(members)


def wat() -> bytes:
    members = []
    for number in range(PAGES):
        links = [{"path": "IMG@/src", "url": f"/{n}.png", "alt": f"nr {number} {n}"} for n in range(5)]
        html = {"HTTP-Response-Metadata": {"HTML-Metadata": {"Head": {}, "Links": links}}}
        target = {"WARC-Target-URI": f"http://h.test/{number}"}
        envelope = {"Envelope": {"Payload-Metadata": html, "WARC-Header-Metadata": target}}
        members.append(record("metadata", f"http://h.test/{number}", json.dumps(envelope).encode()))
    members[20] = members[20][:-12] + bytes(12)
    return b"".join(members)


def tar() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for number in range(PAGES):
            for name, data in (
                ("txt", f"nr {number}".encode()),
                ("json", b'{"url": "http://h.test/%d.png"}' % number),
            ):
                member = tarfile.TarInfo(f"{number:05d}.{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return written.getvalue()


def parquet() -> bytes:
    written = io.BytesIO()
    rows = [{"url": f"http://h.test/{number}.png", "text": f"nr {number}"} for number in range(PAGES)]
    pq.write_table(pa.Table.from_pylist(rows), written, row_group_size=7)
    return written.getvalue()


FILES: dict[str, dict[str, bytes]] = {
    "warc": {"a.warc.gz": warc()},
    "wat": {"a.warc.wat.gz": wat(), "b.warc.wat.gz": wat()},
    "shards": {"00000.tar": tar()},
    "table": {"a.parquet": parquet(), "b.parquet": parquet()},
    "html": {f"h.test/{number}.html": b"<img src=a.png alt='nr %d'>" % number for number in range(5)},
}
EXPECTED = {"warc": PAGES - 1, "wat": 2 * 5 * (PAGES - 1), "shards": PAGES, "table": 2 * PAGES, "html": 5}


def rows_of(kind: str, folder: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    counts = Counts()
    rows = []
    for split in plan_splits([Source(kind, folder)]):
        for batch in read_split(split, ExtractOptions(), counts=counts):
            rows.extend(batch.drop_columns(["source"]).to_pylist())
    return rows, counts.details().get("records", {})


@pytest.mark.parametrize("kind", FILES)
def test_rows_are_those_of_a_disk(kind: str, store: Any, tmp_path: Path) -> None:
    fs, root = fsspec.core.url_to_fs(f"{store.root}/sources/{kind}")
    for name, data in FILES[kind].items():
        fs.pipe_file(f"{root}/{name}", data)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found, records = rows_of(kind, f"{store.root}/sources/{kind}")
    assert (found, records) == rows_of(kind, str(tmp_path))
    assert len(found) == EXPECTED[kind]
    assert {row["reason"] for row in found} == {None}
    assert records.get("bad_record", 0) == {"warc": 1, "wat": 2}.get(kind, 0)
