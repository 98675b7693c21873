"""The images of a Common Crawl WAT file: links and alt-texts, without the pages.

In: an open WAT file. Out: record batches of PAIRS. Every pair that cc2dataset emits is here under the same uid; links
that it drops are rows with a reason, and images without an alt-text are counted. A damaged record costs itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa

from beam_jobs.extraction.archives import Record, Wanted, iter_records
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.wat_columns import WatRows
from beam_jobs.extraction.wat_record import (
    BARE,
    IMAGE,
    Link,
    WatPage,
    image_links,
    page_beside,
    parse_links,
    whole_record,
)

_MOST_BYTES = 67_108_864
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def wat_batches(file: IO[bytes], options: ExtractOptions, counts: Counts, *, name: str) -> Iterator[pa.RecordBatch]:
    """The image links of a WAT file, in file order. `name`: the file as rows tell it."""
    rows = WatRows(options, name)
    wanted = Wanted(
        ("metadata",),
        bad=lambda offset, message: counts.bad_record(name, offset),
        max_bytes=_MOST_BYTES,
        mark=IMAGE,
        closing=b"}",
        passed=lambda number: counts.add("records", "read", number),
    )
    read = without_alt = 0
    for record in iter_records(file, wanted):
        read += 1
        links = image_links(record.data, record.begin, record.end, with_text=not options.wat_without_alt)
        if not links:
            if not record.content.rstrip().endswith(b"}"):
                counts.bad_record(name, record.offset)
            continue
        if links.count(BARE) == len(links) and not options.wat_without_alt:
            without_alt += len(links)
            continue
        try:
            page, found, places, total = _read(record, links, options)
        except _DAMAGE:
            counts.bad_record(name, record.offset)
            continue
        without_alt += total - rows.add(page, record.offset, found, places)
        if rows.full:
            yield rows.take()
    if len(rows):
        yield rows.take()
    if read:
        counts.add("records", "read", read)
    if without_alt:
        counts.add("references", "without_alt", without_alt)


def _read(
    record: Record, links: list[bytes], options: ExtractOptions
) -> tuple[WatPage, list[Link], Sequence[int], int]:
    """A record's page, its links and their places among so many images; fast where it is laid out as usual."""
    if b"" not in links:
        places: Sequence[int] = range(len(links))
        told = links
        if not options.wat_without_alt:
            places = [place for place, link in enumerate(links) if link is not BARE]
            told = [link for link in links if link is not BARE]
        try:
            return (
                page_beside(record.data, record.begin, record.end, agent=options.agent),
                parse_links(told),
                places,
                len(links),
            )
        except _DAMAGE:
            pass
    page, links = whole_record(record.content, agent=options.agent)
    return page, parse_links(links), range(len(links)), len(links)
