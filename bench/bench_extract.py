"""Extraction: a WAT beside cc2dataset, and pages beside a bare parse; processor time of one core, and memory.

Writes a WAT and a WARC file as Common Crawl lays them out (see drawn_archives.py), and then measures in one run, the
best of several rounds each, in turns, each in a process of its own, so that none runs in a heap that others have used:

    fastwarc    the floor: decompression and iteration over the records
    cc2dataset  itself where it is installed, else its rules alone over records parsed by simdjson: somewhat faster
    ours        the same pairs, with page context, consent and reasons, as record batches
    pages       our rows of the WARC's pages, beside lexbor's parse and `img` selection alone

Checks that every pair of cc2dataset's is among ours under the same uid. Then reads files of several sizes, each in a
process of its own, and prints the most memory that it held.
Usage: python bench/bench_extract.py [--megabytes 64] [--rounds 5] [--wat FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from drawn_archives import write_warc, write_wat
from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page_rows import page_rows
from beam_jobs.extraction.rows import Counts, PairRows
from beam_jobs.extraction.warc_pages import warc_pages
from beam_jobs.extraction.wat import wat_batches


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def floor(file: Path) -> int:
    size = 0
    with file.open("rb") as opened:
        for record in ArchiveIterator(opened, parse_http=False):
            size += len(record.reader.read())
    return size


def by_its_rules(file: Path) -> list[tuple[str, str, str, str]]:
    """cc2dataset's rules: whole file in memory, every record parsed as a whole, links filtered and joined."""
    import simdjson

    found = []
    for record in ArchiveIterator(
        io.BytesIO(file.read_bytes()), record_types=WarcRecordType.metadata, parse_http=False
    ):
        envelope = simdjson.loads(record.reader.read())["Envelope"]
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


def by_itself(file: Path) -> list[Any]:
    from cc2dataset.main import process_wat
    from loguru import logger

    logger.remove()
    return list(process_wat(str(file), "image"))


def cc2dataset() -> tuple[str, Callable[[Path], list[Any]]]:
    """The package's own reading of a file, or its rules."""
    try:
        return f"cc2dataset {version('cc2dataset')}", by_itself
    except PackageNotFoundError:
        return f"its rules, by simdjson {version('pysimdjson')}", by_its_rules


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


def best(rounds: int, file: Path, steps: dict[str, Callable[[Path], Any]]) -> dict[str, float]:
    """The least processor seconds of each step; the steps take turns, so that all meet the same machine."""
    seconds = dict.fromkeys(steps, float("inf"))
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        processes = {name: stack.enter_context(spawn.Pool(1)) for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                seconds[name] = min(seconds[name], processes[name].apply(_seconds, (step, file)))
    return seconds


def _seconds(step: Callable[[Path], Any], file: Path) -> float:
    started = time.process_time()
    step(file)
    return time.process_time() - started


def peak(file: Path) -> float:
    """The most memory, in MB, of a process that reads a WAT file batch by batch."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_read_through, (file,))


def _read_through(file: Path) -> float:
    with file.open("rb") as opened:
        for _ in wat_batches(opened, ExtractOptions(), Counts(), name=file.name):
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=64, help="of each file, decompressed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wat", type=Path, help="a WAT file to read instead of a drawn one")
    given = parser.parse_args()
    name, by_them = cc2dataset()
    with tempfile.TemporaryDirectory(prefix="pairmill-bench-") as folder:
        wat, warc = given.wat or Path(folder) / "a.warc.wat.gz", Path(folder) / "a.warc.gz"
        if given.wat is None:
            write_wat(wat, given.megabytes * 1_000_000)
        write_warc(warc, given.megabytes * 500_000)
        theirs = {row[0] for row in by_them(wat)}
        ours = {uid.as_py() for batch in by_us(wat) for uid in batch.column("uid")}
        assert theirs <= ours, f"{len(theirs - ours)} pairs of cc2dataset's are missing"
        size = floor(wat)
        seconds = best(given.rounds, wat, {"fastwarc": floor, "cc2dataset": by_them, "ours": by_us})
        packed = wat.stat().st_size
        print(f"WAT of {packed / 1e6:.0f} MB, {size / 1e6:.0f} MB decompressed, {len(theirs)} pairs; beside {name}")
        for step, spent in seconds.items():
            print(f"  {step:11s} {spent:7.2f} s  {size / spent / 1e6:7.0f} MB/s  {len(theirs) / spent:9.0f} pairs/s")
        print(f"  ours is {seconds['cc2dataset'] / seconds['ours']:.2f} times cc2dataset's speed per core")
        size, rows = floor(warc), pages_by_us(warc)
        seconds = best(given.rounds, warc, {"lexbor alone": pages_bare, "ours": pages_by_us})
        print(f"WARC of {size / 1e6:.0f} MB decompressed, {rows} image references")
        for step, spent in seconds.items():
            print(f"  {step:12s} {spent:6.2f} s  {size / spent / 1e6:7.0f} MB/s  {rows / spent:9.0f} references/s")
        large = Path(folder) / "large.warc.wat.gz"
        for times in (1, 4, 16):
            with large.open("wb") as file:
                for _ in range(times):
                    file.write(wat.read_bytes())
            print(f"memory of reading a WAT of {large.stat().st_size / 1e6:5.0f} MB: {peak(large):4.0f} MB at most")


if __name__ == "__main__":
    main()
