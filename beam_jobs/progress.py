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
    def __init__(self, stage: str, shards: int, before: int, out: TextIO) -> None:
        self._stage = stage
        self._shards = shards
        self._before = before
        self._out = out
        self._tenth = 0
        self._started = time.monotonic()

    def show(self, done: int) -> None:
        seconds = time.monotonic() - self._started
        left = remaining(seconds, done=done - self._before, to_do=self._shards - done)
        if self._out.isatty():
            filled = _BAR * done // self._shards
            bar = "█" * filled + "·" * (_BAR - filled)
            self._out.write(f"\r{self._stage:<11} {bar} {done}/{self._shards} shards  {seconds:5.0f} s{left:<14} ")
            self._out.flush()
        elif done * 10 // self._shards > self._tenth and done < self._shards:
            self._tenth = done * 10 // self._shards
            self._out.write(f"{self._stage:<11} {done}/{self._shards} shards  {seconds:.0f} s{left}\n")
            self._out.flush()

    def clear(self) -> None:
        if self._out.isatty():
            self._out.write("\r" + " " * 96 + "\r")
            self._out.flush()


def remaining(seconds: float, *, done: int, to_do: int) -> str:
    """What is said of the time that is left, from that of the shards done since the start."""
    if done < 1 or to_do < 1:
        return ""
    left = seconds * to_do / done
    return f", {left:.0f} s left" if left < 120 else f", {left / 60:.0f} min left"


@contextmanager
def watching(stage: str, ledgers: Sequence[Ledger], *, shards: int, before: int) -> Iterator[None]:
    """Shows, while the block runs, how many of `shards` markers there are; `before` of them were there at its start."""
    line = _Line(stage, max(shards, 1), before, sys.stderr)
    ended = threading.Event()

    def watch() -> None:
        pause = _SECONDS_BETWEEN_LOOKS
        while not ended.wait(pause):
            started = time.monotonic()
            line.show(min(shards, before + sum(len(ledger.loose_markers()) for ledger in ledgers)))
            # Many markers in an object store take long to list: never more than a tenth of the time.
            pause = max(_SECONDS_BETWEEN_LOOKS, 9 * (time.monotonic() - started))

    thread = threading.Thread(target=watch, name="pairmill-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        line.clear()
