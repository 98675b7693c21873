"""One HTTP request and its answer, within limits: no cookies, no credentials, no proxy, no unchecked address.

In: a Target. Out: the body, or the Location of a redirect; Failed, or an exception of aiohttp, otherwise.

HTTP/1.1 over connections that are kept, also where a server offers HTTP/2: a body of 253 KB takes 0.4 ms of processor
so, and 4 ms through the frames of httpx and h2, which is nearly what its decoding takes. What HTTP/2 would save,
connections to one host, `per_host` bounds already.
"""

from __future__ import annotations

import asyncio
import email.utils
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from beam_jobs.fetching.addresses import is_numeric, why_refused
from beam_jobs.fetching.budget import ByteBudget
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.failures import TAG_MESSAGE, MayPass, http_failure
from beam_jobs.fetching.policy import AGENT, FetchOptions
from beam_jobs.fetching.tags import forbidding_tag, reserves_mining
from beam_jobs.fetching.urls import Target
from schemas.reasons import Failed

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEPT_HEADERS = ("x-robots-tag", "tdm-reservation", "tdm-policy", "content-language", "last-modified", "link")
_DRAIN = 16_384
_READ_BUFFER = 262_144


@dataclass
class Trail:
    """What is known of a URL so far, kept whatever happens next, and what it holds."""

    final_url: str
    host: str = ""
    status: int | None = None
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    reserved: int = 0
    holding: bool = False


class _CheckedNames(AbstractResolver):
    """aiohttp's way to our resolver: only addresses that were checked come out."""

    def __init__(self, commons: Commons) -> None:
        self._commons = commons

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._commons.names.addresses(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        return None


class Exchange:
    """A session. Opened, used and closed on the loop of `commons`."""

    def __init__(self, options: FetchOptions, commons: Commons, budget: ByteBudget) -> None:
        self._options = options
        self._commons = commons
        self._budget = budget
        self._endpoints: dict[tuple[str, int], str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        options = self._options
        for rule in options.resolve:
            self._endpoints[rule.host, rule.port] = await _numeric(rule.host)
        connector = aiohttp.TCPConnector(
            resolver=_CheckedNames(self._commons),
            use_dns_cache=False,
            limit=0,
            ssl=self._commons.tls(),
            socket_factory=self._open_socket,
            keepalive_timeout=15,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": options.agent,
                "Accept": options.accept,
                "Accept-Encoding": "gzip, deflate",
            },
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.timeout, sock_read=options.timeout),
            max_line_size=options.max_header_bytes,
            max_field_size=options.max_header_bytes,
            max_headers=options.max_headers,
            read_bufsize=_READ_BUFFER,
            trust_env=False,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """The last look before a connection: whatever led here, a refused address is not connected to."""
        family, kind, protocol, _, (ip, port, *_) = address
        why = why_refused(ip)
        if why is not None and all((known, rule[1]) != (ip, port) for rule, known in self._endpoints.items()):
            raise Failed("blocked_address", f"{ip} is not a public address: {why}")
        return socket.socket(family, kind, protocol)

    async def request(self, target: Target, trail: Trail, *, max_bytes: int, obey_tags: bool = True) -> bytes | str:
        """One request: a body, or the Location of a redirect."""
        assert self._session is not None, "open() comes first"
        url, server_name = target.href, None
        if target.rule is not None:
            address = self._endpoints[target.rule.host, target.rule.port]
            host = f"[{address}]" if ":" in address else address
            url = f"{'https' if target.secure else 'http'}://{host}:{target.rule.port}{target.path}"
            server_name = target.host if target.secure else None
        async with self._session.get(
            URL(url, encoded=True),
            headers={"Host": target.authority},
            allow_redirects=False,
            server_hostname=server_name,
        ) as response:
            headers = response.headers
            trail.status = response.status
            trail.content_type = headers.get("Content-Type")
            trail.headers = {name: "\n".join(headers.getall(name)) for name in _KEPT_HEADERS if name in headers}
            if response.status in _REDIRECTS and "Location" in headers:
                await _drain(response)
                return headers["Location"]
            if response.status not in (200, 203):
                await _drain(response)
                raise _with_wait(http_failure(response.status, response.reason), headers.get("Retry-After"))
            if obey_tags:
                self._obey_tags(headers.getall("X-Robots-Tag", []), headers.getall("TDM-Reservation", []))
            return await self._read(response, trail, max_bytes)

    async def _read(self, response: aiohttp.ClientResponse, trail: Trail, max_bytes: int) -> bytes:
        """The decompressed body, counted as it comes."""
        announced = response.content_length
        if announced is not None and announced > max_bytes:
            raise Failed("too_large", f"{announced} bytes announced, more than {max_bytes}")
        parts: list[bytes] = []
        size = 0
        try:
            async for part in response.content.iter_any():
                size += len(part)
                if size > max_bytes:
                    raise Failed("too_large", f"more than {max_bytes} bytes")
                parts.append(part)
                if size > self._options.large_bytes and not trail.reserved:
                    unsure = announced is None or "Content-Encoding" in response.headers
                    reserve = max_bytes if unsure else announced
                    await self._budget.acquire(reserve or 0)
                    trail.reserved = reserve or 0
            if not size:
                raise Failed("empty_body", "the answer holds no bytes")
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            parts.clear()  # an exception's traceback would keep them for longer than their reservation

    def _obey_tags(self, robots_tags: list[str], reservations: list[str]) -> None:
        options = self._options
        if options.honour_tags and forbidding_tag(robots_tags, AGENT, options.disallowed) is not None:
            raise Failed("blocked_by_tag", TAG_MESSAGE)
        if options.honour_tdm and reserves_mining(reservations):
            raise Failed("blocked_by_tag", "TDM-Reservation reserves text and data mining")

    def give_back(self, trail: Trail) -> None:
        """Frees the bytes that a failed attempt had reserved."""
        self._budget.release(trail.reserved)
        trail.reserved = 0


async def _numeric(host: str) -> str:
    if is_numeric(host):
        return host
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads a short rest that has come already, so that the connection can be used again."""
    if response.content_length is not None and response.content_length <= _DRAIN:
        try:
            await asyncio.wait_for(response.content.read(_DRAIN), 0.2)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
            response.close()


def _with_wait(failed: Failed, retry_after: str | None) -> Failed:
    """A failure that says how long the server asked to wait, in seconds or until a date."""
    if retry_after is None or failed.reason not in ("http_429", "http_503"):
        return failed
    if retry_after.strip().isdigit():
        return MayPass(failed.reason, failed.message, wait=float(retry_after))
    try:
        when = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (TypeError, ValueError):
        return failed
    return MayPass(failed.reason, failed.message, wait=max(0.0, when - time.time()))
