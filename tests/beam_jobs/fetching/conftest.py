"""A server that does wrong on purpose, on a local port: one path a fault, written out byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest

BODY = bytes(range(256)) * 16
Writer = asyncio.StreamWriter
Fault = Callable[["FaultServer", dict[str, str], Writer], Awaitable[None]]
FAULTS: dict[str, Fault] = {}


def answer(status: str = "200 OK", body: bytes = BODY, **headers: str) -> bytes:
    """A whole, correct answer; header names with underscores for hyphens."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def fault(path: str) -> Callable[[Fault], Fault]:
    def register(function: Fault) -> Fault:
        FAULTS[path] = function
        return function

    return register


def always(path: str, data: bytes) -> None:
    async def send(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
        writer.write(data)

    FAULTS[path] = send


def once(path: str, first: bytes) -> None:
    """Fails the first time it is asked, and answers from then on."""

    async def send(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
        writer.write(first if server.asked[path] == 1 else answer())

    FAULTS[path] = send


class FaultServer:
    """Serves FAULTS; remembers what it was asked, by whom, and how many at once."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.times: list[float] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in request[1:])}
                path = request[0].split(" ")[1]
                headers[":path"] = path
                host = headers["host"].split(":")[0]
                self.asked[path] += 1
                self.headers.append(headers)
                self.times.append(self._loop.time())
                self.now[host] += 1
                self.most[host] = max(self.most[host], self.now[host])
                try:
                    known = FAULTS.get(f"{host}{path}", FAULTS.get(path.split("?")[0]))
                    if known is None:
                        writer.write(answer("404 Not Found", b"nothing here"))
                    else:
                        await known(self, headers, writer)
                    await writer.drain()
                finally:
                    self.now[host] -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def _reset(writer: Writer) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    raise ConnectionResetError


@fault("/reset-before")
async def _reset_before(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    _reset(writer)


@fault("/reset-amid")
async def _reset_amid(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(answer()[:2000])
    await writer.drain()
    await asyncio.sleep(0.05)
    _reset(writer)


@fault("/closed")
async def _closed(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    raise ConnectionError


@fault("/stall-head")
async def _stall_head(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    await asyncio.sleep(30)


@fault("/stall-body")
async def _stall_body(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(answer()[:2000])
    await writer.drain()
    await asyncio.sleep(30)


@fault("/drip")
async def _drip(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


@fault("/drip-head")
async def _drip_head(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


@fault("/short")
async def _short(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(answer()[:2000])
    await writer.drain()
    raise ConnectionError


@fault("/chunks-short")
async def _chunks_short(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
    await writer.drain()
    raise ConnectionError


@fault("/chunks-broken")
async def _chunks_broken(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabcde\r\n")
    await writer.drain()
    raise ConnectionError


@fault("/until-close")
async def _until_close(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)
    await writer.drain()
    raise ConnectionError


@fault("/endless")
async def _endless(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()


@fault("/chunks-endless")
async def _chunks_endless(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        await writer.drain()


@fault("/hints")
async def _hints(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


@fault("/slow")
async def _slow(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    await asyncio.sleep(0.03)
    writer.write(answer())


@fault("/to-private")
async def _to_private(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(answer("302 Found", b"", Location=f"http://127.0.0.1:{server.port}/ok"))


@fault("/to-private-name")
async def _to_private_name(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(answer("302 Found", b"", Location=f"http://localhost:{server.port}/ok"))


@fault("/to")
async def _to(server: FaultServer, headers: dict[str, str], writer: Writer) -> None:
    writer.write(answer("302 Found", b"", Location=headers[":path"].partition("?")[2]))


_BOMB = gzip.compress(bytes(20_000_000))
always("/ok", answer(Content_Type="image/jpeg"))
always("/to-metadata", answer("302 Found", b"", Location="http://169.254.169.254/latest/meta-data/"))
always("/to-file", answer("302 Found", b"", Location="file:///etc/passwd"))
always("/to-other", answer("301 Moved Permanently", b"", Location="http://user:secret@other.test/ok"))
always("/to-relative", answer("308 Permanent Redirect", b"", Location="ok?moved#part"))
always("/to-nowhere", answer("302 Found", b""))
always("/loop", answer("302 Found", b"", Location="/loop"))
always("/empty", answer(body=b""))
always("/no-content", b"HTTP/1.1 204 No Content\r\n\r\n")
always("/garbage", b"I am no web server\r\n\r\n")
always("/many-headers", answer(**{f"X-{n}": "x" for n in range(500)}))
always("/long-header", answer(X_Long="x" * 70_000))
always("/long", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + answer(body=b"forged"))
always("/length-word", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + BODY)
always("/length-negative", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + BODY)
always("/length-twice", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4096\r\n\r\n" + BODY)
always("/partial", answer("206 Partial Content", Content_Range="bytes 0-4095/9999"))
always("/announced", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
always("/gzip", answer(body=gzip.compress(BODY), Content_Encoding="gzip"))
always("/deflate", answer(body=zlib.compress(BODY), Content_Encoding="deflate"))
always("/bomb", answer(body=_BOMB, Content_Encoding="gzip"))
always("/bomb-twice", answer(body=gzip.compress(_BOMB), Content_Encoding="gzip, gzip"))
always("/unknown-coding", answer(Content_Encoding="secret"))
always("/bad-gzip", answer(Content_Encoding="gzip"))
always("/wait-long", answer("429 Too Many Requests", b"later", Retry_After="9999"))
always("/fail-500", answer("500 Internal Server Error", b"no"))
for _status in ("400 Bad Request", "403 Forbidden", "410 Gone", "451 Unavailable For Legal Reasons"):
    always(f"/{_status[:3]}", answer(_status, b"no"))
once("/wait-once", answer("503 Service Unavailable", b"later", Retry_After="0"))
once("/fail-once", answer("502 Bad Gateway", b"no"))
once("/date-once", answer("429 Too Many Requests", b"no", Retry_After="Mon, 01 Jan 2001 00:00:00 GMT"))
always("/tag-noai", answer(X_Robots_Tag="noai"))
always("/tag-other", answer(X_Robots_Tag="otherbot: noai"))
always("/tag-ours", answer(X_Robots_Tag="pairmill: noimageai"))
always("/tdm", answer(TDM_Reservation="1"))
always("/cookie", answer(Set_Cookie="a=b; Path=/"))
always("closed.test/robots.txt", answer(body=b"User-agent: *\nDisallow: /\n"))
always("partly.test/robots.txt", answer(body=b"User-agent: pairmill\nDisallow: /private/\nAllow: /\n"))
always("partly.test/private/x", answer())
always("broken.test/robots.txt", answer("500 Internal Server Error", b""))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    made = FaultServer()
    made.start()
    yield made
    made.stop()
