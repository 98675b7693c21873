"""Images that wait for a decoding process, and what becomes of each.

In: jobs, from the threads that fetch. Out: handfuls of them, to the threads that serve a process each. Bounded by
number and by bytes; what waits for room goes on when half of it is free, since waking a thread for each image costs
as much as reading its answer.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from beam_jobs.fetching.pixels import Prepared

_PER_TAKER = 8
_MOST_BYTES = 33_554_432


@dataclass
class Job:
    """An image file, the options as a process reads them, and how often a process died of it."""

    options: bytes
    data: bytes
    done: Future[Prepared] = field(default_factory=Future)
    crashes: int = 0


class JobQueue:
    """First in, first out, for so many threads that take."""

    def __init__(self, takers: int) -> None:
        self._takers = takers
        self._most = _PER_TAKER * takers
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._full = self._ended = False
        lock = threading.Lock()
        self._come, self._room = threading.Condition(lock), threading.Condition(lock)

    def put(self, job: Job) -> None:
        """Adds a job, as soon as there is room."""
        with self._room:
            while self._full:
                self._room.wait()
            self._jobs.append(job)
            self._bytes += len(job.data)
            self._full = len(self._jobs) >= self._most or self._bytes >= _MOST_BYTES
            self._come.notify()

    def take(self, most: int, *, wait: bool) -> list[Job] | None:
        """A fair share of what waits, at most so many; None once there is nothing left and never will be."""
        with self._come:
            while wait and not self._jobs and not self._ended:
                self._come.wait()
            if not self._jobs and self._ended:
                return None
            share = min(most, -(-len(self._jobs) // self._takers))
            taken = [self._jobs.popleft() for _ in range(share)]
            self._bytes -= sum(len(job.data) for job in taken)
            if self._full and 2 * len(self._jobs) <= self._most and 2 * self._bytes <= _MOST_BYTES:
                self._full = False
                self._room.notify_all()
            return taken

    def end(self) -> None:
        """Says that nothing more comes."""
        with self._come:
            self._ended = True
            self._come.notify_all()
