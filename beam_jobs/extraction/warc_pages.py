"""The pages of a WARC file: HTML responses, one at a time.

In: an open WARC file. Out: FoundPages; what is no page, or no success, is counted, and damage costs its record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from beam_jobs.extraction.archives import Headers, Record, Wanted, iter_records
from beam_jobs.extraction.http_message import charset_of, is_html, media_type, parse_head, parse_response
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page_rows import FoundPage
from beam_jobs.extraction.rows import Counts

# room for headers and for encodings that make a page longer than it is
_SLACK = 1_048_576


def warc_pages(file: IO[bytes], options: ExtractOptions, counts: Counts, *, name: str) -> Iterator[FoundPage]:
    """The pages in file order. `name`: the file as rows tell it."""

    def worth(headers: Headers, block: bytes) -> bool:
        if headers.get("WARC-Type") == "resource":
            return is_html(media_type(headers.get("Content-Type") or ""), b"")
        head = parse_head(block)
        if head is None:
            return True
        status, told, place = head
        if not is_html(media_type(next(iter(told.get("content-type", ())), "")), block[place:]):
            counts.add("pages", "not_html")
            return False
        if not 200 <= status <= 299:
            counts.add("pages", f"http_{status}")
            return False
        return True

    wanted = Wanted(
        kinds=("response", "resource"),
        worth=worth,
        bad=lambda offset, message: counts.bad_record(name, offset),
        max_bytes=options.max_page_bytes + _SLACK,
    )
    for read in iter_records(file, wanted):
        counts.add("records", "read")
        page = _page(read, options, name)
        counts.add("pages", "no_page_url" if page is None else "kept")
        if page is not None:
            yield page


def _page(read: Record, options: ExtractOptions, name: str) -> FoundPage | None:
    url = _target(read.headers)
    if url is None:
        return None
    response = parse_response(read.content, max_bytes=options.max_page_bytes)
    if response is None:
        declared = charset_of(read.headers.get("Content-Type") or "")
        return FoundPage(url, read.content[: options.max_page_bytes], name, read.offset, declared)
    return FoundPage(url, response.body, name, read.offset, response.charset, response.headers)


def _target(headers: Headers) -> str | None:
    """The page's URL; some writers put it in angle brackets."""
    target = (headers.get("WARC-Target-URI") or "").strip()
    if target.startswith("<") and target.endswith(">"):
        target = target[1:-1]
    return target or None
