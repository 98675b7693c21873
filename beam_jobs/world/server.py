"""Serves a folder of `<host>/<path>` over HTTP, to this machine alone, choosing the host by the Host header.

    with serve("world/web") as port: ...
    python -m beam_jobs.world.server world/web [--port 8080]

A folder gives its `index.html`; a folder's URL without the last `/` redirects to the one with it; queries are
ignored; what does not exist is a 404. No path leads out of the host's folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import mimetypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from aiohttp import web

ADDRESS = "127.0.0.1"
HELD_IN_MEMORY = 1 << 20  # a file up to this many bytes is read at once; a larger one is sent by the kernel
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain; charset=utf-8",
}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def located(root: Path, host: str, raw_path: str) -> Path | None:
    """The file or folder that a request means, below `root`/host, or None where no such thing may be named."""
    name = host.rsplit(":", 1)[0].lower() if re.search(r":\d+$", host) else host.lower()
    if not _HOST.fullmatch(name) or ".." in name:
        return None
    path = unquote(raw_path.partition("?")[0], errors="surrogateescape")
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or any(part in (".", "..") or "\0" in part or "\\" in part for part in parts):
        return None
    return root.joinpath(name, *parts)


def content_type(name: str) -> str:
    """The content type of a file, by its name."""
    extension = os.path.splitext(name)[1].lower()
    return TYPES.get(extension) or mimetypes.guess_type(name)[0] or "application/octet-stream"


@contextlib.contextmanager
def serve(folder: str | os.PathLike[str], port: int = 0) -> Iterator[int]:
    """Serves `folder` from a thread until the block ends; gives the port. Links out of `folder` are not followed."""
    loop = asyncio.new_event_loop()
    started: list[int] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stopping = asyncio.Event()

    def work() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(_serve_until(Path(folder), port, started, ready, stopping))
        except OSError as error:
            failed.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=work, name="world-server", daemon=True)
    thread.start()
    ready.wait()
    if failed:
        raise failed[0]
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


async def _serve_until(
    folder: Path, port: int, started: list[int], ready: threading.Event, stopping: asyncio.Event
) -> None:
    from aiohttp import web

    root = Path(os.path.realpath(folder))
    runner = web.ServerRunner(web.Server(lambda request: _answer(root, request), access_log=None), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, ADDRESS, port, backlog=1024).start()
        started.append(runner.addresses[0][1])
        ready.set()
        await stopping.wait()
    finally:
        await runner.cleanup()


async def _answer(root: Path, request: web.BaseRequest) -> web.StreamResponse:
    from aiohttp import web

    if request.method not in ("GET", "HEAD"):
        return web.Response(status=405, text="only GET and HEAD\n", headers={"Allow": "GET, HEAD"})
    path = located(root, request.headers.get("Host", ""), request.raw_path)
    if path is None:
        return _missing()
    if request.raw_path.partition("?")[0].endswith("/"):
        path = path / "index.html"
    try:
        real = os.path.realpath(path, strict=True)
        if os.path.commonpath([root, real]) != str(root):
            return _missing()
        if os.path.isdir(real):
            return web.Response(status=301, headers={"Location": _with_slash(request.raw_path)})
        if os.path.getsize(real) > HELD_IN_MEMORY:
            return web.FileResponse(real, headers={"Content-Type": content_type(path.name)})
        body = Path(real).read_bytes()
    except (OSError, ValueError):
        return _missing()
    return web.Response(body=body, headers={"Content-Type": content_type(path.name)})


def _with_slash(raw_path: str) -> str:
    path, mark, query = raw_path.partition("?")
    return "/" + quote(path.lstrip("/"), safe="/%") + "/" + mark + query


def _missing() -> web.Response:
    from aiohttp import web

    return web.Response(status=404, text="not found\n")


def main(arguments: list[str]) -> None:
    """The command line: serves until it is interrupted."""
    parser = argparse.ArgumentParser(prog="server", description="serves a folder of <host>/<path> by Host header")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    with serve(options.folder, options.port) as port, contextlib.suppress(KeyboardInterrupt):
        print(f"{options.folder} on http://{ADDRESS}:{port}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
