"""Archives on web servers: those that send no ranges, those that fail now and then, and those that never recover."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from beam_jobs.extraction.opening import Unreadable, open_source
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.reading import read_split
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.splits import Split
from schemas.sources import Source

PAGES = 30
WAITS = (0.0, 0.0)


class Server:
    """Serves one body. ranges: whether it sends parts; cut: requests of those numbers break off in their middle."""

    def __init__(self, body: bytes, *, ranges: bool, cut: Callable[[int], bool], sized: bool = True) -> None:
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                self._send(b"", len(body))

            def do_GET(self) -> None:
                outer.asked["GET"] += 1
                span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                part, status = body, 200
                if ranges and span is not None:
                    part, status = body[int(span[1]) : int(span[2]) + 1], 206
                if cut(outer.asked["GET"]):
                    self._send(part[: len(part) // 2], len(part), status, span)
                    self.close_connection = True
                    return
                self._send(part, len(part), status, span)

            def _send(self, part: bytes, length: int, status: int = 200, span: re.Match[str] | None = None) -> None:
                self.send_response(status)
                if sized:
                    self.send_header("Content-Length", str(length))
                if status == 206 and span is not None:
                    self.send_header("Content-Range", f"bytes {span[1]}-{int(span[1]) + length - 1}/{len(body)}")
                self.end_headers()
                try:
                    self.wfile.write(part)
                except OSError:
                    outer.asked["left"] += 1

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/a.warc.gz"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def archive(response: Callable[..., bytes], gzipped: Callable[[bytes], bytes]) -> bytes:
    """Twice as long as what a client reads at once; the eighth page is damaged."""
    chosen = random.Random(3)
    pages = [f"<img src=/{number}.png alt={number}><!--".encode() for number in range(PAGES)]
    members = [
        gzipped(response(f"http://h.test/{number}", page + chosen.randbytes(450_000)))
        for number, page in enumerate(pages)
    ]
    members[7] = members[7][:3_000] + bytes(9) + members[7][3_009:]
    return b"".join(members)


@pytest.fixture
def serving(archive: bytes) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**how: Any) -> Server:
        servers.append(Server(archive, **{"cut": lambda number: False, **how}))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def texts_of(url: str) -> tuple[list[str], dict[str, int]]:
    counts = Counts()
    batches = read_split(Split(0, Source("warc", url), (url,)), ExtractOptions(), counts=counts)
    return [row["text"] for batch in batches for row in batch.to_pylist()], counts.details()["records"]


WHOLE = ([str(number) for number in range(PAGES) if number != 7], {"read": PAGES - 1, "bad_record": 1})


@pytest.mark.parametrize("sized", [True, False], ids=["length told", "length not told"])
def test_a_server_that_sends_no_ranges_is_read_in_one_stream(serving: Callable[..., Server], sized: bool) -> None:
    server = serving(ranges=False, sized=sized)
    assert texts_of(server.url) == WHOLE
    assert server.asked["GET"] <= 6


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_server_that_breaks_off_is_asked_again(serving: Callable[..., Server], ranges: bool) -> None:
    server = serving(ranges=ranges, cut=lambda number: number in (2, 3))
    assert texts_of(server.url) == WHOLE


def test_a_server_that_never_recovers_is_no_damage_of_the_file(serving: Callable[..., Server]) -> None:
    server = serving(ranges=True, cut=lambda number: number > 1)
    with (
        pytest.raises(Unreadable, match=r"^http://127\.0\.0\.1:\d+/a\.warc\.gz cannot be read at \d+: "),
        open_source(server.url, waits=WAITS) as file,
    ):
        while file.read(1_000_000):
            pass


def test_any_order_of_reading(serving: Callable[..., Server], archive: bytes) -> None:
    for ranges in (True, False):
        with open_source(serving(ranges=ranges).url, waits=WAITS) as file:
            assert file.seek(-10, 2) == len(archive) - 10
            assert file.read() == archive[-10:]
            assert file.seek(12_000_000) == 12_000_000
            assert file.read(7) == archive[12_000_000:12_000_007]
            assert (file.seek(5), file.read(3), file.tell()) == (5, archive[5:8], 8)
            assert (file.seek(len(archive) + 5), file.read(3)) == (len(archive) + 5, b"")
            file.seek(0)
            assert file.read() == archive


def test_what_is_not_there(serving: Callable[..., Server]) -> None:
    with pytest.raises(FileNotFoundError), open_source("memory://nowhere/a.warc.gz") as file:
        file.read(1)
