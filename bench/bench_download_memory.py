"""Memory of `download_shard` on a shard of 10,000 rows with bombs, endless bodies, drips and huge files among them.

In: nothing; photographs and bombs are drawn here. Out: what the worker held at most, its decoding processes included
(proportional set size: pages that processes share are counted once), how each kind of row ended, and a line of JSON.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import multiprocessing
import os
import socket
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from drawn_photographs import photograph
from PIL import Image

HOST = "images.test"
BOUND_MB = 1500
# kind -> of so many rows in 10,000
SHARES = {
    "endless": 30,
    "drip": 20,
    "gzip": 15,
    "huge": 60,
    "png": 15,
    "png_over": 15,
    "webp": 15,
    "jpeg": 15,
    "gif": 15,
}
SHARES |= {"tiff": 15}
EXPECTED = {"endless": "too_large", "drip": "timeout", "gzip": "too_large", "huge": "not_an_image"}
EXPECTED |= {"png_over": "too_many_pixels"}


def _picture(kind: str, side: int, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 60)).save(file, kind, **options)
    return file.getvalue()


def bombs() -> dict[str, bytes]:
    """Small files of many pixels: as many as the cap allows, and more."""
    Image.MAX_IMAGE_PIXELS = None
    return {
        "png": _picture("PNG", 8_000),
        "png_over": _picture("PNG", 12_000),
        "webp": _picture("WEBP", 6_300, lossless=True, method=0),
        "jpeg": _picture("JPEG", 8_000, progressive=True),
        "gif": _picture("GIF", 8_000),
        "tiff": _picture("TIFF", 8_000, compression="tiff_lzw"),
    }


def serve(port: Any) -> None:
    """Answers /KIND/anything; many connections at once."""
    bodies = {"photo": photograph(1, 640, 480), **bombs()}
    huge = os.urandom(1 << 20)
    bomb = gzip.compress(bytes(200_000_000))
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port.value = listener.getsockname()[1]

    def send(connection: socket.socket, kind: str) -> None:
        if kind in bodies:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(bodies[kind]) + bodies[kind])
        elif kind == "gzip":
            head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
            connection.sendall(head + bomb)
        elif kind == "huge":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (30 << 20))
            for _ in range(30):
                connection.sendall(huge)
        elif kind in ("endless", "drip"):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(huge if kind == "endless" else b"x")
                time.sleep(0 if kind == "endless" else 0.2)
        else:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def answer(connection: socket.socket) -> None:
        received = b""
        try:
            while True:
                while b"\r\n\r\n" not in received:
                    part = connection.recv(65536)
                    if not part:
                        return
                    received += part
                request, _, received = received.partition(b"\r\n\r\n")
                send(connection, request.split(b" ", 2)[1].decode().split("/")[1])
        except OSError:
            return
        finally:
            connection.close()

    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


class Watch:
    """The most that this process and its decoding processes held at once, looked at twenty times a second."""

    def __init__(self) -> None:
        self.most = 0.0
        self.parts: tuple[float, float] = (0.0, 0.0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            own, theirs = _held(os.getpid()), sum(map(_held, _decoders()))
            if own + theirs > self.most:
                self.most, self.parts = own + theirs, (own, theirs)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def _decoders() -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and "decoder_worker" in (stat.parent / "cmdline").read_text():
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def _held(process: int) -> float:
    """Megabytes of a process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:"))


def rows_of(count: int) -> list[str]:
    """Kinds of rows, the bad ones spread evenly."""
    kinds = ["photo"] * count
    bad = [kind for kind, share in SHARES.items() for _ in range(max(1, share * count // 10_000))]
    step = count / len(bad)
    for number, kind in enumerate(sorted(bad, key=lambda kind: (bad.index(kind) * 7) % 11)):
        kinds[int(number * step)] = kind
    return kinds


def run(kinds: list[str], port: int, work: str) -> tuple[float, dict[str, Counter[str]], Watch]:
    """Seconds, how each kind of row ended, and what was held."""
    from beam_jobs.fetching.addresses import ResolveRule
    from beam_jobs.stages.download import DownloadOptions, DownloadTask, download_shard
    from beam_jobs.storage.parquet import read_table, write_table
    from beam_jobs.storage.run_folder import RunFolder
    from schemas.tables import PLANNED, conform

    folder = RunFolder(work)
    rules = [ResolveRule(f"*.{HOST}", "127.0.0.1", port)]
    options = DownloadOptions.build({"resize": "keep_ratio"}, resolve=rules, robots=False, deadline=15.0, timeout=10.0)
    urls = [f"http://{number % 400}.{HOST}/{kind}/{number}" for number, kind in enumerate(kinds)]
    columns = {"uid": [f"{number:032x}" for number in range(len(urls))], "url": urls, "text": ["x"] * len(urls)}
    write_table(folder.planned(0), conform(pa.table(columns), PLANNED))
    watch, started = Watch(), time.perf_counter()
    download_shard(DownloadTask(work, 0, options))
    seconds = time.perf_counter() - started
    watch.end()
    ended: dict[str, Counter[str]] = {}
    for kind, reason in zip(kinds, read_table(folder.image_table(0))["reason"].to_pylist(), strict=True):
        ended.setdefault(kind, Counter())[reason or "kept"] += 1
    return seconds, ended, watch


def main() -> None:
    """Draws, serves, downloads and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    port = multiprocessing.get_context("spawn").Value("i", 0)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.1)
    with tempfile.TemporaryDirectory() as work:
        seconds, ended, watch = run(rows_of(arguments.rows), port.value, work)
    server.terminate()
    for kind, reasons in sorted(ended.items()):
        print(f"{kind:9} {dict(reasons)}")
        assert kind not in EXPECTED or set(reasons) == {EXPECTED[kind]}, kind
    own, theirs = watch.parts
    print(
        f"{arguments.rows} rows in {seconds:.0f} s; at most {watch.most:.0f} MB held, {own:.0f} by the worker and "
        f"{theirs:.0f} by its decoding processes; the bound is {BOUND_MB}"
    )
    figures = {"rows": arguments.rows, "seconds": round(seconds, 1), "most_mb": round(watch.most), "bound_mb": BOUND_MB}
    print(json.dumps({"bench": "download_memory", **figures}))


if __name__ == "__main__":
    main()
