"""What all fetching of a process shares: an event loop in a thread, names, hosts, robots.txt answers, TLS trust.

In: nothing. Out: Commons; `shared_commons()` is the process's own, made when first asked for.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from typing import Any

from beam_jobs.fetching.hosts import HostBook
from beam_jobs.fetching.machine import MachineTurns, machine_folder
from beam_jobs.fetching.names import Lookup, Names, look_up
from beam_jobs.fetching.robots import Rules

_lock = threading.Lock()
_shared: dict[int, Commons] = {}


class Commons:
    """Shared state; the loop's thread starts with the first use and ends with the process."""

    def __init__(
        self,
        lookup: Lookup = look_up,
        *,
        keep_names: float = 300.0,
        tls: ssl.SSLContext | None = None,
        machine: MachineTurns | None = None,
    ) -> None:
        self.names = Names(lookup, keep=keep_names)
        self.hosts = HostBook(machine=machine)
        self.robots: dict[Any, tuple[float, Rules]] = {}
        self.reservations: dict[Any, Any] = {}  # as `robots`, of tdmrep.json
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start = threading.Lock()

    def tls(self) -> ssl.SSLContext:
        """Whom to trust: what was given, or what the system says, read once."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running event loop."""
        with self._start:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="pairmill-fetch", daemon=True).start()
            return self._loop


def shared_commons() -> Commons:
    """The process's Commons, with turns at hosts shared by the machine's processes; a forked child gets its own."""
    with _lock:
        if os.getpid() not in _shared:
            _shared[os.getpid()] = Commons(machine=MachineTurns(machine_folder()))
        return _shared[os.getpid()]
