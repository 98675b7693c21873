"""Rules over texts against data-juicer's operators for the same rules, in turns in one run.

Draws alt-texts, then alternates between ours (length, words, alphanumeric and special-character ratios, character
repetition, file names) and data-juicer's operators of the same names in a process of its own, each on one core, in two
ways. First, rules that judge every row of a table: what `preselect` does, beside operators run over a dataset as
data-juicer's own executor runs them (`NestedDataset.process`, one process, batches of 1,000, no caching), only spared
its monitor of resources, which would cost it as much again. Second, the bare functions over texts in memory, without
rules: ours, beside the operators' `compute_stats_batched`. Data-juicer has no rule for file names and is spared it.
Prints rates by processor time, children's included, their ratios, the versions, and where both measure the same
thing, that they agree; then the rate of every scorer of texts.

Usage: python bench/bench_text.py [--peer PYTHON]   a Python that has py-data-juicer; without, one is made in a folder
that goes away, which needs the network
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.loading import load_model
from filters.registry import Entry, make_scorers
from filters.rules import judge
from filters.scorer import Batch
from filters.text_columns import SCORERS, add_text_columns
from filters.text_facts import text_facts
from schemas.recipe_steps import Rule
from schemas.recipe_text import Place

FACTS = ("text_length", "word_count", "alnum_ratio", "special_ratio", "character_repetition", "is_file_name")
# What both measure alike: data-juicer strips punctuation from words before it counts them, and has a list of special
# characters of its own.
SAME = {"text_len": "text_length", "alnum_ratio": "alnum_ratio", "char_rep_ratio": "character_repetition"}
# Bounds that no drawn text exceeds, so that every rule judges every row on both sides.
RULES = (
    "text_length < 0 or text_length > 100000",
    "word_count < 0 or word_count > 100000",
    "alnum_ratio < 0",
    "special_ratio > 1",
    "character_repetition > 1",
    "is_file_name and text_length = 0",
)
PEER_REQUIRES = ("py-data-juicer", "aiohttp")
# Run by the peer's Python: lines of {"texts": [...]} in, lines of {"seconds": ..., "stats": [...]} out.
PEER = """
import json, os, resource, sys
real, sys.stdout = sys.stdout, sys.stderr
os.environ.setdefault("HF_HUB_OFFLINE", "1")
from importlib.metadata import version
from data_juicer.ops.filter.alphanumeric_filter import AlphanumericFilter
from data_juicer.ops.filter.character_repetition_filter import CharacterRepetitionFilter
from data_juicer.ops.filter.special_characters_filter import SpecialCharactersFilter
from data_juicer.ops.filter.text_length_filter import TextLengthFilter
from data_juicer.ops.filter.words_num_filter import WordsNumFilter
from data_juicer.utils.constant import Fields
from data_juicer.core.data import NestedDataset
from datasets import disable_caching
disable_caching()
most = 100_000
one = {"num_proc": 1}
operators = [TextLengthFilter(min_len=0, max_len=most, **one),
             WordsNumFilter(tokenization=False, min_num=0, max_num=most, **one),
             AlphanumericFilter(tokenization=False, min_ratio=0.0, **one),
             SpecialCharactersFilter(min_ratio=0.0, max_ratio=1.0, **one),
             CharacterRepetitionFilter(rep_len=10, min_ratio=0.0, max_ratio=1.0, **one)]
print(json.dumps({"version": version("py-data-juicer")}), file=real, flush=True)

def processor_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

def functions(texts):
    stats = []
    for first in range(0, len(texts), 1000):
        samples = {"text": texts[first : first + 1000]}
        samples[Fields.stats] = [{} for _ in samples["text"]]
        for operator in operators:
            samples = operator.compute_stats_batched(samples)
        stats += samples[Fields.stats]
    return stats

for line in sys.stdin:
    asked = json.loads(line)
    texts = asked["texts"]
    table = NestedDataset.from_dict({"text": texts})
    started = processor_seconds()
    if asked["way"] == "operators":
        found = len(table.process(operators, open_monitor=False))
    else:
        found = functions(texts)
    seconds = processor_seconds() - started
    print(json.dumps({"seconds": seconds, "found": found}), file=real, flush=True)
