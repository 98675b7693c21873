"""Which paths each origin's robots.txt allows, asked once and kept for a day.

In: targets. Out: nothing when a target may be fetched; Failed otherwise. RFC 9309, 2.3.1: an answer of 4xx allows
all, one of 5xx forbids all; a host that cannot be reached fails as its own URLs would.
"""

from __future__ import annotations

import asyncio
import time

from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.exchange import Exchange, Trail
from beam_jobs.fetching.failures import failure_of
from beam_jobs.fetching.policy import AGENT, FetchOptions
from beam_jobs.fetching.robots import ALLOW_ALL, READ_AT_MOST, Rules, parse_robots
from beam_jobs.fetching.urls import Target, parse_target
from schemas.reasons import Failed

_KEPT = 86_400.0
_CAPACITY = 50_000
_REDIRECTS = 5


class RobotsBook:
    """robots.txt of the origins that one stream of URLs meets; what was learnt stays in `commons`."""

    def __init__(self, options: FetchOptions, commons: Commons, exchange: Exchange) -> None:
        self._options = options
        self._known = commons.robots
        self._exchange = exchange
        self._asked: dict[str, asyncio.Task[Rules]] = {}

    async def obey(self, target: Target) -> None:
        """Raises Failed when a target must not be fetched."""
        known = self._known.get((target.origin, target.rule))
        rules = known[1] if known is not None and known[0] > time.monotonic() else await self._ask_once(target)
        if not rules.allows(target.path):
            raise Failed("blocked_by_robots", f"robots.txt of {target.origin} disallows {target.path[:200]}")

    async def _ask_once(self, target: Target) -> Rules:
        task = self._asked.get(target.origin)
        if task is None:
            task = asyncio.create_task(self._ask(target))
            self._asked[target.origin] = task
            task.add_done_callback(lambda done: self._forget(target.origin, done))
        return await asyncio.shield(task)

    def _forget(self, origin: str, task: asyncio.Task[Rules]) -> None:
        self._asked.pop(origin, None)
        if not task.cancelled():
            task.exception()

    async def _ask(self, target: Target) -> Rules:
        trail = Trail(final_url=target.href)
        timeout = self._options.timeout
        try:
            rules = parse_robots(await asyncio.wait_for(self._body(target, trail), timeout), AGENT)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failed = failure_of(error, timeout=timeout)
            if failed.reason.startswith("http_5"):
                message = f"robots.txt of {target.origin} answered {failed.reason[5:]}: all is forbidden"
                raise Failed("blocked_by_robots", message) from error
            if not failed.reason.startswith("http_") and failed.reason not in ("empty_body", "too_large"):
                raise failed from error
            rules = ALLOW_ALL
        finally:
            self._exchange.give_back(trail)
        while len(self._known) >= _CAPACITY:
            self._known.pop(next(iter(self._known)))
        self._known[target.origin, target.rule] = (time.monotonic() + _KEPT, rules)
        return rules

    async def _body(self, target: Target, trail: Trail) -> bytes:
        page = parse_target("/robots.txt", self._options.resolve, base=target.href)
        for _ in range(_REDIRECTS + 1):
            answer = await self._exchange.request(page, trail, max_bytes=READ_AT_MOST * 4, obey_tags=False)
            if isinstance(answer, bytes):
                return answer
            page = parse_target(answer, self._options.resolve, base=page.href)
        return b""
