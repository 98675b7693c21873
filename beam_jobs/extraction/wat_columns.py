"""Image links of many WAT records made into rows, column by column.

In: for each record, what its page says and its links as JSON objects. Out: record batches of PAIRS; references that
lead nowhere bear their reason, and those without an alt-text are counted and left out unless they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from beam_jobs.extraction.consent import forbidding
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts, shown
from beam_jobs.extraction.wat_record import WatPage
from schemas.tables import PAIRS

_LINK = pa.schema([("url", pa.string()), ("alt", pa.string())])
# links that are looked at for a row: few have an alt-text
_LINKS_PER_ROW = 3
_HELD_BYTES = 33_554_432
_OPENING = b'{"path":0'
ALT = b'"alt":'
_FETCHED = ("http://", "https://")
_md5 = partial(hashlib.md5, usedforsecurity=False)


class WatRows:
    """Gathers records until they make a batch."""

    def __init__(self, options: ExtractOptions, counts: Counts, name: str) -> None:
        self._options = options
        self._counts = counts
        self._name = name
        self._clear()

    def _clear(self) -> None:
        self._pages: list[WatPage] = []
        self._offsets: list[int] = []
        self._links: list[list[bytes]] = []
        self._contents: list[bytes] = []
        self._total = 0
        self._held = 0

    @property
    def full(self) -> bool:
        return self._total >= self._options.rows_per_batch * _LINKS_PER_ROW or self._held >= _HELD_BYTES

    def add(self, page: WatPage, offset: int, links: list[bytes], content: bytes) -> None:
        self._pages.append(page)
        self._offsets.append(offset)
        self._links.append(links)
        self._contents.append(content)
        self._total += len(links)
        self._held += len(content)

    def take(self, reread: Callable[[bytes], list[bytes]]) -> Iterator[pa.RecordBatch]:
        """The rows so far. `reread` gives a record's links the slow way, where what was cut out is no JSON."""
        if not self._total:
            return
        try:
            batch = self._batch()
        except pa.ArrowInvalid:
            self._links = [self._checked(record, reread) for record in range(len(self._links))]
            batch = self._batch()
        self._clear()
        if batch.num_rows:
            yield batch

    def _checked(self, record: int, reread: Callable[[bytes], list[bytes]]) -> list[bytes]:
        """A record's links as they are where they are JSON, else read again; none where the record is damaged."""
        links = self._links[record]
        try:
            _parse(links)
        except pa.ArrowInvalid:
            try:
                return reread(self._contents[record])
            except (ValueError, KeyError, TypeError, AttributeError):
                self._counts.bad_record(self._name, self._offsets[record])
                return []
        return links

    def _batch(self) -> pa.RecordBatch:
        sizes = np.fromiter(map(len, self._links), np.int64, len(self._links))
        pages = np.repeat(np.arange(len(sizes)), sizes)
        positions = np.arange(len(pages)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        links = list(chain.from_iterable(self._links))
        without_alt = 0
        if not self._options.wat_without_alt:
            told = [ALT in link for link in links]
            without_alt = told.count(False)
            links = list(compress(links, told))
            chosen = np.flatnonzero(told)
            pages, positions = pages[chosen], positions[chosen]
        parsed = _parse(links)
        texts, sources = parsed["alt"].combine_chunks(), parsed["url"].combine_chunks()
        if not self._options.wat_without_alt:
            chosen = np.flatnonzero(pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False))
            if len(chosen) < len(texts):
                without_alt += len(texts) - len(chosen)
                pages, positions = pages[chosen], positions[chosen]
                texts, sources = texts.take(pa.array(chosen)), sources.take(pa.array(chosen))
            self._counts.add("references", "without_alt", without_alt)
        return self._rows(texts, sources, pages, positions)

    def _rows(self, texts: pa.Array, sources: pa.Array, pages: np.ndarray, positions: np.ndarray) -> pa.RecordBatch:
        rows = len(texts)
        urls, failures = self._resolve(sources, pages)
        shown_sources = sources
        if failures:
            shown_sources = pa.array([shown(given or "") for given in sources.to_pylist()], pa.string())
        filled = pc.fill_null(texts, "") if texts.null_count else texts
        joined = pc.binary_join_element_wise(filled.cast(pa.binary()), urls.cast(pa.binary()), b"").to_pylist()
        reasons, messages = self._reasons(failures, pages, rows)
        at = pa.array(pages)
        columns = {
            "uid": pa.array([_md5(pair).hexdigest() for pair in joined], pa.string()),
            "url": urls,
            "text": filled,
            "alt_state": _alt_states(texts),
            "text_source": pa.repeat("alt", rows),
            "page_url": pa.array([page.url for page in self._pages], pa.string()).take(at),
            "src": shown_sources,
            "page_title": pa.array([page.title for page in self._pages], pa.string()).take(at),
            "page_language": pa.array([page.language for page in self._pages], pa.string()).take(at),
            "position": pa.array(positions.astype(np.int32)),
            "licence": pa.array([page.licence for page in self._pages], pa.string()).take(at),
            "opt_out": pa.array([",".join(page.directives) or None for page in self._pages], pa.string()).take(at),
            "source": pa.repeat(self._name, rows),
            "source_offset": pa.array(self._offsets, pa.int64()).take(at),
            "reason": reasons,
            "message": messages,
        }
        arrays = [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in PAIRS]
        return pa.RecordBatch.from_arrays(arrays, schema=PAIRS)

    def _resolve(self, sources: pa.Array, pages: np.ndarray) -> tuple[pa.Array, dict[int, tuple[str, str]]]:
        """Absolute URLs, and the failures among them by row."""
        absolute = pc.or_(pc.starts_with(sources, _FETCHED[0]), pc.starts_with(sources, _FETCHED[1]))
        relative = pc.invert(pc.fill_null(absolute, False))
        at = np.flatnonzero(relative.to_numpy(zero_copy_only=False))
        if not len(at):
            return sources, {}
        failures: dict[int, tuple[str, str]] = {}
        joiners = [page.joiner.join for page in self._pages]
        given = sources.filter(relative).to_pylist()
        urls = [joiners[page](link or "") for page, link in zip(pages[at].tolist(), given, strict=True)]
        for place, url in enumerate(urls):
            if not given[place]:
                failures[int(at[place])] = ("no_image_url", "the reference is empty")
                urls[place] = ""
            elif not url.startswith(_FETCHED):
                failures[int(at[place])] = _failure(url)
                urls[place] = shown(url)
        return pc.replace_with_mask(sources, relative, pa.array(urls, pa.string())), failures

    def _reasons(self, failures: dict[int, tuple[str, str]], pages: np.ndarray, rows: int) -> tuple[pa.Array, pa.Array]:
        forbidden = [forbidding(page.directives, self._options) if page.directives else None for page in self._pages]
        if not self._options.honour_opt_out or not any(forbidden):
            forbidden = []
        if not failures and not forbidden:
            return pa.nulls(rows, pa.string()), pa.nulls(rows, pa.string())
        reasons: list[str | None] = [None] * rows
        messages: list[str | None] = [None] * rows
        if forbidden:
            for row, page in enumerate(pages.tolist()):
                if forbidden[page] is not None:
                    reasons[row], messages[row] = "opted_out", f"the page says {forbidden[page]}"
        for row, (reason, message) in failures.items():
            reasons[row], messages[row] = reason, message
        return pa.array(reasons, pa.string()), pa.array(messages, pa.string())


