"""Image links of many WAT records made into rows, column by column.

In: for each record, what its page says and its links. Out: record batches of PAIRS; references that lead nowhere bear
their reason, and those without an alt-text are left out unless they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from beam_jobs.extraction.clean_alt import clean_alts
from beam_jobs.extraction.consent import forbidding
from beam_jobs.extraction.image_attributes import pixels
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import shown
from beam_jobs.extraction.wat_record import Link, WatPage
from schemas.tables import PAIRS

Places: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
Failures: TypeAlias = dict[int, tuple[str, str]]

_FETCHED = ("http://", "https://")
try:
    # without OpenSSL, whose preparations take longer than the digest of a pair
    from _md5 import md5 as _md5  # type: ignore[import-not-found]
except ImportError:
    _md5 = partial(hashlib.md5, usedforsecurity=False)


class WatRows:
    """Gathers records until they make a batch. `without_alt`: how many links were left out of the batches so far."""

    def __init__(self, options: ExtractOptions, name: str) -> None:
        self._options = options
        self._name = name
        self.without_alt = 0
        self._clear()

    def _clear(self) -> None:
        self._pages: list[WatPage] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._links: list[Link] = []
        self._places: list[int] = []

    @property
    def full(self) -> bool:
        return len(self._links) >= self._options.rows_per_batch

    def add(self, page: WatPage, offset: int, links: Sequence[Link], places: Sequence[int]) -> None:
        """A record's links, each with its place among the page's images."""
        self._pages.append(page)
        self._offsets.append(offset)
        self._sizes.append(len(links))
        self._links.extend(links)
        self._places.extend(places)

    def take(self) -> Iterator[pa.RecordBatch]:
        """The rows so far, as one batch if there are any; none remain."""
        pages, links, places = self._pages, self._links, self._places
        page_of = np.repeat(np.arange(len(pages)), self._sizes)
        texts = [link.alt for link in links]
        if not all(texts) and not self._options.wat_without_alt:
            told = [row for row, text in enumerate(texts) if text]
            self.without_alt += len(texts) - len(told)
            texts, links = [texts[row] for row in told], [links[row] for row in told]
            places, page_of = [places[row] for row in told], page_of[told]
        rows = len(links)
        if not rows:
            self._clear()
            return
        at = pa.array(page_of)
        filled = [text or "" for text in texts]
        sources = [link.url or "" for link in links]
        urls, failures = _resolved(sources, pages, page_of)
        reasons, messages = self._reasons(page_of, failures)
        words = _strings(filled)
        licences = _strings([page.licence for page in pages]).take(at)
        pairs = zip(filled, urls, strict=True)
        columns = {
            "uid": _hexadecimal([_md5(f"{text}{url}".encode()).digest() for text, url in pairs]),
            "url": _strings(urls),
            "text": words,
            "clean_text": clean_alts(filled, words),
            "alt_state": _alt_states(texts),
            "text_source": pa.repeat("alt", rows),
            "page_url": _strings([page.url for page in pages]).take(at),
            "src": _strings([shown(source) for source in sources] if failures else sources),
            "reference": pa.repeat("src", rows),
            **_told_more(links),
            "page_title": _strings([page.title for page in pages]).take(at),
            "page_language": _strings([page.language for page in pages]).take(at),
            "position": pa.array(places, pa.int32()),
            "licence": licences,
            "page_licence": licences,
            "opt_out": _strings([",".join(page.directives) or None for page in pages]).take(at),
            "source": pa.repeat(self._name, rows),
            "source_offset": pa.array(self._offsets, pa.int64()).take(at),
            "reason": reasons,
            "message": messages,
        }
        self._clear()
        arrays = [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in PAIRS]
        yield pa.RecordBatch.from_arrays(arrays, schema=PAIRS)

    def _reasons(self, page_of: Places, failures: Failures) -> tuple[pa.Array, pa.Array]:
        forbidden = [forbidding(page.directives, self._options) if page.directives else None for page in self._pages]
        honoured = self._options.honour_opt_out and any(forbidden)
        rows = len(page_of)
        if not failures and not honoured:
            return pa.nulls(rows, pa.string()), pa.nulls(rows, pa.string())
        reasons: list[str | None] = [None] * rows
        messages: list[str | None] = [None] * rows
        if honoured:
            for row, page in enumerate(page_of.tolist()):
                if forbidden[page] is not None:
                    reasons[row], messages[row] = "opted_out", f"the page says {forbidden[page]}"
        for row, (reason, message) in failures.items():
            reasons[row], messages[row] = reason, message
        return _strings(reasons), _strings(messages)


def _resolved(sources: list[str], pages: Sequence[WatPage], page_of: Places) -> tuple[list[str], Failures]:
    """Absolute URLs; and by row why some lead nowhere."""
    relative = [row for row, source in enumerate(sources) if not source.startswith(_FETCHED)]
    urls = sources.copy()
    failures: Failures = {}
    for row, page in zip(relative, page_of[relative].tolist(), strict=True):
        source = sources[row]
        url = urls[row] = pages[page].joiner.joined(source)
        if not source:
            urls[row], failures[row] = "", ("no_image_url", "the reference is empty")
        elif not url.startswith(_FETCHED):
            urls[row], failures[row] = shown(url), _failure(url)
    return urls, failures


def _told_more(links: Sequence[Link]) -> dict[str, pa.Array]:
    """Titles and declared sizes, which few links have."""
    more = [
        (row, link)
        for row, link in enumerate(links)
        if link.title is not None or link.width is not None or link.height is not None
    ]
    if not more:
        return {}
    titles: list[str | None] = [None] * len(links)
    widths: list[int | None] = [None] * len(links)
    heights: list[int | None] = [None] * len(links)
    for row, link in more:
        titles[row] = link.title if isinstance(link.title, str) else None
        widths[row], heights[row] = _pixels(link.width), _pixels(link.height)
    return {
        "title": _strings(titles),
        "declared_width": pa.array(widths, pa.int32()),
        "declared_height": pa.array(heights, pa.int32()),
    }


def _strings(values: Sequence[Any]) -> pa.Array:
    return pa.array(values, pa.string())


def _hexadecimal(digests: Sequence[bytes]) -> pa.Array:
    """Digests of 16 bytes as text, spelled all at once."""
    spelled = b"".join(digests).hex().encode()
    ends = np.arange(0, len(spelled) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(digests), pa.py_buffer(ends), pa.py_buffer(spelled))


def _pixels(value: object) -> int | None:
    return pixels(str(value)) if isinstance(value, str | int) else None


def _alt_states(texts: Sequence[str | None]) -> pa.Array:
    if all(texts):
        return pa.repeat("text", len(texts))
    return _strings(["missing" if text is None else "text" if text else "empty" for text in texts])


def _failure(url: str) -> tuple[str, str]:
    scheme, colon, _ = url.partition(":")
    if colon and scheme.isascii() and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
        return "unsupported_scheme", f"{scheme[:40].lower()}: is neither http nor https"
    return "invalid_url", f"not a URL: {url[:200]}"