"""
WORDS = (
    "a", "the", "red", "green", "large", "old", "photo", "of", "on", "with", "and", "circle", "house", "dog", "view",
    "Grüße", "été", "猫の写真", "фото", "2019", "buy now", "|", "click here",
)  # fmt: skip

LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 22, 30, 60)


def draw_texts(count: int) -> list[str]:
    """Alt-texts: words of several scripts, one in ten a file name, one in twenty with a phrase that repeats."""
    source = random.Random(0)
    texts = []
    for number in range(count):
        words = source.choices(WORDS, k=source.choice(LENGTHS))
        if number % 10 == 0:
            words = [f"IMG_{source.randint(0, 99_999)}.jpg"]
        elif number % 20 == 1:
            words *= 4
        texts.append(" ".join(words))
    return texts


class Peer:
    """Data-juicer in a process of its own."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.version = self._read()["version"]

    def measure(self, texts: list[str], way: str) -> dict[str, Any]:
        """way: `operators` over a dataset, or their `functions`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"texts": texts, "way": way}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("data-juicer did not start; does the Python given with --peer have it?")
        found: dict[str, Any] = json.loads(line)
        return found


def make_peer(folder: str) -> str:
    """A virtual environment with data-juicer in it; its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(Path(folder) / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER_REQUIRES], check=True)
    return python


def check_agreement(ours: pa.Table, stats: list[dict[str, float]]) -> None:
    for theirs, name in SAME.items():
        values = ours[name].to_pylist()
        wrong = [row for row, stat in enumerate(stats) if abs(stat[theirs] - values[row]) > 1e-5]
        print(f"  {name} = {theirs} of data-juicer: {len(stats) - len(wrong):,} of {len(stats):,} texts")


def judge_table(texts: list[str]) -> None:
    """What `preselect` does with a part: the columns that rules name, and the first rule that each row fails."""
    place = Place("bench")
    rules = [Rule("drop", expression, f"rule_{number}", place) for number, expression in enumerate(RULES)]
    table = add_text_columns(pa.table({"text": texts}), FACTS)
    assert judge(table, rules).null_count == len(texts)


def seconds_of(run: Callable[[], object]) -> float:
    """Of the processor."""
    started = time.process_time()
    run()
    return time.process_time() - started


def compare(peer: Peer, options: argparse.Namespace) -> None:
    texts = draw_texts(options.texts)
    column = pa.array(texts)
    few = texts[: options.peer_texts]
    versions = f"pyarrow {pa.__version__}, polars {version('polars')}, py-data-juicer {peer.version}"
    print(f"{versions}; {len(texts):,} texts of {sum(map(len, texts)) / len(texts):.0f} characters")
    ours: dict[str, Callable[[], object]] = {
        "operators": lambda: judge_table(texts),
        "functions": lambda: text_facts(column, FACTS),
    }
    for way, run in ours.items():
        run()
        peer.measure(few[:1000], way)
    ratios: dict[str, list[float]] = {way: [] for way in ours}
    stats = []
    print(f"{'round':>5} {'way':>9} {'ours texts/s':>13} {'data-juicer texts/s':>20} {'ratio':>7}")
    for number in range(options.rounds):
        for way, run in ours.items():
            rate = len(texts) / seconds_of(run)
            theirs = peer.measure(few, way)
            peer_rate = len(few) / theirs["seconds"]
            ratios[way].append(rate / peer_rate)
            print(f"{number:>5} {way:>9} {rate:>13,.0f} {peer_rate:>20,.0f} {ratios[way][-1]:>7.1f}", flush=True)
            stats = theirs["found"] if way == "functions" else stats
    operators, functions = (statistics.median(ratios[way]) for way in ours)
    print(f"rules over a table: {operators:.1f} times data-juicer's operators over a dataset (median, one core)")
    print(f"bare functions: {functions:.1f} times the operators' own (median, one core)")
    check_agreement(text_facts(column[: len(few)], FACTS), stats)


def print_rates(texts: list[str]) -> None:
    """How many texts a second each scorer of texts judges, with its defaults, by processor time."""
    print("texts/s on one core, by scorer")
    table = pa.table({"text": texts})
    entries: list[Entry] = [*(scorer.name for scorer in SCORERS), {"blocklist": {"words": list(WORDS)}}, "parse_facts"]
    for scorer in make_scorers(entries):
        model = load_model(scorer, "cpu").model
        rows = table.slice(0, len(texts) if scorer.name != "parse_facts" else 4096)
        scorer.score(Batch(rows.slice(0, 1000)), model)
        batches = [Batch(rows.slice(first, 4096)) for first in range(0, len(rows), 4096)]
        seconds = seconds_of(lambda: [scorer.score(batch, model) for batch in batches])  # noqa: B023
        print(f"  {scorer.name:<14} {len(rows) / seconds:>10,.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="a Python that has py-data-juicer")
    parser.add_argument("--texts", type=int, default=400_000)
    parser.add_argument("--peer_texts", type=int, default=60_000, help="how many of them data-juicer is given")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pairmill-bench-") as folder:
        peer = Peer(options.peer or make_peer(folder))
        try:
            compare(peer, options)
            print_rates(draw_texts(options.texts // 5))
        finally:
            peer.close()


if __name__ == "__main__":
    if os.environ.get("POLARS_MAX_THREADS") != "1":
        # One core: Polars reads this when it is imported, and would take all of them.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "POLARS_MAX_THREADS": "1"})  # noqa: S606
    main()
