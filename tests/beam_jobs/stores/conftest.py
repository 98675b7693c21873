"""Object stores: real servers of each protocol on this machine, and what reaches them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import fsspec
import pytest
from aiohttp import web
from yarl import URL

from beam_jobs.servers.cache import cache_folder, making

SECRET = "bm90LWEtcmVhbC1rZXktYnV0LW9uZS10aGF0LW11c3Qtbm90LWxlYWs="
_AZURITE = "3.35.0"
_FAKE_GCS = "v1.56.1"
BUSY_EACH = 19
CUT_EACH = 31
# Clients wait before they try again: Google's for seconds, Azure's for 15 and more.
MOST_FAULTS = {"s3": 10, "gs": 5, "az": 2}
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length"}


@dataclass(frozen=True)
class Store:
    """A server that runs. root: the URL of its one bucket. environment: what clients need to reach it."""

    name: str
    root: str
    port: int
    environment: Mapping[str, str]
    secret: str = SECRET


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A server process that listens; ended with all its children."""
    with open(log, "wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"{command[0]} does not listen: {log.read_text()}"
            time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _s3(folder: Path) -> Iterator[Store]:
    port = free_port()
    program = str(Path(sys.executable).with_name("moto_server"))
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    with _running([program, "-H", "127.0.0.1", "-p", str(port)], port, folder / "s3.log"):
        yield Store("s3", "s3://mill", port, environment)


@contextmanager
def _gs(folder: Path) -> Iterator[Store]:
    port = free_port()
    where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    with _running([_fake_gcs(), *where, "-backend", "memory"], port, folder / "gs.log"):
        yield Store("gs", "gs://mill", port, {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"})


@contextmanager
def _az(folder: Path) -> Iterator[Store]:
    port = free_port()
    command = ["node", _azurite(), "--silent", "--inMemoryPersistence", "--skipApiVersionCheck"]
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName=mill;AccountKey={SECRET};BlobEndpoint=http://127.0.0.1:{port}/mill;"
    )
    before = os.environ.get("AZURITE_ACCOUNTS")
    os.environ["AZURITE_ACCOUNTS"] = f"mill:{SECRET}"
    try:
        with _running([*command, "--blobHost", "127.0.0.1", "--blobPort", str(port)], port, folder / "az.log"):
            yield Store("az", "az://mill", port, {"AZURE_STORAGE_CONNECTION_STRING": connection})
    finally:
        os.environ.pop("AZURITE_ACCOUNTS")
        if before is not None:
            os.environ["AZURITE_ACCOUNTS"] = before


def _fake_gcs() -> str:
    """A server of Google's protocol, built once with Go and kept."""
    target = cache_folder() / f"fake-gcs-server-{_FAKE_GCS}"
    if not target.exists():
        if shutil.which("go") is None:
            pytest.skip("Go is missing: the server of Google Cloud Storage's protocol is built with it")
        with making(target) as workshop:
            package = f"github.com/fsouza/fake-gcs-server@{_FAKE_GCS}"
            subprocess.run(["go", "install", package], env={**os.environ, "GOBIN": str(workshop)}, check=True)
            (workshop / "fake-gcs-server").rename(workshop / target.name)
    return str(target)


def _azurite() -> str:
    """The script of a server of Azure Blob's protocol, installed once with npm and kept."""
    target = cache_folder() / f"azurite-{_AZURITE}"
    if not target.exists():
        if shutil.which("npm") is None:
            pytest.skip("npm is missing: the server of Azure Blob's protocol is installed with it")
        with making(target) as workshop:
            made = workshop / target.name
            install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(made)]
            subprocess.run([*install, f"azurite@{_AZURITE}"], check=True)
    return str(target / "node_modules/azurite/dist/src/blob/main.js")


class FaultyProxy:
    """A server between clients and a store that answers 503 to one request and cuts the connection of another.

    Which requests fail depends on their number alone.
    """

    def __init__(self, upstream: int, most: int) -> None:
        self._upstream = upstream
        self._most = most
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        self.faults: Counter[str] = Counter()

    async def close(self, app: web.Application) -> None:
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = await request.read()
        if self.requests % CUT_EACH == 0 and self.faults["cut"] < self._most:
            self.faults["cut"] += 1
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        if self.requests % BUSY_EACH == 0 and self.faults["busy"] < self._most:
            self.faults["busy"] += 1
            return web.Response(status=503)
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        url = URL(f"http://127.0.0.1:{self._upstream}{request.raw_path}", encoded=True)
        async with self._session.request(
            request.method,
            url,
            headers={name: value for name, value in request.headers.items() if name.lower() not in _HOP},
            data=body,
            allow_redirects=False,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
        ) as answer:
            held = await answer.read()
            response = web.Response(status=answer.status, body=None if request.method == "HEAD" else held)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP - {"content-encoding"} or (
                    request.method == "HEAD" and name.lower() == "content-length"
                ):
                    response.headers[name] = value
            return response


@contextmanager
def _faulty(upstream: int, port: int, *, most: int) -> Iterator[FaultyProxy]:
    """The proxy, while the block runs."""
    proxy = FaultyProxy(upstream, most)
    loop = asyncio.new_event_loop()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    app.on_cleanup.append(proxy.close)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", port).start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


_STORES = {"s3": _s3, "gs": _gs, "az": _az}


@pytest.fixture(scope="session", params=list(_STORES))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Each store in turn, with an empty bucket, reached through the environment as users reach theirs."""
    with _STORES[request.param](tmp_path_factory.mktemp("store")) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        # Clients are kept with the environment that they were made in.
        fsspec.get_filesystem_class(running.name).clear_instance_cache()
        fsspec.filesystem(running.name).mkdir("mill")
        yield running


@pytest.fixture
def faulty_environment(store: Store) -> Iterator[tuple[dict[str, str], FaultyProxy]]:
    """What a process needs to reach the store through a server that fails now and then, and that server."""
    port = free_port()
    with _faulty(store.port, port, most=MOST_FAULTS[store.name]) as proxy:
        there, here = f"127.0.0.1:{store.port}", f"127.0.0.1:{port}"
        yield {name: value.replace(there, here) for name, value in store.environment.items()}, proxy
