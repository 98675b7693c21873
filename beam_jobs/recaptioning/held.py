"""Engines of a worker process: each entered once, in a thread that lives on, and shared by all shards at work there.

In: an engine's options, and how to make it. Out: a Held engine, which takes requests from any thread and never has more
of them in work than the engine asks for. Engines are left when the last holder lets go, and when the process ends.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future

from captioners.captioner import Answer, Engine, Request
from schemas.recaption import EngineOptions

_CLOSING_S = 60.0


class Held:
    """An engine that is entered, in the loop of the process."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._room: asyncio.Semaphore | None = None

    @property
    def most_waiting(self) -> int:
        """How many requests are worth handing over at once: twice what it works on, so that it never waits."""
        return 2 * max(1, self._engine.at_once)

    def ask(self, request: Request) -> Future[Answer]:
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def enter(self) -> None:
        asyncio.run_coroutine_threadsafe(self._engine.__aenter__(), self._loop).result()

    def leave(self) -> None:
        asyncio.run_coroutine_threadsafe(self._engine.__aexit__(None, None, None), self._loop).result(_CLOSING_S)

    async def _answer(self, request: Request) -> Answer:
        if self._room is None:
            self._room = asyncio.Semaphore(max(1, self._engine.at_once))
        async with self._room:
            return await self._engine.answer(request)


class _Process:
    """What this process holds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holders = 0
        self.engines: dict[str, Held] = {}
        self.loop: asyncio.AbstractEventLoop | None = None

    def running_loop(self) -> asyncio.AbstractEventLoop:
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            threading.Thread(target=self.loop.run_forever, name="pairmill-engines", daemon=True).start()
            atexit.register(self.leave_all)
        return self.loop

    def leave_all(self) -> None:
        """To be called by who has the lock, or at the end of the process."""
        engines, self.engines = list(self.engines.values()), {}
        for engine in engines:
            engine.leave()


_process = _Process()


def held_engine(options: EngineOptions, make: Callable[[EngineOptions], Engine]) -> Held:
    """The engine of these options, made and entered by the first who asks for it."""
    with _process.lock:
        found = _process.engines.get(options.key)
        if found is None:
            found = Held(make(options), _process.running_loop())
            found.enter()
            _process.engines[options.key] = found
        return found


def take_hold() -> None:
    """Says that engines are needed here until `let_go`."""
    with _process.lock:
        _process.holders += 1


def let_go() -> None:
    """Leaves all engines when nobody needs them any more."""
    with _process.lock:
        _process.holders -= 1
        if _process.holders <= 0:
            _process.leave_all()
