"""The images of a Common Crawl WAT file: links and alt-texts, without the pages.

In: an open WAT file. Out: record batches of PAIRS. Every pair that cc2dataset emits is here under the same uid; links
that it drops are rows with a reason, and images without an alt-text are counted. A damaged record costs itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
from stringzilla import find

from beam_jobs.extraction.archives import Record, Wanted, iter_records
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.wat_columns import WatRows
from beam_jobs.extraction.wat_record import (
    IMAGE,
    Link,
    WatPage,
    image_links,
    links_of,
    page_beside,
    parse_links,
    told_links,
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
    read = 0
    for record in iter_records(file, wanted):
        read += 1
        if find(record.data, IMAGE, record.begin, record.end) < 0:
            if not record.content.rstrip().endswith(b"}"):
                counts.bad_record(name, record.offset)
            continue
        try:
            page, links, places, images = _read(record, options)
        except _DAMAGE:
            counts.bad_record(name, record.offset)
            continue
        rows.without_alt += images - len(links)
        if page is not None:
            rows.add(page, record.offset, links, places)
        if rows.full:
            yield from rows.take()
    yield from rows.take()
    if read:
        counts.add("records", "read", read)
    if rows.without_alt:
        counts.add("references", "without_alt", rows.without_alt)


def _read(record: Record, options: ExtractOptions) -> tuple[WatPage | None, list[Link], Sequence[int], int]:
    """A record's page, if it has links to tell; those, and their places among so many images."""
    data, end = record.data, record.end
    places: Sequence[int]
    try:
        begin, mark = links_of(data, record.begin, end)
        if options.wat_without_alt:
            links = image_links(data, begin, end)
            places, images = range(len(links)), len(links)
        else:
            links, places, images = told_links(data, begin, end, mark=mark)
        page = page_beside(data, record.begin, begin, end, agent=options.agent) if links else None
        return page, parse_links(links), places, images
    except _DAMAGE:  # spelled in a way that is not looked for, or damaged
        page, links = whole_record(record.content, agent=options.agent)
    return page, parse_links(links), range(len(links)), len(links)
