"""A `map` that works ahead in threads, keeps the order, and never holds more than it was told to.

In: a function and items, drawn in a thread of their own. Out: the results, in the items' order; an exception of
either is raised where its result would come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Full, Queue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_LOOK_UP_S = 0.1


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Generator[Result, None, None]:
    """Results of up to `ahead` items wait or are in work at a time."""
    waiting: Queue[Future[Result] | None] = Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(future: Future[Result] | None) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(future, timeout=_LOOK_UP_S)
            except Full:
                continue

    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:

        def feed() -> None:
            try:
                for item in items:
                    put(pool.submit(function, item))
                    if stopped.is_set():
                        return
            except Exception as error:  # noqa: BLE001 - raised again where the results are taken
                failed: Future[Result] = Future()
                failed.set_exception(error)
                put(failed)
            put(None)

        feeder = threading.Thread(target=feed, name="ahead-feeder", daemon=True)
        feeder.start()
        try:
            while (future := waiting.get()) is not None:
                yield future.result()
        finally:
            stopped.set()
            feeder.join()
