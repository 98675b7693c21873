"""A budget of bytes: large bodies are read only while their sum stays below it.

In: reservations and their ends, on one event loop. Out: turns, first come first served.
"""

from __future__ import annotations

import asyncio
from collections import deque


class ByteBudget:
    """`acquire` waits until so many bytes are free; a reservation above the whole budget counts as the whole."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, amount: int) -> None:
        amount = min(amount, self._size)
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(amount)
            else:
                self._waiting.remove((amount, turn))
                self._wake()
            raise

    def release(self, amount: int) -> None:
        self._free += min(amount, self._size)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= amount
                turn.set_result(None)
