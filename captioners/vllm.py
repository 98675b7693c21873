"""Captions from a vLLM of our own: its server, and the client that asks it.

In: requests. Out: answers. A server that dies in the middle is started again, and what it had not answered is asked
again; only a server that dies again and again ends the job.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from captioners.captioner import Answer, EngineDown, Request
from captioners.endpoint import Endpoint, EndpointOptions
from captioners.vllm_server import SERVED_NAME, VllmOptions, VllmServer
from schemas.reasons import Failed


class Vllm:
    """An engine over one vLLM server process. at_once: requests in flight, which its batches are made of."""

    def __init__(self, options: VllmOptions, *, at_once: int = 64, timeout: float = 300.0) -> None:
        self._server = VllmServer(options)
        self._asking = EndpointOptions(urls=("http://127.0.0.1",), model=SERVED_NAME, at_once=at_once, timeout=timeout)
        self._endpoint: Endpoint | None = None
        self._mending = asyncio.Lock()

    @property
    def at_once(self) -> int:
        return self._asking.at_once

    @property
    def server(self) -> VllmServer:
        return self._server

    async def __aenter__(self) -> Vllm:
        await self._server.start()
        await self._connect()
        return self

    async def __aexit__(self, *ended: object) -> None:
        try:
            if self._endpoint is not None:
                await self._endpoint.__aexit__(*ended)
        finally:
            self._server.stop()

    async def answer(self, request: Request) -> Answer:
        """Raises Failed; JobFailed when the server does not come back."""
        while True:
            endpoint = self._endpoint
            assert endpoint is not None, "the engine is entered before it is asked"
            try:
                return await endpoint.answer(request)
            except (Failed, EngineDown) as failure:
                if isinstance(failure, Failed) and failure.reason == "caption_refused":
                    raise
                async with self._mending:
                    # Another request may have mended it while this one waited.
                    if endpoint is self._endpoint:
                        if not await self._server.revive():
                            raise
                        await self._connect()

    async def _connect(self) -> None:
        """A client of the server's present address; that of the last one is closed."""
        before = self._endpoint
        # The waits are those of a server that is there; one that is not is started again, not waited for.
        options = replace(self._asking, urls=(self._server.url,), tries=2, first_wait=0.1)
        self._endpoint = await Endpoint(options, environment={}).__aenter__()
        if before is not None:
            await before.__aexit__()
