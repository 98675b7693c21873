"""Image links of many WAT records made into rows, column by column.

In: for each record, what its page says and its links. Out: record batches of PAIRS; references that lead nowhere bear
their reason, and those without an alt-text are left out unless they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa

from beam_jobs.extraction.clean_alt import clean_alts
from beam_jobs.extraction.consent import forbidding
from beam_jobs.extraction.image_attributes import pixels
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import shown
from beam_jobs.extraction.wat_record import Link, WatPage
from schemas.tables import PAIRS

_FETCHED = ("http://", "https://")
try:
    # without OpenSSL, whose preparations take longer than the digest of a pair
    from _md5 import md5 as _md5  # type: ignore[import-not-found]
except ImportError:
    _md5 = partial(hashlib.md5, usedforsecurity=False)


class WatRows:
    """Gathers records until they make a batch."""

    def __init__(self, options: ExtractOptions, name: str) -> None:
        self._options = options
        self._name = name
        self._clear()

    def _clear(self) -> None:
        self._pages: list[WatPage] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._forbidden: list[str | None] = []
        self._texts: list[str | None] = []
        self._sources: list[str] = []
        self._urls: list[str] = []
        self._places: list[int] = []
        self._failures: dict[int, tuple[str, str]] = {}
        self._more: dict[int, Link] = {}

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def full(self) -> bool:
        return len(self._urls) >= self._options.rows_per_batch

    def add(self, page: WatPage, offset: int, links: Sequence[Link], places: Sequence[int]) -> int:
        """A record's links, each with its place among the page's images; how many of them are rows."""
        texts = [link.alt for link in links]
        if not all(texts) and not self._options.wat_without_alt:
            links, places = list(compress(links, texts)), list(compress(places, texts))
            texts = [link.alt for link in links]
        sources = [link.url or "" for link in links]
        if texts:
            for row, link in enumerate(links, len(self._urls)):
                if link.title is not None or link.width is not None or link.height is not None:
                    self._more[row] = link
            self._pages.append(page)
            self._offsets.append(offset)
            self._sizes.append(len(texts))
            self._forbidden.append(forbidding(page.directives, self._options) if page.directives else None)
            self._urls.extend(self._resolved(page, sources))
            self._texts.extend(texts)
            self._sources.extend(sources)
            self._places.extend(places)
        return len(texts)

    def _resolved(self, page: WatPage, sources: Sequence[str]) -> list[str]:
        """Absolute URLs; the failures among them are noted by row."""
        joiner = page.joiner
        urls = [source if source.startswith(_FETCHED) else joiner.joined(source) for source in sources]
        if not joiner.odd:
            return urls
        for place, url in enumerate(urls):
            if not url.startswith(_FETCHED) or not sources[place]:
                failed = _failure(url) if sources[place] else ("no_image_url", "the reference is empty")
                self._failures[len(self._urls) + place] = failed
                urls[place] = shown(url) if sources[place] else ""
        return urls

    def take(self) -> pa.RecordBatch:
        """The rows so far, as one batch; none remain."""
        rows = len(self._urls)
        at = pa.array(np.repeat(np.arange(len(self._pages)), self._sizes))
        filled = [text or "" for text in self._texts]
        pairs = zip(filled, self._urls, strict=True)
        sources = [shown(source) for source in self._sources] if self._failures else self._sources
        reasons, messages = self._reasons(at)
        words = _strings(filled)
        licences = _strings([page.licence for page in self._pages]).take(at)
        columns = {
            "uid": _hexadecimal([_md5(f"{text}{url}".encode()).digest() for text, url in pairs]),
            "url": _strings(self._urls),
            "text": words,
            "clean_text": clean_alts(filled, words),
            "alt_state": _alt_states(self._texts),
            "text_source": pa.repeat("alt", rows),
            "page_url": _strings([page.url for page in self._pages]).take(at),
            "src": _strings(sources),
            "reference": pa.repeat("src", rows),
            **self._told_more(rows),
            "page_title": _strings([page.title for page in self._pages]).take(at),
            "page_language": _strings([page.language for page in self._pages]).take(at),
            "position": pa.array(self._places, pa.int32()),
            "licence": licences,
            "page_licence": licences,
            "opt_out": _strings([",".join(page.directives) or None for page in self._pages]).take(at),
            "source": pa.repeat(self._name, rows),
            "source_offset": pa.array(self._offsets, pa.int64()).take(at),
            "reason": reasons,
            "message": messages,
        }
        self._clear()
        arrays = [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in PAIRS]
        return pa.RecordBatch.from_arrays(arrays, schema=PAIRS)

    def _told_more(self, rows: int) -> dict[str, pa.Array]:
        """Titles and declared sizes, which few links have."""
        if not self._more:
            return {}
        titles: list[str | None] = [None] * rows
        widths: list[int | None] = [None] * rows
        heights: list[int | None] = [None] * rows
        for row, link in self._more.items():
            titles[row] = link.title if isinstance(link.title, str) else None
            widths[row], heights[row] = _pixels(link.width), _pixels(link.height)
        return {
            "title": _strings(titles),
            "declared_width": pa.array(widths, pa.int32()),
            "declared_height": pa.array(heights, pa.int32()),
        }

    def _reasons(self, at: pa.Array) -> tuple[pa.Array, pa.Array]:
        forbidden = self._forbidden if self._options.honour_opt_out and any(self._forbidden) else []
        if not self._failures and not forbidden:
            return pa.nulls(len(at), pa.string()), pa.nulls(len(at), pa.string())
        reasons: list[str | None] = [None] * len(at)
        messages: list[str | None] = [None] * len(at)
        if forbidden:
            for row, page in enumerate(at.to_pylist()):
                if forbidden[page] is not None:
                    reasons[row], messages[row] = "opted_out", f"the page says {forbidden[page]}"
        for row, (reason, message) in self._failures.items():
            reasons[row], messages[row] = reason, message
        return _strings(reasons), _strings(messages)


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
