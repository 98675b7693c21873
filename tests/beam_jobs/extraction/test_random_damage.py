"""One record of a file damaged at random, in each way and each kind of file: all the others are still read whole."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest
import zstandard

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page_rows import page_rows
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.warc_pages import warc_pages
from beam_jobs.extraction.wat import wat_batches

RECORDS = 10
IMAGES = 6
ROUNDS = 60


def spoil(data: bytes, chosen: random.Random) -> bytes:
    place = chosen.randrange(len(data))
    length = chosen.randrange(1, 100)
    noise = chosen.randbytes(length)
    ways = [
        data[:place] + bytes([data[place] ^ 1 << chosen.randrange(8)]) + data[place + 1 :],
        data[:place] + data[place + length :],
        data[:place] + noise + data[place:],
        data[:place],
        data[:place] + bytes(len(data[place : place + length])) + data[place + length :],
        noise,
    ]
    return chosen.choice(ways)


def read_wat(data: bytes) -> list[tuple[str, str]]:
    batches = wat_batches(io.BytesIO(data), ExtractOptions(), Counts(), name="a")
    return [(row["page_url"], row["url"]) for batch in batches for row in batch.to_pylist()]


def read_warc(data: bytes) -> list[tuple[str, str]]:
    pages = warc_pages(io.BytesIO(data), ExtractOptions(), Counts(), name="a")
    return [(row["page_url"], row["url"]) for page in pages for row in page_rows(page, ExtractOptions())]


@pytest.fixture(scope="module", params=["plain", "gzip", "zstd"])
def pack(request: pytest.FixtureRequest, gzipped: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    packs: dict[str, Callable[[bytes], bytes]] = {
        "plain": lambda record: record,
        "gzip": gzipped,
        "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    }
    return packs[request.param]


@pytest.mark.parametrize("kind", ["wat", "warc"])
def test_the_others_remain(
    kind: str, pack: Callable[[bytes], bytes], response: Callable[..., bytes], wat_record: Callable[..., bytes]
) -> None:
    chosen = random.Random(7)
    members = []
    for number in range(RECORDS):
        names = [f"/{number}/{image}.png" for image in range(IMAGES)]
        if kind == "wat":
            odd = "".join(chosen.choices('abc }{"\\,:', k=20))
            links = [{"path": "IMG@/src", "url": name, "alt": f"x {odd}"} for name in names]
            members.append(pack(wat_record(f"http://h.test/{number}", links)))
        else:
            page = "".join(f"<img src={name} alt=x>" for name in names) + "<p>some words" * 50
            members.append(pack(response(f"http://h.test/{number}", page.encode())))
    read = read_wat if kind == "wat" else read_warc
    whole = {n: {(f"http://h.test/{n}", f"http://h.test/{n}/{i}.png") for i in range(IMAGES)} for n in range(RECORDS)}
    assert set(read(b"".join(members))) == set().union(*whole.values())
    for _ in range(ROUNDS):
        number = chosen.randrange(RECORDS)
        damaged = [*members[:number], spoil(members[number], chosen), *members[number + 1 :]]
        found = set(read(b"".join(damaged)))
        assert [n for n in range(RECORDS) if n != number and not whole[n] <= found] == []
