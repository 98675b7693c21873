"""Image links of many WAT records made into rows, column by column.

In: for each record, what its page says and its links as JSON objects. Out: record batches of PAIRS; references that
lead nowhere bear their reason, and those without an alt-text are counted and left out unless they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from beam_jobs.extraction.consent import forbidding
from beam_jobs.extraction.joins import Joiner
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts, shown
from schemas.tables import PAIRS

_LINK = pa.schema([("url", pa.string()), ("alt", pa.string())])
_BLOCK = 4_194_304
_FETCHED = ("http://", "https://")


@dataclass(slots=True)
class WatPage:
    """What a record says of its page."""

    url: str
    joiner: Joiner
    title: str | None
    language: str | None
    licence: str | None
    directives: tuple[str, ...]


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

    @property
    def full(self) -> bool:
        return self._total >= self._options.rows_per_batch

    def add(self, page: WatPage, offset: int, links: list[bytes], content: bytes) -> None:
        self._pages.append(page)
        self._offsets.append(offset)
        self._links.append(links)
        self._contents.append(content)
        self._total += len(links)

    def take(self, reread: Callable[[bytes], list[bytes]]) -> Iterator[pa.RecordBatch]:
        """The rows so far. `reread` gives a record's links the slow way, where what was cut out is no JSON."""
        if not self._total:
            return
        try:
            links = _parse(self._links)
        except pa.ArrowInvalid:
            self._links = [self._checked(record, reread) for record in range(len(self._links))]
            links = _parse(self._links)
        batch = self._batch(links)
        self._clear()
        if batch.num_rows:
            yield batch

    def _checked(self, record: int, reread: Callable[[bytes], list[bytes]]) -> list[bytes]:
        """A record's links as they are where they are JSON, else read again; none where the record is damaged."""
        links = self._links[record]
        try:
            _parse([links])
        except pa.ArrowInvalid:
            try:
                return reread(self._contents[record])
            except (ValueError, KeyError, TypeError, AttributeError):
                self._counts.bad_record(self._name, self._offsets[record])
                return []
        return links

    def _batch(self, links: pa.Table) -> pa.RecordBatch:
        sizes = np.fromiter((len(given) for given in self._links), np.int64, len(self._links))
        pages = np.repeat(np.arange(len(sizes)), sizes)
        positions = np.arange(len(pages)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        texts = links["alt"].combine_chunks()
        if not self._options.wat_without_alt:
            told = pc.fill_null(pc.greater(pc.binary_length(texts), 0), False)
            self._counts.add("references", "without_alt", len(texts) - (told.true_count or 0))
            kept = np.flatnonzero(told.to_numpy(zero_copy_only=False))
            links, pages, positions = links.take(kept), pages[kept], positions[kept]
            texts = links["alt"].combine_chunks()
        sources = links["url"].combine_chunks()
        alts, references = texts.to_pylist(), sources.to_pylist()
        urls, failures = self._resolve(references, pages.tolist())
        uids = [_uid((alt or "") + url) for alt, url in zip(alts, urls, strict=True)]
        reasons, messages = self._reasons(failures, pages, len(urls))
        at = pa.array(pages)
        columns = {
            "uid": pa.array(uids, pa.string()),
            "url": pa.array(urls, pa.string()),
            "text": pc.fill_null(texts, ""),
            "alt_state": _alt_states(texts),
            "text_source": pa.repeat("alt", len(urls)),
            "page_url": pa.array([page.url for page in self._pages], pa.string()).take(at),
            "src": pa.array([shown(given or "") for given in references], pa.string()) if failures else sources,
            "page_title": pa.array([page.title for page in self._pages], pa.string()).take(at),
            "page_language": pa.array([page.language for page in self._pages], pa.string()).take(at),
            "position": pa.array(positions.astype(np.int32)),
            "licence": pa.array([page.licence for page in self._pages], pa.string()).take(at),
            "opt_out": pa.array([",".join(page.directives) or None for page in self._pages], pa.string()).take(at),
            "source": pa.repeat(self._name, len(urls)),
            "source_offset": pa.array(self._offsets, pa.int64()).take(at),
            "reason": reasons,
            "message": messages,
        }
        arrays = [columns.get(field.name, pa.nulls(len(urls), field.type)) for field in PAIRS]
        return pa.RecordBatch.from_arrays(arrays, schema=PAIRS)

    def _resolve(
        self, references: Sequence[str | None], pages: Sequence[int]
    ) -> tuple[list[str], dict[int, tuple[str, str]]]:
        """Absolute URLs, and the failures among them by row."""
        urls: list[str] = []
        failures: dict[int, tuple[str, str]] = {}
        joiners = [page.joiner.join for page in self._pages]
        for row, (reference, page) in enumerate(zip(references, pages, strict=True)):
            if reference is not None and reference.startswith(_FETCHED):
                urls.append(reference)
                continue
            url = joiners[page](reference or "")
            if not reference:
                failures[row] = ("no_image_url", "the reference is empty")
                url = ""
            elif not url.startswith(_FETCHED):
                failures[row] = _failure(url)
                url = shown(url)
            urls.append(url)
        return urls, failures

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


def _parse(links: Sequence[Sequence[bytes]]) -> pa.Table:
    """JSON objects, one a line, as columns; as many rows as objects, or ArrowInvalid."""
    lines = b"\n".join(b"\n".join(given) for given in links if given)
    table = pa.json.read_json(
        pa.BufferReader(lines),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=max(_BLOCK, len(lines) + 1)),
        parse_options=pa.json.ParseOptions(explicit_schema=_LINK, unexpected_field_behavior="ignore"),
    )
    if table.num_rows != sum(map(len, links)):
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


def _uid(joined: str) -> str:
    return hashlib.md5(joined.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
