"""Shards done one after the other by one thread, where a runner hands a process several at once.

In: calls from the runner's threads. Out: what they return or raise, where they came from. A shard takes all cores that
its process may use, and the memory of a shard; and what one thread frees, another hardly uses again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

Task = TypeVar("Task")
Made = TypeVar("Made")
_ENDED = "the pipeline has ended"


class Turns:
    """Calls that wait for the thread that serves."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ended = False

    def do(self, call: Callable[[], Any]) -> Any:
        """What the call returns or raises. RuntimeError where it will not be done, since the end has come."""
        done: Future[Any] = Future()
        with self._lock:
            if self._ended:
                raise RuntimeError(_ENDED)
            self._calls.put((call, done))
        return done.result()

    def serve(self) -> None:
        """Does the calls of other threads until `end`, or until one is interrupted."""
        while (handed := self._calls.get()) is not None:
            call, done = handed
            if self._ended:
                done.set_exception(RuntimeError(_ENDED))
                continue
            try:
                done.set_result(call())
            except Exception as error:  # noqa: BLE001 - it is raised where the call came from
                done.set_exception(error)
            except BaseException as interruption:
                done.set_exception(interruption)
                raise

    def end(self) -> None:
        """No call is done from now on, also none that waits."""
        with self._lock:
            self._ended = True
            self._calls.put(None)


_turns: Turns | None = None


@contextmanager
def taking_turns() -> Iterator[Turns]:
    """Within it, shards wait for their turns."""
    global _turns
    before, _turns = _turns, Turns()
    try:
        yield _turns
    finally:
        _turns.end()
        _turns.serve()  # whoever waits still is told of the end
        _turns = before


def in_turn(do: Callable[[Task], Made], task: Task) -> Made:
    """`do(task)`, when its turn has come; at once, unless turns are taken."""
    if _turns is None:
        return do(task)
    made: Made = _turns.do(partial(do, task))
    return made
