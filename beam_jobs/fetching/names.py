"""Host names to public addresses: cached, looked up once at a time, with bounded concurrency.

In: a host name. Out: its addresses that may be reached, or Failed: `dns` when it has none, `blocked_address` when
none of them is public. What is returned here is what is connected to: no second look-up follows.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from beam_jobs.fetching.addresses import why_refused
from beam_jobs.fetching.failures import MayPass
from schemas.reasons import Failed

Lookup = Callable[[str], list[str]]

_TEMPORARY = (socket.EAI_AGAIN, socket.EAI_MEMORY, socket.EAI_SYSTEM)


def look_up(host: str) -> list[str]:
    """Numeric addresses of a host, from the system's resolver, without repetition."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """A resolver's cache. Its coroutines run on one event loop."""

    def __init__(
        self,
        lookup: Lookup = look_up,
        *,
        parallel: int = 32,
        keep: float = 300.0,
        keep_failure: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = 200_000,
    ) -> None:
        self._lookup = lookup
        self._parallel = parallel
        self._keep = keep
        self._keep_failure = keep_failure
        self._clock = clock
        self._capacity = capacity
        self._threads: ThreadPoolExecutor | None = None
        self._known: dict[str, tuple[float, list[str] | Failed]] = {}
        self._asked: dict[str, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The public addresses of a host, at least one; Failed otherwise."""
        known = self._known.get(host)
        if known is not None and known[0] > self._clock():
            answer = known[1]
            if isinstance(answer, Failed):
                raise answer
            return answer
        task = self._asked.get(host)
        if task is None:
            task = asyncio.create_task(self._ask(host))
            self._asked[host] = task
            task.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(task)

    def _forget(self, host: str, task: asyncio.Task[list[str]]) -> None:
        self._asked.pop(host, None)
        if not task.cancelled():
            task.exception()

    async def _ask(self, host: str) -> list[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._parallel, thread_name_prefix="pairmill-dns")
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host)
            answer = public_addresses(host, found)
        except socket.gaierror as error:
            if error.errno in _TEMPORARY:
                raise MayPass("dns", f"{host}: {error.strerror}") from error
            raise self._remember_failure(host, Failed("dns", f"{host}: {error.strerror}")) from error
        except UnicodeError as error:
            raise self._remember_failure(host, Failed("dns", f"{host[:80]}: no host name can be so")) from error
        except Failed as failed:
            raise self._remember_failure(host, failed) from None
        self._remember(host, answer, self._keep)
        return answer

    def _remember(self, host: str, answer: list[str] | Failed, seconds: float) -> None:
        while len(self._known) >= self._capacity:
            self._known.pop(next(iter(self._known)))
        self._known[host] = (self._clock() + seconds, answer)

    def _remember_failure(self, host: str, failed: Failed) -> Failed:
        self._remember(host, failed, self._keep_failure)
        return failed


def public_addresses(host: str, found: list[str]) -> list[str]:
    """Those of a host's addresses that may be reached; Failed when there are none."""
    if not found:
        raise Failed("dns", f"{host} has no address")
    allowed = [address for address in found if why_refused(address) is None]
    if not allowed:
        raise Failed("blocked_address", f"{host} is {found[0]}, no public address: {why_refused(found[0])}")
    return allowed
