"""Counters of the corpus over synthetic pairs: pairs a second, and resident memory as the corpus grows.

Writes pairs whose words, hosts and repeated texts are Zipf-distributed, then runs each counter over them as the stage
`corpus` does, in a process of its own. Prints for each size the rate and the peak resident memory of all processes of
the run together. Memory is flat when the last column stays near 1. Then the rate of finding 500,000 entries in texts,
beside an Aho-Corasick automaton of letters over the same entries and texts, with equal answers.

Usage: python bench/bench_corpus.py [--pairs 1000000,10000000] [--counters repeats,hosts,ngrams,concepts] [--workers 2]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WORDS, ENTRIES, HOSTS, ROWS_PER_PART = 1_000_000, 500_000, 200_000, 250_000
_RUN = "--run"


def spellings(numbers: np.ndarray) -> pa.Array:
    """Numbers as words: frequent ones (low numbers) are short."""
    letters = "etaoinshrdlu"
    found = []
    for number in numbers.tolist():
        word = ""
        while True:
            number, letter = divmod(number, len(letters))
            word += letters[letter]
            if not number:
                break
        found.append(word)
    return pa.array(found, pa.string())


def zipf(draw: np.random.Generator, size: int, most: int, exponent: float = 1.05) -> np.ndarray:
    """Ranks from 0 to below `most`, in proportion to (rank + 3) ^ -exponent."""
    cumulative = np.cumsum((np.arange(most) + 3.0) ** -exponent)
    return np.searchsorted(cumulative, draw.random(size) * cumulative[-1]).clip(max=most - 1)


def captions(draw: np.random.Generator, words: pa.Array, rows: int) -> pa.Array:
    """Texts of 1 to 20 words; of each twenty, one is of a thousand stock phrases."""
    lengths = draw.integers(1, 21, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = words.take(pa.array(zipf(draw, int(offsets[-1]), len(words))))
    texts = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), tokens), " ")
    stock = pa.array([f"stock photo {number}" for number in range(1_000)]).take(pa.array(zipf(draw, rows, 1_000)))
    return pc.if_else(pa.array(draw.random(rows) < 0.05), stock, texts)


def write_pairs(work: str, pairs: int) -> int:
    """Parts of the pairs table, with the columns that counters read; how many there are."""
    from beam_jobs.storage.parquet import write_table
    from beam_jobs.storage.run_folder import RunFolder

    words = spellings(np.arange(WORDS))
    hosts = pa.array([f"https://img{number}.host{number % 997}.com/" for number in range(HOSTS)])
    parts = -(-pairs // ROWS_PER_PART)
    for part in range(parts):
        draw = np.random.default_rng([7, part])
        rows = min(ROWS_PER_PART, pairs - part * ROWS_PER_PART)
        # One image in ten is named again and again.
        names = pa.array(draw.integers(0, np.where(draw.random(rows) < 0.1, 10_000, 1 << 40))).cast(pa.string())
        urls = pc.binary_join_element_wise(hosts.take(pa.array(zipf(draw, rows, HOSTS))), names, "")
        table = pa.table(
            {
                "uid": pa.array([f"{part:08x}{row:024x}" for row in range(rows)]),
                "url": urls,
                "text": captions(draw, words, rows),
                "reason": pa.nulls(rows, pa.string()),
            }
        )
        write_table(RunFolder(work).pairs(part), table)
    return parts


def write_vocabulary(file: Path) -> None:
    """Entries of one to three words, drawn from all words alike, the most frequent thousand left out."""
    draw = np.random.default_rng(11)
    words = spellings(np.arange(WORDS))
    found: dict[str, None] = {}
    while len(found) < ENTRIES:
        lengths = draw.choice([1, 2, 3], size=ENTRIES, p=[0.5, 0.4, 0.1])
        ranks = np.concatenate([zipf(draw, int(lengths.sum()), WORDS - 1_000, 0.8) + 1_000])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        entries = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), words.take(pa.array(ranks))), " ")
        found.update(dict.fromkeys(entries.to_pylist()[: ENTRIES - len(found)]))
    file.write_text("\n".join(found) + "\n")


def section(counter: str, vocabulary: Path) -> list[object]:
    if counter == "concepts":
        return [{"concepts": {"vocabulary": str(vocabulary)}}]
    return [counter]


def run_stage(work: str, counter: str, vocabulary: str, *, parts: int, pairs: int, workers: int) -> None:
    """One counter over all parts, as the stage does it."""
    from beam_jobs.quiet import quiet_beam

    quiet_beam()
    import apache_beam as beam

    from beam_jobs.corpus.counters import configuration
    from beam_jobs.runners import choose_runner
    from beam_jobs.stages.corpus import CountCorpus
    from schemas.corpus import parse_corpus

    flags = [f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing"] if workers > 1 else []
    runner = choose_runner(flags)
    counters = [(each, configuration(each)) for each in parse_corpus(section(counter, Path(vocabulary))).counters]
    with runner:
        pipeline = beam.Pipeline(options=runner.options(job="corpus"))
        _ = pipeline | CountCorpus(work, parts=range(parts), rows=pairs, counters=counters)
        runner.wait(pipeline)


class Watch:
    """The greatest resident memory of a process and its descendants, looked at ten times a second."""

    def __init__(self, root: int) -> None:
        self.peak = 0
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.peak = max(self.peak, sum(map(resident, family(self._root))))

    def end(self) -> float:
        """In MB."""
        self._over.set()
        self._thread.join()
        return self.peak / 1e6


def family(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, left = [], [root]
    while left:
        one = left.pop()
        found.append(one)
        left += children.get(one, [])
    return found


def resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def measure(
    work: Path, counter: str, vocabulary: Path, *, parts: int, pairs: int, workers: int
) -> tuple[float, float, float]:
    """Seconds, seconds of processor and peak MB of one counter in a process of its own."""
    arguments = [_RUN, str(work), counter, str(vocabulary), str(parts), str(pairs), str(workers)]
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, *arguments])
    watch = Watch(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    peak = watch.end()
    if status:
        raise SystemExit(f"{counter} over {pairs} pairs ended with status {status}")
    return seconds, usage.ru_utime + usage.ru_stime, peak


def match_rates(vocabulary: Path, rows: int = 200_000) -> None:
    """Texts a second of our matcher and of an automaton of letters, with how long each takes to build."""
    from beam_jobs.corpus.entries import PaddedMatcher, ScriptMatcher
    from beam_jobs.corpus.vocabulary import read_vocabulary

    entries = read_vocabulary(str(vocabulary)).entries
    texts = captions(np.random.default_rng(3), spellings(np.arange(WORDS)), rows).cast(pa.large_string())
    found = {}
    for name, kind in (("words", PaddedMatcher), ("Aho-Corasick of letters (ahocorasick_rs)", ScriptMatcher)):
        started = time.perf_counter()
        matcher = kind(entries)
        built = time.perf_counter() - started
        started = time.perf_counter()
        found[name] = matcher.find(texts)
        seconds = time.perf_counter() - started
        print(f"{name:<42} built in {built:5.1f} s; {rows / seconds:>9,.0f} texts/s on one core")
    first, second = found.values()
    if not (np.array_equal(first.rows, second.rows) and np.array_equal(first.entries, second.entries)):
        raise SystemExit("the two matchers do not agree")
    print(f"both find the same {len(first.rows):,} entries, {len(first.rows) / rows:.2f} a text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", default="1000000,10000000", help="sizes, parted by commas")
    parser.add_argument("--counters", default="repeats,hosts,ngrams,concepts")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pairmill-bench-"))
    try:
        vocabulary = folder / "vocabulary.txt"
        write_vocabulary(vocabulary)
        match_rates(vocabulary)
        first: dict[str, float] = {}
        names = ("seconds", "processor", "pairs/s", "peak MB", "of first")
        print(f"{'pairs':>11} {'counter':<12} " + " ".join(f"{name:>9}" for name in names))
        for pairs in map(int, arguments.pairs.split(",")):
            work = folder / str(pairs)
            parts = write_pairs(str(work), pairs)
            for counter in arguments.counters.split(","):
                seconds, processor, peak = measure(
                    work, counter, vocabulary, parts=parts, pairs=pairs, workers=arguments.workers
                )
                grown = peak / first.setdefault(counter, peak)
                line = f"{pairs:>11,} {counter:<12} {seconds:>9.1f} {processor:>9.1f} {pairs / seconds:>9,.0f}"
                line += f" {peak:>9,.0f} {grown:>9.2f}"
                print(line, flush=True)
            shutil.rmtree(work)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == [_RUN]:
        run_stage(*sys.argv[2:5], parts=int(sys.argv[5]), pairs=int(sys.argv[6]), workers=int(sys.argv[7]))
    else:
        main()
