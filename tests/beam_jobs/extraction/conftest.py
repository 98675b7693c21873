"""What extraction's tests write: WARC and WAT files, record by record."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence

import pytest


def _record(kind: str, target: str, block: bytes, content_type: str) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {target}\r\nWARC-Date: 2024-05-18T01:58:10Z\r\n"
        f"WARC-Record-ID: <urn:uuid:668d88fc-4208-41fc-b327-1aa6cb783331>\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def _gzipped(record: bytes) -> bytes:
    member = zlib.compressobj(6, zlib.DEFLATED, 31)
    return member.compress(record) + member.flush()


@pytest.fixture(scope="session")
def gzipped() -> Callable[[bytes], bytes]:
    """A record as a gzip member of its own."""
    return _gzipped


@pytest.fixture(scope="session")
def response() -> Callable[..., bytes]:
    """A response record: response(url, body, headers=..., status=...)."""

    def make(url: str, body: bytes, *, headers: str = "Content-Type: text/html\r\n", status: str = "200 OK") -> bytes:
        block = f"HTTP/1.1 {status}\r\n{headers}\r\n".encode("latin-1") + body
        return _record("response", url, block, "application/http; msgtype=response")

    return make


@pytest.fixture(scope="session")
def wat_record() -> Callable[..., bytes]:
    """A WAT record: wat_record(page_url, links, head=..., headers=..., separators=...)."""

    def make(
        url: str,
        links: Sequence[object],
        *,
        head: object = None,
        headers: object = None,
        separators: tuple[str, str] = (",", ":"),
    ) -> bytes:
        value = {
            "Container": {"Filename": "CC-MAIN-00000.warc.gz", "Compressed": True, "Offset": "458"},
            "Envelope": {
                "Payload-Metadata": {
                    "Actual-Content-Type": "application/http; msgtype=response",
                    "HTTP-Response-Metadata": {
                        "Response-Message": {"Status": "200", "Version": "HTTP/1.1", "Reason": "OK"},
                        "Headers": headers or {"Content-Type": "text/html"},
                        "HTML-Metadata": {"Head": head or {"Title": "A page"}, "Links": list(links)},
                    },
                },
                "Format": "WARC/1.0",
                "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": url},
            },
        }
        block = json.dumps(value, ensure_ascii=False, separators=separators).encode("utf-8", "surrogatepass")
        return _record("metadata", url, block, "application/json")

    return make
