"""Pages from a folder laid out <host>/<path>, and pages fetched from a list of their URLs.

In: paths below a folder, or a span of a list. Out: FoundPages in that order; pages that fail are counted by reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from beam_jobs.extraction.http_message import charset_of, is_html, media_type
from beam_jobs.extraction.listings import page_of_line
from beam_jobs.extraction.opening import open_source
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page_rows import FoundPage
from beam_jobs.extraction.rows import Counts, clean
from beam_jobs.storage.files import join

if TYPE_CHECKING:
    from beam_jobs.fetching.fetch import Fetched

_ACCEPT = "text/html,application/xhtml+xml,*/*;q=0.5"
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"


def folder_pages(folder: str, paths: Sequence[str], options: ExtractOptions, counts: Counts) -> Iterator[FoundPage]:
    """The pages at paths below a folder."""
    for path in paths:
        try:
            with open_source(join(folder, path)) as file:
                data = file.read(options.max_page_bytes)
        except OSError:
            counts.add("pages", "page_failed")
            continue
        if path.rsplit("/", 1)[-1].find(".") < 0 and not is_html("", data):
            counts.add("pages", "not_html")
            continue
        counts.add("pages", "kept")
        yield FoundPage(page_url(path), data, path, 0)


def page_url(path: str) -> str:
    """The URL that `<host>/<path>` stands for; an index page is its folder."""
    host, _, rest = path.partition("/")
    if rest == "index.html" or rest.endswith("/index.html"):
        rest = rest[: -len("index.html")]
    return f"http://{clean(host)}/{quote(rest.encode('utf-8', 'surrogateescape'), safe=_PATH_SAFE)}"


def listed_urls(url: str, start: int, stop: int) -> list[str]:
    """The page URLs in a span of bytes of a list."""
    with open_source(url) as file:
        file.seek(start)
        lines = file.read(stop - start).split(b"\n")
    return [page for page in map(page_of_line, lines) if page is not None]


def fetched_pages(urls: Sequence[str], options: ExtractOptions, counts: Counts) -> Iterator[tuple[int, FoundPage]]:
    """Pages as they arrive, each with its place in the list: whoever takes them puts them in order."""
    from beam_jobs.fetching.fetch import FetchOptions, fetch_all

    # A page's tags are its rows' business: each row says that it was opted out, and by which directive.
    fetch = replace(options.fetch or FetchOptions(), accept=_ACCEPT, honour_tags=False, honour_tdm=False)
    for place, fetched in fetch_all(enumerate(urls), fetch):
        if fetched.reason is not None or fetched.body is None:
            counts.add("pages", fetched.reason or "empty_body")
            continue
        page = _page(urls[place], fetched, options)
        counts.add("pages", "not_html" if page is None else "kept")
        if page is not None:
            yield place, page


def _page(url: str, fetched: Fetched, options: ExtractOptions) -> FoundPage | None:
    body = fetched.body or b""
    headers: Mapping[str, tuple[str, ...]] = {name: tuple(value.split("\n")) for name, value in fetched.headers.items()}
    declared = next(iter(headers.get("content-type", ())), "") or fetched.content_type or ""
    if not is_html(media_type(declared), body):
        return None
    return FoundPage(fetched.final_url or url, body[: options.max_page_bytes], url, None, charset_of(declared), headers)
