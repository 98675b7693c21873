"""Extraction: a WAT beside cc2dataset's algorithm, and pages beside a bare parse; processor time of one core.

Writes a WAT file as Common Crawl lays it out (a record a request, a response and its metadata, gzip each) and a WARC
file of pages, both drawn with a fixed seed, and then measures in one run, the best of several rounds each:

    fastwarc    the floor: decompression and iteration over the records
    cc2dataset  its rules over whole records parsed by simdjson, as it does (by msgspec where simdjson is not installed)
    ours        the same pairs, with page context, consent and reasons, as record batches
    pages       our rows of the WARC's pages, beside lexbor's parse and `img` selection alone

Checks that every pair of cc2dataset's is among ours under the same uid.
Usage: python bench/bench_extract.py [--megabytes 64] [--rounds 3] [--wat FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import random
import resource
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import msgspec
from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page_rows import page_rows
from beam_jobs.extraction.rows import Counts, PairRows
from beam_jobs.extraction.warc_pages import warc_pages
from beam_jobs.extraction.wat import wat_batches

SEED = 2024
VOCABULARY = 5_000


class Writer:
    """Draws words as frequent as in texts, and records of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        self._words = ["".join(self.random.choices(letters, k=self.random.randrange(2, 10))) for _ in range(VOCABULARY)]
        self._weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))

    def words(self, least: int, most: int) -> str:
        chosen = self.random.choices(self._words, cum_weights=self._weights, k=self.random.randrange(least, most))
        return " ".join(chosen)

    def image_url(self, host: str) -> str:
        number = self.random.randrange(10**7)
        kind = self.random.random()
        if kind < 0.5:
            return f"https://cdn.{host}/img/{number}_{self.words(1, 2)}.jpg"
        return f"/wp-content/uploads/2024/{number}.png" if kind < 0.85 else f"../images/{number}.jpg"

    def image(self, host: str) -> dict[str, str]:
        link = {"path": "IMG@/src", "url": self.image_url(host)}
        return {**link, "alt": self.words(1, 9)} if self.random.random() < 0.4 else link

    def link(self, host: str) -> dict[str, str]:
        url = f"https://www.{host}/{self.words(1, 2)}/{self.random.randrange(10**7)}?id={self.random.randrange(999)}"
        return {"path": "A@/href", "url": url, "text": self.words(1, 8)}

    def wat_page(self) -> Iterator[bytes]:
        host = f"site{self.random.randrange(5_000)}.example"
        page = f"https://www.{host}/{self.words(1, 2)}/{self.random.randrange(10**6)}.html"
        links = [
            self.image(host) if self.random.random() < 0.09 else self.link(host)
            for _ in range(self.random.randrange(20, 400))
        ]
        metas: list[dict[str, str]] = [{"name": f"m{n}", "content": self.words(10, 11)} for n in range(12)]
        if self.random.random() < 0.4:
            metas.append({"name": "robots", "content": "index, follow"})
        head = {
            "Metas": metas,
            "Title": self.words(3, 9),
            "Scripts": [{"path": "SCRIPT@/src", "url": f"/{self.words(1, 2)}.js"} for _ in range(8)],
            "Link": [{"path": "LINK@/href", "url": f"/{self.words(1, 2)}.css", "rel": "stylesheet"} for _ in range(15)],
        }
        headers = {f"H{n}": self.words(1, 6) for n in range(15)}
        html = {"Head": head, "Links": links}
        yield _wat_record(page, {"HTTP-Request-Metadata": {"Headers": {"User-Agent": "CCBot/2.0", **headers}}})
        yield _wat_record(page, {"HTTP-Response-Metadata": {"Headers": headers, "HTML-Metadata": html}})
        yield _wat_record(
            page, {"WARC-Metadata-Metadata": {"Metadata-Records": [{"Name": "fetchTimeMs", "Value": "77"}]}}
        )

    def html_page(self) -> tuple[str, bytes]:
        host = f"site{self.random.randrange(5_000)}.example"
        blocks = []
        for _ in range(self.random.randrange(20, 120)):
            kind = self.random.random()
            if kind < 0.2:
                blocks.append(f'<figure><img src="{self.image_url(host)}" alt="{self.words(1, 9)}" width=640></figure>')
            elif kind < 0.3:
                blocks.append(f"<h2>{self.words(2, 6)}</h2>")
            else:
                anchor = f'<a href="/{self.words(1, 2)}" class="{self.words(1, 3)}">{self.words(1, 4)}</a>'
                blocks.append(
                    f'<div class="{self.words(1, 3)}"><p>{self.words(20, 80)} {anchor} {self.words(5, 30)}</p></div>'
                )
        body = f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{self.words(3, 9)}</title></head><body>"
        return f"https://www.{host}/{self.random.randrange(10**6)}", (body + "\n".join(blocks)).encode()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _record(kind: str, page: str, block: bytes, content_type: str) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {page}\r\nWARC-Date: 2024-05-31T01:17:49Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{_md5(block)}>\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    member = zlib.compressobj(6, zlib.DEFLATED, 31)
    return member.compress(head.encode() + block + b"\r\n\r\n") + member.flush()


