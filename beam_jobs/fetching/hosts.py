"""Manners towards hosts: how many requests at once, how far apart, pauses asked for, and when to give up.

In: host names, as requests begin and end. Out: slots to send in; the verdict that a host is given up. State is kept
per host for a whole process, whatever shards its URLs are in; slots and pauses are shared with the machine's other
processes through MachineTurns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from beam_jobs.fetching.machine import MachineTurns

UNREACHABLE = frozenset({"dns", "connect", "tls", "timeout"})
_ASK_AGAIN = (0.01, 0.1)  # seconds between two looks for a turn that another process has, at first and at most


@dataclass
class _Host:
    slots: asyncio.Semaphore
    next_start: float = 0.0
    failures: int = 0
    refused: int = 0
    users: int = 0


@dataclass(frozen=True)
class HostLimits:
    """per_host: requests at once. delay: seconds between two. failures: URLs in a row that end unreachable before
    the host is given up. probe: each so-manieth URL of a host given up tries it all the same."""

    per_host: int
    delay: float
    failures: int
    probe: int


@dataclass
class Slot:
    """Permission to send to a host; released once."""

    host: _Host
    held: bool = field(default=True)
    turn: int | None = None
    machine: MachineTurns | None = None

    def release(self) -> None:
        if self.held:
            self.held = False
            if self.machine is not None and self.turn is not None:
                self.machine.give_back(self.turn)
            self.host.users -= 1
            self.host.slots.release()


class HostBook:
    """Hosts in use and hosts that failed. Its coroutines run on one event loop."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        capacity: int = 100_000,
        machine: MachineTurns | None = None,
    ) -> None:
        self._machine = machine
        self._hosts: dict[str, _Host] = {}
        self._clock = clock
        self._capacity = capacity

    def _host(self, name: str, limits: HostLimits) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= self._capacity:
                self._drop_idle()
            host = self._hosts[name] = _Host(asyncio.Semaphore(limits.per_host))
        return host

    def _drop_idle(self) -> None:
        idle = [name for name, host in self._hosts.items() if host.users == 0]
        for name in idle[: self._capacity // 10]:
            del self._hosts[name]

    async def slot(self, name: str, limits: HostLimits) -> Slot:
        """Waits for a turn at a host: its concurrency, its delay, and the pause that it asked for."""
        host = self._host(name, limits)
        host.users += 1
        try:
            await host.slots.acquire()
        except BaseException:
            host.users -= 1
            raise
        slot = Slot(host, machine=self._machine)
        try:
            await self._wait_for_turn(slot, name, limits)
            now = self._clock()
            start = max(now, host.next_start)
            if self._machine is not None:
                start = self._machine.begin(name, start, limits.delay)
            if limits.delay:
                host.next_start = start + limits.delay
            if start > now:
                await asyncio.sleep(start - now)
        except BaseException:
            slot.release()
            raise
        return slot

    async def _wait_for_turn(self, slot: Slot, name: str, limits: HostLimits) -> None:
        """One of the turns that the machine's processes share."""
        if self._machine is None:
            return
        wait, longest = _ASK_AGAIN
        while (turn := self._machine.take(name, limits.per_host)) is None:
            await asyncio.sleep(wait)
            wait = min(2 * wait, longest)
        slot.turn = turn

    def pause(self, name: str, seconds: float, limits: HostLimits) -> None:
        """Lets no request to a host begin for so long."""
        host = self._host(name, limits)
        host.next_start = max(host.next_start, self._clock() + seconds)
        if self._machine is not None:
            self._machine.pause(name, host.next_start)

    def given_up(self, name: str, limits: HostLimits) -> bool:
        """Whether a host is left alone; now and then says no, so that a host that came back is noticed."""
        host = self._hosts.get(name)
        if host is None or not limits.failures or host.failures < limits.failures:
            return False
        host.refused += 1
        return limits.probe == 0 or host.refused % limits.probe != 0

    def ended(self, name: str, reason: str | None, limits: HostLimits) -> None:
        """Notes how a URL of a host ended, retries included."""
        host = self._host(name, limits)
        if reason in UNREACHABLE:
            host.failures += 1
        elif reason != "host_given_up":
            host.failures = 0
