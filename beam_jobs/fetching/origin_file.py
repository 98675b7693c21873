"""A file at a fixed path of every origin, such as /robots.txt: asked for once, and what it says kept for a day.

In: targets, and how to read the file or its absence. Out: what the target's origin says. What was learnt stays in the
dictionary given, which all streams of a process share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from beam_jobs.fetching.exchange import Exchange, Trail
from beam_jobs.fetching.failures import failure_of
from beam_jobs.fetching.policy import FetchOptions
from beam_jobs.fetching.urls import Target, parse_target
from schemas.reasons import Failed

Answer = TypeVar("Answer")
Known = dict[Any, tuple[float, Answer]]

_KEPT = 86_400.0
_CAPACITY = 50_000
_REDIRECTS = 5


class OriginFile(Generic[Answer]):
    """read(target, data) makes an answer of the file; missing(target, failure) of its absence, or raises Failed."""

    def __init__(
        self,
        path: str,
        *,
        max_bytes: int,
        read: Callable[[Target, bytes], Answer],
        missing: Callable[[Target, Failed], Answer],
        known: Known[Answer],
        options: FetchOptions,
        exchange: Exchange,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._read = read
        self._missing = missing
        self._known = known
        self._options = options
        self._exchange = exchange
        self._asked: dict[str, asyncio.Task[Answer]] = {}

    async def of(self, target: Target) -> Answer:
        """What the target's origin says."""
        known = self._known.get((target.origin, target.rule))
        if known is not None and known[0] > time.monotonic():
            return known[1]
        task = self._asked.get(target.origin)
        if task is None:
            task = asyncio.create_task(self._ask(target))
            self._asked[target.origin] = task
            task.add_done_callback(lambda done: self._forget(target.origin, done))
        return await asyncio.shield(task)

    def _forget(self, origin: str, task: asyncio.Task[Answer]) -> None:
        self._asked.pop(origin, None)
        if not task.cancelled():
            task.exception()

    async def _ask(self, target: Target) -> Answer:
        trail = Trail(final_url=target.href)
        timeout = self._options.timeout
        try:
            answer = self._read(target, await asyncio.wait_for(self._body(target, trail), timeout))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - failure_of raises what no network can cause
            answer = self._missing(target, failure_of(error, timeout=timeout))
        finally:
            self._exchange.give_back(trail)
        while len(self._known) >= _CAPACITY:
            self._known.pop(next(iter(self._known)))
        self._known[target.origin, target.rule] = (time.monotonic() + _KEPT, answer)
        return answer

    async def _body(self, target: Target, trail: Trail) -> bytes:
        place = parse_target(self._path, self._options.resolve, base=target.href)
        for _ in range(_REDIRECTS + 1):
            answer = await self._exchange.request(place, trail, max_bytes=self._max_bytes, obey_tags=False)
            if isinstance(answer, bytes):
                return answer
            place = parse_target(answer, self._options.resolve, base=place.href)
        return b""
