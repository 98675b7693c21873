"""Captions from OpenAI-compatible servers: one URL or several, by HTTP, with a bounded number in flight.

In: requests. Out: answers; Failed with `caption_timeout`, `caption_refused` (a status that asking again will not
change) or `caption_failed` where none came within the tries and the deadline; EngineDown where nothing listens any
more. What may pass (no connection, 408, 429, 5xx, an answer that is no answer) is tried again, at another server if
there is one, after a wait that doubles and is bounded, or as long as Retry-After says within the deadline. The key
stands in the environment alone, in no message.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from captioners.captioner import Answer, EngineDown, Request
from captioners.chat import BadAnswer, chat_body, read_answer
from captioners.key import KEY_VARIABLE, authorization, read_key, repeats
from schemas.reasons import Failed
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import aiohttp

MOST_BYTES = 16 << 20
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class EndpointOptions:
    """urls: bases that end before `/chat/completions`, such as `http://127.0.0.1:8000/v1`. model: the served name.

    at_once: requests in flight, over all servers. timeout: seconds that one try may take; deadline: seconds that a
    request may take with all its tries. tries: how often a request is sent. longest_wait: seconds between tries.
    """

    urls: tuple[str, ...]
    model: str
    at_once: int = 32
    timeout: float = 120.0
    deadline: float = 600.0
    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0

    def __post_init__(self) -> None:
        if not self.urls:
            raise Refusal("captioner endpoint: expected at least one URL, none given")
        for url in self.urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise Refusal(f"captioner endpoint: expected an http or https URL; given {_shown(url)!r}")
            if parts.username or parts.password:
                raise Refusal(
                    f"captioner endpoint: {_shown(url)!r} holds a password; keys come from {KEY_VARIABLE} alone"
                )
        for name in ("at_once", "timeout", "deadline", "tries", "first_wait", "longest_wait"):
            if getattr(self, name) <= 0:
                raise Refusal(f"captioner endpoint: {name} must be above 0; given {getattr(self, name)!r}")


class Endpoint:
    """An engine over servers that others run."""

    def __init__(self, options: EndpointOptions, *, environment: Mapping[str, str] = os.environ) -> None:
        self.options = options
        self._key = read_key(environment)
        self._in_flight = dict.fromkeys(options.urls, 0)
        self._session: aiohttp.ClientSession | None = None

    @property
    def at_once(self) -> int:
        return self.options.at_once

    async def __aenter__(self) -> Endpoint:
        import aiohttp

        headers = {"Content-Type": "application/json", **authorization(self._key)}
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=self.options.at_once),
            timeout=aiohttp.ClientTimeout(total=self.options.timeout),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *ended: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def answer(self, request: Request) -> Answer:
        """Raises Failed, or EngineDown; no exception of the connection gets through."""
        body = chat_body(request, served_name=self.options.model)
        try:
            return await asyncio.wait_for(self._with_tries(body, request), self.options.deadline)
        except asyncio.TimeoutError:
            raise Failed("caption_timeout", f"no answer in {self.options.deadline:g} s") from None

    async def _with_tries(self, body: bytes, request: Request) -> Answer:
        tried: list[str] = []
        absent = 0
        # Waits differ from request to request, so that not all come back at once; no output depends on them.
        spread = random.Random(request.digest)
        for turn in range(self.options.tries):
            url = self._freest(tried)
            tried.append(url)
            try:
                return await self._try(url, body, n=request.decoding.n)
            except _Passing as error:
                last = error
                absent = absent + 1 if error.absent else 0
            if turn + 1 < self.options.tries:
                wait = min(self.options.longest_wait, self.options.first_wait * 2**turn * spread.uniform(0.75, 1.25))
                await asyncio.sleep(last.wait if last.wait is not None else wait)
        # The first try may have been the one that the server died of.
        if absent >= max(1, self.options.tries - 1):
            hosts = ", ".join(urlsplit(each).netloc for each in self.options.urls)
            raise EngineDown(f"nothing listens at {hosts} ({self.options.tries} tries)")
        raise Failed(last.reason, f"{last} ({self.options.tries} tries)")

    def _freest(self, tried: Sequence[str]) -> str:
        """The server with the fewest requests in flight, before those that this request tried last."""
        return min(self.options.urls, key=lambda url: (tried.count(url), self._in_flight[url]))

    async def _try(self, url: str, body: bytes, *, n: int) -> Answer:
        import aiohttp

        assert self._session is not None, "the engine is entered before it is asked"
        self._in_flight[url] += 1
        try:
            async with self._session.post(
                f"{url.rstrip('/')}/chat/completions", data=body, allow_redirects=False
            ) as response:
                held = await _bounded(response)
                if response.status != 200:
                    raise _of_status(response.status, response.headers.get("Retry-After"))
                if repeats(self._key, held):
                    raise Failed("caption_refused", "the server's answer repeats the key")
                return read_answer(held, n=n)
        except BadAnswer as error:
            # From nothing: what the server said may repeat the key, and would stand in a traceback.
            raise _Passing("caption_failed", f"the server's answer: {error}") from None
        except asyncio.TimeoutError as error:
            raise _Passing("caption_timeout", f"no answer in {self.options.timeout:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise _Passing("caption_failed", f"no answer: {type(error).__name__}", absent=True) from error
        except aiohttp.ClientError as error:
            raise _Passing("caption_failed", f"no answer: {type(error).__name__}") from error
        finally:
            self._in_flight[url] -= 1


class _Passing(Exception):
    """A failure that another try may mend. wait: seconds that the server asked for. absent: there is no server."""

    def __init__(self, reason: str, message: str, wait: float | None = None, *, absent: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.wait = wait
        self.absent = absent


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, up to MOST_BYTES."""
    held = bytearray()
    async for part in response.content.iter_chunked(1 << 16):
        held += part
        if len(held) > MOST_BYTES:
            raise BadAnswer(f"more than {MOST_BYTES:,} bytes")
    return bytes(held)


def _of_status(status: int, retry_after: str | None) -> Exception:
    if status not in _PASSING:
        return Failed("caption_refused", f"the server answered with status {status}")
    wait = float(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdigit() else None
    return _Passing("caption_failed", f"the server answered with status {status}", wait)


def _shown(url: str) -> str:
    """A URL without what stands before its host."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else url
