"""Requests that come one by one, answered in batches by a model in a thread of its own.

In: items, each awaited by whoever asks. Out: what a function makes of a batch of them, item by item. Whoever comes
first runs the batch for all that wait; the others' items get ready meanwhile. What an item is given depends on it
alone, if the function says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class _Waiting(Generic[Item, Made]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.made: list[Made] = []


class Batches(Generic[Item, Made]):
    """size: items in a batch at most. `alike` tells which may share one: those for which it gives the same."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Made]],
        *,
        size: int,
        alike: Callable[[Item], object] = lambda item: None,
    ) -> None:
        self._run = run
        self._size = size
        self._alike = alike
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._getting_ready = 0
        self._waiting: list[_Waiting[Item, Made]] = []
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="captions")
        self._ready_threads = ThreadPoolExecutor(2, thread_name_prefix="pictures")

    async def alone(self, do: Callable[[], None]) -> None:
        """Does something in the model's thread, such as loading it."""
        await asyncio.get_running_loop().run_in_executor(self._model_thread, do)

    async def make(self, ready: Callable[[], Item]) -> Made:
        """Gets an item ready in a thread, then has it answered among others. Raises what either raises."""
        loop = asyncio.get_running_loop()
        self._getting_ready += 1
        try:
            mine: _Waiting[Item, Made] = _Waiting(await loop.run_in_executor(self._ready_threads, ready))
            self._waiting.append(mine)
        finally:
            self._getting_ready -= 1
            self._changed.set()
        try:
            async with self._turn:
                # Whoever has the turn runs the oldest: it may take some batches until that is one's own.
                while not mine.made:
                    await self._fill()
                    batch = self._take()
                    made = await loop.run_in_executor(self._model_thread, self._run, [each.item for each in batch])
                    for each, answer in zip(batch, made, strict=True):
                        each.made.append(answer)
        finally:
            self._waiting.remove(mine)
        return mine.made[0]

    def close(self) -> None:
        """Waits for what runs."""
        self._model_thread.shutdown()
        self._ready_threads.shutdown()

    async def _fill(self) -> None:
        """Waits until a batch is full, or nothing more is getting ready."""
        while self._getting_ready and len(self._unanswered()) < self._size:
            self._changed.clear()
            await self._changed.wait()

    def _take(self) -> list[_Waiting[Item, Made]]:
        """The oldest without an answer, and those after it that may share its batch."""
        waiting = self._unanswered()
        kind = self._alike(waiting[0].item)
        return [each for each in waiting if self._alike(each.item) == kind][: self._size]

    def _unanswered(self) -> list[_Waiting[Item, Made]]:
        return [each for each in self._waiting if not each.made]
