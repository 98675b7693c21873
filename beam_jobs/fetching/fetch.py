"""Fetching many URLs: a stream in, a stream out, in the order of completion.

In: (index, url) pairs, pulled as room becomes free. Out: (index, Fetched), one per pair, whatever happens.
Memory is bounded by `concurrency` bodies of `large_bytes`, and a budget for those above.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from beam_jobs.fetching.budget import ByteBudget
from beam_jobs.fetching.client import Client, Fetched
from beam_jobs.fetching.commons import Commons, shared_commons
from beam_jobs.fetching.policy import FetchOptions

__all__ = ["FetchOptions", "Fetched", "fetch_all"]

_WAITING_PER_SLOT = 8
_BATCH = 64

_Ended = tuple[int, Fetched | BaseException, Callable[[], None]]


class _Run:
    """One stream of URLs on the loop; `start` and `close` are called there."""

    def __init__(self, options: FetchOptions, commons: Commons) -> None:
        self.ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._options = options
        self._commons = commons
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._slots = asyncio.Semaphore(self._options.concurrency)
        self._budget = ByteBudget(self._options.held_bytes)
        self._client = Client(self._options, self._commons, self._slots, self._budget)
        await self._client.open()

    def start(self, pairs: list[tuple[int, str]]) -> None:
        for index, url in pairs:
            task = asyncio.ensure_future(self._one(index, url))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, index: int, url: str) -> None:
        try:
            fetched, trail = await self._client.fetch(url)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours: the caller's thread raises it
            self.ended.put((index, error, _nothing))
            return

        def taken() -> None:
            self._budget.release(trail.reserved)
            self._slots.release()

        self.ended.put((index, fetched, taken if trail.holding else _nothing))

    def free(self, taken: list[Callable[[], None]]) -> None:
        for give_back in taken:
            give_back()

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()


def _nothing() -> None:
    return None


def fetch_all(
    urls: Iterable[tuple[int, str]], options: FetchOptions, *, commons: Commons | None = None
) -> Iterator[tuple[int, Fetched]]:
    """Fetches each URL once and yields it as it ends. Close the generator to stop early: nothing goes on behind."""
    commons = commons or shared_commons()
    loop = commons.loop()
    run = _Run(options, commons)
    asyncio.run_coroutine_threadsafe(run.open(), loop).result()
    source = iter(urls)
    waiting, more = 0, True
    room = options.concurrency * _WAITING_PER_SLOT
    at_once = max(1, options.concurrency // 8)  # waking the loop costs as much as parsing an answer
    given_back: list[Callable[[], None]] = []
    try:
        while more or waiting:
            while more and waiting + at_once <= room and (waiting < options.concurrency or run.ended.empty()):
                batch = list(islice(source, min(_BATCH, room - waiting)))
                more = bool(batch)
                waiting += len(batch)
                if batch:
                    loop.call_soon_threadsafe(run.start, batch)
            if not waiting:
                break
            if len(given_back) >= at_once or (given_back and run.ended.empty()):
                loop.call_soon_threadsafe(run.free, given_back)
                given_back = []
            index, fetched, taken = run.ended.get()
            waiting -= 1
            if isinstance(fetched, BaseException):
                raise fetched
            yield index, fetched
            if taken is not _nothing:
                given_back.append(taken)
    finally:
        asyncio.run_coroutine_threadsafe(run.close(), loop).result()