def _wat_record(page: str, payload: dict[str, Any]) -> bytes:
    value = {
        "Container": {"Filename": "CC-MAIN-20240517233122-00000.warc.gz", "Compressed": True, "Offset": "458"},
        "Envelope": {
            "Payload-Metadata": {"Actual-Content-Type": "application/http", **payload},
            "Format": "WARC/1.0",
            "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": page},
        },
    }
    block = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return _record("metadata", page, block, "application/json")


def write_files(folder: Path, size: int) -> tuple[Path, Path]:
    """A WAT and a WARC file of about so many bytes, decompressed, each."""
    writer = Writer(SEED)
    wat, warc = folder / "a.warc.wat.gz", folder / "a.warc.gz"
    with wat.open("wb") as file:
        while file.tell() < size / 3.7:
            file.writelines(writer.wat_page())
    with warc.open("wb") as file:
        while file.tell() < size / 8:
            url, page = writer.html_page()
            block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page
            file.write(_record("response", url, block, "application/http; msgtype=response"))
    return wat, warc


def floor(file: Path) -> int:
    size = 0
    with file.open("rb") as opened:
        for record in ArchiveIterator(opened, parse_http=False):
            size += len(record.reader.read())
    return size


def by_cc2dataset(file: Path, loads: Callable[[bytes], Any]) -> list[tuple[str, str, str, str]]:
    """cc2dataset's rules: whole file in memory, every record parsed as a whole, links filtered and joined."""
    found = []
    for record in ArchiveIterator(
        io.BytesIO(file.read_bytes()), record_types=WarcRecordType.metadata, parse_http=False
    ):
        envelope = loads(record.reader.read())["Envelope"]
        metadata = envelope["Payload-Metadata"].get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {})
        page = base = envelope["WARC-Header-Metadata"]["WARC-Target-URI"]
        if "Base" in metadata.get("Head", {}):
            base = urljoin(base, metadata["Head"]["Base"])
        images = [link for link in metadata.get("Links", ()) if link.get("path") == "IMG@/src" and link.get("alt")]
        for link in images:
            url = link["url"] if link["url"].startswith(("http://", "https://")) else urljoin(base, link["url"])
            if url.startswith(("http://", "https://")):
                found.append((_md5((link["alt"] + url).encode()), url, link["alt"], page))
    return found


def by_us(file: Path) -> list[Any]:
    with file.open("rb") as opened:
        return list(wat_batches(opened, ExtractOptions(), Counts(), name=file.name))


def pages_by_us(file: Path) -> int:
    rows = PairRows()
    total = 0
    with file.open("rb") as opened:
        for page in warc_pages(opened, ExtractOptions(), Counts(), name=file.name):
            for values in page_rows(page, ExtractOptions()):
                rows.add(values)
            if len(rows) > 8_192:
                total += rows.take().num_rows
    return total + rows.take().num_rows


def pages_bare(file: Path) -> int:
    images = 0
    with file.open("rb") as opened:
        for page in warc_pages(opened, ExtractOptions(), Counts(), name=file.name):
            images += len(LexborHTMLParser(page.data).css("img"))
    return images


def best(rounds: int, steps: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The least processor seconds of each step; the steps take turns, so that all meet the same machine."""
    seconds: dict[str, float] = {}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.process_time()
            step()
            seconds[name] = min(seconds.get(name, float("inf")), time.process_time() - started)
    return seconds


def _parser() -> tuple[str, Callable[[bytes], Any]]:
    try:
        import simdjson
    except ImportError:
        return "msgspec", msgspec.json.decode
    return "simdjson", simdjson.loads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=64, help="of each file, decompressed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wat", type=Path, help="a WAT file to read instead of a drawn one")
    given = parser.parse_args()
    library, loads = _parser()
    with tempfile.TemporaryDirectory(prefix="pairmill-bench-") as folder:
        wat, warc = write_files(Path(folder), given.megabytes * 1_000_000)
        wat = given.wat or wat
        theirs = {row[0] for row in by_cc2dataset(wat, loads)}
        ours = {uid.as_py() for batch in by_us(wat) for uid in batch.column("uid")}
        assert theirs <= ours, f"{len(theirs - ours)} pairs of cc2dataset's are missing"
        size = floor(wat)
        steps: dict[str, Callable[[], Any]] = {
            "fastwarc": lambda: floor(wat),
            "cc2dataset": lambda: by_cc2dataset(wat, loads),
            "ours": lambda: by_us(wat),
        }
        seconds = best(given.rounds, steps)
        print(f"WAT of {size / 1e6:.0f} MB decompressed, {len(theirs)} pairs; cc2dataset's rules by {library}")
        for name, spent in seconds.items():
            print(f"  {name:11s} {spent:7.2f} s  {size / spent / 1e6:7.0f} MB/s  {len(theirs) / spent:9.0f} pairs/s")
        print(f"  ours is {seconds['cc2dataset'] / seconds['ours']:.2f} times cc2dataset's speed per core")
        size, rows = floor(warc), pages_by_us(warc)
        seconds = best(given.rounds, {"lexbor alone": lambda: pages_bare(warc), "ours": lambda: pages_by_us(warc)})
        print(f"WARC of {size / 1e6:.0f} MB decompressed, {rows} image references")
        for name, spent in seconds.items():
            print(f"  {name:12s} {spent:6.2f} s  {size / spent / 1e6:7.0f} MB/s  {rows / spent:9.0f} references/s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, all of these together")


if __name__ == "__main__":
    main()
