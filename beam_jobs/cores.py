"""What a worker may use, where several of a job share a machine or a process.

In: what the system allows, and how many share it: PAIRMILL_PROCESSES in the environment, 1 without. Out: a number of
threads or processes to start; a turn, where a process is handed several shards at once. What is made does not depend
on it.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

PROCESSES = "PAIRMILL_PROCESSES"
_MODELS_THREADS = "OMP_NUM_THREADS"
Task = TypeVar("Task")
Made = TypeVar("Made")


def usable_cores() -> int:
    """This process's share of the cores that it may run on; at least 1."""
    return max(1, _cores() // max(1, int(os.environ.get(PROCESSES) or 1)))


@contextmanager
def shared_by(processes: int) -> Iterator[None]:
    """Within it, processes that are started know that so many share the machine; 0 stands for one a core."""
    processes = processes or _cores()
    before = {name: os.environ.get(name) for name in (PROCESSES, _MODELS_THREADS)}
    os.environ[PROCESSES] = str(processes)
    os.environ.setdefault(_MODELS_THREADS, str(usable_cores()))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _OneThread:
    """A thread that does what others hand it, one after the other; it never keeps a process from ending."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="pairmill-shards", daemon=True).start()

    def do(self, call: Callable[[], Any]) -> Any:
        """What the call returns or raises."""
        done: Future[Any] = Future()
        self._calls.put((call, done))
        return done.result()

    def end(self) -> None:
        self._calls.put(None)

    def _serve(self) -> None:
        while (handed := self._calls.get()) is not None:
            call, done = handed
            try:
                done.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the call came from
                done.set_exception(error)


_turns: _OneThread | None = None


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Within it, shards that this process is handed at once are done in turn, by one thread: each takes all cores and
    much memory, which a thread that ends, or another that begins, would neither give back nor use again.
    """
    global _turns
    before, _turns = _turns, _OneThread()
    try:
        yield
    finally:
        _turns.end()
        _turns = before


def in_turn(do: Callable[[Task], Made], task: Task) -> Made:
    """`do(task)`, when its turn has come; at once, unless turns are to be taken."""
    if _turns is None:
        return do(task)
    made: Made = _turns.do(partial(do, task))
    return made


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
