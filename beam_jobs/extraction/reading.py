"""A split read: whatever its kind, a stream of record batches.

In: a split and options. Out: batches of PAIRS and of the columns that the source adds, in a fixed order; counts of
pages and records go into Counts. Memory is that of a batch, a page, or the rows of a hundred fetched pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from beam_jobs.extraction.html_pages import fetched_pages, folder_pages, listed_urls
from beam_jobs.extraction.listings import told
from beam_jobs.extraction.opening import open_source
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page_rows import page_rows
from beam_jobs.extraction.rows import Counts, PairRows
from beam_jobs.extraction.splits import Split
from beam_jobs.extraction.tables import extra_schema, table_rows
from beam_jobs.extraction.warc_pages import warc_pages
from beam_jobs.extraction.wat import wat_batches
from beam_jobs.extraction.webdataset import shard_rows
from schemas.tables import PAIRS


def split_schema(split: Split) -> pa.Schema:
    """The columns of a split's batches."""
    if split.source.kind != "table":
        return PAIRS
    return pa.schema([*PAIRS, *extra_schema(split.source, split.files[0])])


def read_split(split: Split, options: ExtractOptions, *, counts: Counts | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a split; those that lead nowhere bear their reason."""
    counts = Counts() if counts is None else counts
    if split.source.kind == "wat":
        with open_source(split.files[0]) as file:
            yield from wat_batches(file, options, counts, name=told(split.source, split.files[0]))
        return
    rows = PairRows(pa.schema(list(split_schema(split))[len(PAIRS) :]))
    for values in _rows(split, options, counts):
        rows.add(values)
        if len(rows) >= options.rows_per_batch:
            yield rows.take()
    if len(rows):
        yield rows.take()


def _rows(split: Split, options: ExtractOptions, counts: Counts) -> Iterator[dict[str, Any]]:
    source, first = split.source, split.files[0]
    if source.kind == "table":
        yield from table_rows(source, first, split.start, split.stop, name=told(source, first))
    elif source.kind == "shards":
        yield from shard_rows(source, first, counts, name=told(source, first))
    elif source.kind == "warc":
        with open_source(first) as file:
            for page in warc_pages(file, options, counts, name=told(source, first)):
                yield from page_rows(page, options)
    elif split.stop:
        yield from _fetched_rows(split, options, counts)
    else:
        for page in folder_pages(source.url, split.files, options, counts):
            yield from page_rows(page, options)


def _fetched_rows(split: Split, options: ExtractOptions, counts: Counts) -> Iterator[dict[str, Any]]:
    """Rows in the order of the list: a page is read as it arrives, its rows wait for those before it."""
    urls = listed_urls(split.files[0], split.start, split.stop)
    waiting: dict[int, list[dict[str, Any]]] = {}
    for place, page in fetched_pages(urls, options, counts):
        waiting[place] = list(page_rows(page, options))
    for place in sorted(waiting):
        yield from waiting.pop(place)
