"""One URL from its first request to its end: redirects hop by hop, retries within a deadline, manners.

In: a URL. Out: Fetched, always, with a body or a reason. Runs on the event loop of its Commons.

Turns are taken in one order, host first, then slot, and both are given back between hops: no circle of waiting.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from beam_jobs.fetching.alarm import within
from beam_jobs.fetching.budget import ByteBudget
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.exchange import Exchange, Trail
from beam_jobs.fetching.failures import MayPass, failure_of
from beam_jobs.fetching.hosts import HostLimits, Slot
from beam_jobs.fetching.policy import TRANSIENT, FetchOptions
from beam_jobs.fetching.robots_book import RobotsBook
from beam_jobs.fetching.tdmrep import TdmBook
from beam_jobs.fetching.urls import Target, parse_target
from schemas.reasons import Failed


@dataclass(frozen=True)
class Fetched:
    """What became of a URL: a body, or a reason of schemas.reasons.FAILURES and a message.

    headers: those that later decisions read, by lower-case name; lines of one name are joined by a newline.
    """

    url: str
    final_url: str
    http_status: int | None
    content_type: str | None
    headers: Mapping[str, str]
    body: bytes | None
    reason: str | None
    message: str | None
    attempts: int = 1


class Client:
    """Fetches URLs of one stream. Opened and closed on the loop of `commons`."""

    def __init__(self, options: FetchOptions, commons: Commons, slots: asyncio.Semaphore, budget: ByteBudget) -> None:
        self._options = options
        self._hosts = commons.hosts
        self._slots = slots
        self._exchange = Exchange(options, commons, budget)
        self._robots = RobotsBook(options, commons, self._exchange)
        self._reservations = TdmBook(options, commons, self._exchange)
        self._limits = HostLimits(options.per_host, options.host_delay, options.host_failures, options.host_probe)

    async def open(self) -> None:
        await self._exchange.open()

    async def close(self) -> None:
        await self._exchange.close()

    async def fetch(self, url: str) -> tuple[Fetched, Trail]:
        """What became of a URL. The trail says what its body still holds: a slot, and bytes of the budget."""
        trail = Trail(final_url=url)
        body: bytes | None = None
        reason = message = None
        try:
            target = parse_target(url, self._options.resolve)
            trail.host = target.host
            if self._hosts.given_up(target.host, self._limits):
                raise Failed("host_given_up", f"{target.host} could not be reached too often in a row")
            body = await self._try(target, trail)
        except Failed as failed:
            reason, message = failed.reason, failed.message
        if trail.host:
            self._hosts.ended(trail.host, reason, self._limits)
        fetched = Fetched(
            url=url,
            final_url=trail.final_url,
            http_status=trail.status,
            content_type=trail.content_type,
            headers=trail.headers,
            body=body,
            reason=reason,
            message=message,
            attempts=trail.attempts,
        )
        return fetched, trail

    async def _try(self, target: Target, trail: Trail) -> bytes:
        """Attempts until one succeeds, fails for good, or the deadline is near. The clock starts with the first."""
        options = self._options
        end: float | None = None
        while True:
            trail.attempts += 1
            turn = await self._turn(target, trail)
            end = end or time.monotonic() + options.deadline
            try:
                return await within(max(end - time.monotonic(), 0.001), self._follow(target, trail, turn))
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - failure_of raises what no network can cause
                left = end - time.monotonic()
                if isinstance(error, (asyncio.TimeoutError, TimeoutError)) and left <= 0:
                    failed = Failed("timeout", f"not complete within {options.deadline:g} s")
                else:
                    failed = failure_of(error, timeout=options.timeout)
                failed = failed.with_traceback(None)  # its frames would keep the response and its buffers
                failed.__context__ = failed.__cause__ = None
                self._let_go(trail)
            finally:
                turn.release()
            await self._pause(failed, target, trail, left)

    async def _turn(self, target: Target, trail: Trail) -> Slot:
        """The host's permission, then one of the stream's slots."""
        trail.host = target.host
        turn = await self._hosts.slot(target.host, self._limits)
        try:
            await self._slots.acquire()
        except BaseException:
            turn.release()
            raise
        trail.holding = True
        return turn

    def _let_go(self, trail: Trail) -> None:
        self._exchange.give_back(trail)
        if trail.holding:
            trail.holding = False
            self._slots.release()

    async def _pause(self, failed: Failed, target: Target, trail: Trail, left: float) -> None:
        """Sleeps before the next attempt, or raises when there is to be none."""
        if trail.attempts > self._options.retries:
            raise failed
        if not isinstance(failed, MayPass) and failed.reason not in TRANSIENT:
            raise failed
        asked = failed.wait if isinstance(failed, MayPass) else None
        wait = back_off(trail.attempts, self._options.backoff, target.href) if asked is None else asked
        if wait >= left:
            raise failed
        if asked is not None:
            self._hosts.pause(trail.host, asked, self._limits)
        await asyncio.sleep(wait)

    async def _follow(self, target: Target, trail: Trail, turn: Slot) -> bytes:
        """Requests, hop by hop, each checked anew."""
        for _ in range(self._options.max_redirects + 1):
            trail.final_url = target.href
            try:
                if self._options.robots:
                    await self._robots.obey(target)
                reserved = self._options.read_tdm_file and await self._reservations.reserves(target)
                if reserved and self._options.honour_tdm:
                    raise Failed("blocked_by_tag", f"tdmrep.json of {target.origin} reserves text and data mining")
                answer = await self._exchange.request(target, trail, max_bytes=self._options.max_bytes)
            finally:
                turn.release()
            if isinstance(answer, bytes):
                if reserved:
                    trail.headers["tdm-reservation"] = "1"
                return answer
            self._let_go(trail)
            target = parse_target(answer, self._options.resolve, base=target.href)
            turn = await self._turn(target, trail)
        turn.release()
        raise Failed("too_many_redirects", f"more than {self._options.max_redirects} redirects")


def back_off(attempt: int, base: float, url: str) -> float:
    """Seconds before the attempt after `attempt`: doubling, and spread by the URL so that many do not coincide."""
    spread = 0.75 + 0.5 * (zlib.crc32(url.encode()) % 1000) / 1000
    return float(base * 2 ** (attempt - 1) * spread)
