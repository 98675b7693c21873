"""Shards done one after the other by one thread, where a runner hands a process several at once.

In: calls from the runner's threads. Out: what they return or raise, where they came from. A shard takes all cores that
its process may use, and the memory of a shard; and what one thread frees, another hardly uses again.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

Task = TypeVar("Task")
Made = TypeVar("Made")


class Turns:
    """Calls that wait for the thread that serves."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._ended = False

    def do(self, call: Callable[[], Any]) -> Any:
        """What the call returns or raises. Raises RuntimeError where nobody serves any more."""
        done: Future[Any] = Future()
        self._calls.put((call, done))
        if self._ended:
            self._give_up()
        return done.result()

    def serve(self) -> None:
        """Does the calls of other threads until `end`, or until one is interrupted."""
        while (handed := self._calls.get()) is not None:
            call, done = handed
            try:
                done.set_result(call())
            except Exception as error:  # noqa: BLE001 - it is raised where the call came from
                done.set_exception(error)
            except BaseException as interruption:
                done.set_exception(interruption)
                raise

    def end(self) -> None:
        """Does no call that waits still."""
        self._ended = True
        self._give_up()
        self._calls.put(None)

    def _give_up(self) -> None:
        while not self._calls.empty():
            if (handed := self._calls.get()) is not None:
                handed[1].set_exception(RuntimeError("the pipeline has ended"))


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
        _turns = before


def in_turn(do: Callable[[Task], Made], task: Task) -> Made:
    """`do(task)`, when its turn has come; at once, unless turns are taken."""
    if _turns is None:
        return do(task)
    made: Made = _turns.do(partial(do, task))
    return made