def _parse(links: Sequence[bytes]) -> pa.Table:
    """Links, without the brace and path that they begin with, as columns; ArrowInvalid where one is no JSON."""
    if not links:
        return _LINK.empty_table()
    lines = _OPENING + (b"\n" + _OPENING).join(links)
    table = pa.json.read_json(
        pa.BufferReader(lines),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pa.json.ParseOptions(explicit_schema=_LINK, unexpected_field_behavior="ignore"),
    )
    if table.num_rows != len(links):
        raise pa.ArrowInvalid("an object spans lines")
    return table


def _alt_states(texts: pa.Array) -> pa.Array:
    if texts.null_count == 0 and pc.min(pc.binary_length(texts)).as_py():
        return pa.repeat("text", len(texts))
    empty = pc.equal(pc.binary_length(texts), 0)
    return pc.case_when(
        pc.make_struct(pc.is_null(texts), pc.fill_null(empty, False)),
        pa.scalar("missing"),
        pa.scalar("empty"),
        pa.scalar("text"),
    )


def _failure(url: str) -> tuple[str, str]:
    scheme, colon, _ = url.partition(":")
    if colon and scheme.isascii() and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
        return "unsupported_scheme", f"{scheme[:40].lower()}: is neither http nor https"
    return "invalid_url", f"not a URL: {url[:200]}"
