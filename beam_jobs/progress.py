"""Progress on the terminal, read from the ledger alone, so that it is the same on every runner.

In: the ledgers of a running stage and how many shards it makes. Out: one line that is rewritten on a terminal, or a
line at each tenth when the output is no terminal.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from beam_jobs.storage.ledger import Ledger

_SECONDS_BETWEEN_LOOKS = 1.0
_BAR = 24


def say(line: str) -> None:
    """A line for people; standard error, so that results on standard output stay clean."""
    print(line, file=sys.stderr, flush=True)


class _Line:
    def __init__(self, stage: str, shards: int, out: TextIO) -> None:
        self._stage = stage
        self._shards = shards
        self._out = out
        self._tenth = 0
        self._started = time.monotonic()

    def show(self, done: int) -> None:
        seconds = time.monotonic() - self._started
        if self._out.isatty():
            filled = _BAR * done // self._shards
            bar = "█" * filled + "·" * (_BAR - filled)
            self._out.write(f"\r{self._stage:<11} {bar} {done}/{self._shards} shards  {seconds:5.0f} s ")
            self._out.flush()
        elif done * 10 // self._shards > self._tenth and done < self._shards:
            self._tenth = done * 10 // self._shards
            self._out.write(f"{self._stage:<11} {done}/{self._shards} shards  {seconds:.0f} s\n")
            self._out.flush()

    def clear(self) -> None:
        if self._out.isatty():
            self._out.write("\r" + " " * 78 + "\r")
            self._out.flush()


@contextmanager
def watching(stage: str, ledgers: Sequence[Ledger], *, shards: int, before: int) -> Iterator[None]:
    """Shows, while the block runs, how many of `shards` markers there are; `before` of them were there at its start."""
    line = _Line(stage, max(shards, 1), sys.stderr)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            line.show(min(shards, before + sum(len(ledger.loose_markers()) for ledger in ledgers)))

    thread = threading.Thread(target=watch, name="pairmill-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        line.clear()
