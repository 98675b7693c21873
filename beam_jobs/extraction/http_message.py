"""An HTTP response as an archive holds it: status, headers and body, tolerant of what crawlers wrote.

In: the block of a response record. Out: a Response whose body is out of its transfer and content encodings, as far
as it really is in them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import brotli
import zstandard

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^"';\s]+)""", re.IGNORECASE)
_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Response:
    """headers: names in lower case, each with its values in order."""

    status: int
    headers: Mapping[str, tuple[str, ...]]
    body: bytes

    @property
    def content_type(self) -> str:
        return media_type(self.first("content-type"))

    @property
    def charset(self) -> str | None:
        return charset_of(self.first("content-type"))

    def first(self, name: str) -> str:
        return next(iter(self.headers.get(name, ())), "")


def media_type(content_type: str) -> str:
    """`text/html` of `Text/HTML; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def charset_of(content_type: str) -> str | None:
    found = _CHARSET.search(content_type)
    return None if found is None else found[1]


def is_html(content_type: str, body: bytes) -> bool:
    """Whether a body is a page: as declared, or, undeclared, as it looks."""
    if content_type:
        return content_type in _HTML
    return body[:512].lstrip()[:1] == b"<" and b"\x00" not in body[:512]


def parse_head(block: bytes) -> tuple[int, dict[str, tuple[str, ...]], int] | None:
    """Status, headers and the body's place; None where the block is no HTTP response."""
    status = _STATUS.match(block)
    if status is None:
        return None
    end = _HEADER_END.search(block)
    lines = block[: len(block) if end is None else end.start()].decode("latin-1").splitlines()[1:]
    headers: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in lines:
        if line[:1] in " \t" and name:
            headers[name] = (*headers[name][:-1], f"{headers[name][-1]} {line.strip()}")
            continue
        key, colon, value = line.partition(":")
        if colon:
            name = key.strip().lower()
            headers[name] = (*headers.get(name, ()), value.strip())
    return int(status[1]), headers, len(block) if end is None else end.end()


def parse_response(block: bytes, *, max_bytes: int) -> Response | None:
    """A response, its body decoded up to max_bytes; None where the block is none."""
    head = parse_head(block)
    if head is None:
        return None
    status, headers, place = head
    body = block[place:]
    if any("chunked" in value.lower() for value in headers.get("transfer-encoding", ())):
        body = unchunk(body)
    for value in headers.get("content-encoding", ()):
        for coding in reversed(value.lower().split(",")):
            body = _decoded(body, coding.strip(), max_bytes)
    return Response(status, headers, body[:max_bytes])


def unchunk(body: bytes) -> bytes:
    """A body out of its chunks; as it is where it is in none, and what there is where the chunks end early."""
    pieces: list[bytes] = []
    place = 0
    while True:
        size = _CHUNK.match(body, place)
        if size is None:
            return b"".join(pieces) + body[place:] if pieces or place else body
        length = int(size[1], 16)
        if length == 0:
            return b"".join(pieces)
        pieces.append(body[size.end() : size.end() + length])
        place = size.end() + length
        if body.startswith(b"\r\n", place):
            place += 2
        elif body.startswith(b"\n", place):
            place += 1
        if place >= len(body):
            return b"".join(pieces)


def _decoded(body: bytes, coding: str, max_bytes: int) -> bytes:
    """A body out of one content coding. Crawlers often store it decoded and keep the header: then it stays as it is."""
    try:
        if coding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
            return _inflated(body, zlib.decompressobj(31), max_bytes)
        if coding == "deflate" and body[:1] == b"\x78":
            return _inflated(body, zlib.decompressobj(), max_bytes)
        if coding == "br" and not body.lstrip().startswith(b"<"):
            decoded: bytes = brotli.Decompressor().process(body, output_buffer_limit=max_bytes)
            return decoded
        if coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
            return zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).read(max_bytes)
    except (zlib.error, brotli.error, zstandard.ZstdError):
        return body
    return body


def _inflated(body: bytes, inflater: Any, max_bytes: int) -> bytes:
    data: bytes = inflater.decompress(body, max_bytes)
    return data
