"""The images of a Common Crawl WAT file: links and alt-texts, without the pages.

In: an open WAT file. Out: record batches of PAIRS. Every pair that cc2dataset emits is here under the same uid; links
that it drops are rows with a reason, and images without an alt-text are counted. A damaged record costs itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from beam_jobs.extraction.archives import iter_records
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.wat_columns import ALT, WatRows
from beam_jobs.extraction.wat_record import image_links, links_of, page_beside, whole_record

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_MOST_BYTES = 67_108_864
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def wat_batches(file: IO[bytes], options: ExtractOptions, counts: Counts, *, name: str) -> Iterator[pa.RecordBatch]:
    """The image links of a WAT file, in file order. `name`: the file as rows tell it."""
    from fastwarc.warc import WarcRecordType

    metadata = WarcRecordType.metadata

    def wanted(record: WarcRecord) -> bool:
        return bool(record.record_type == metadata)

    rows = WatRows(options, counts, name)
    records = iter_records(
        file, wanted=wanted, bad=lambda offset, message: counts.bad_record(name, offset), max_bytes=_MOST_BYTES
    )
    read = without_alt = 0
    for record in records:
        read += 1
        content = record.content
        links = image_links(content)
        if not links:
            continue
        regular = b"" not in links
        if regular and not options.wat_without_alt and not any(ALT in link for link in links):
            without_alt += len(links)
            continue
        try:
            if regular:
                page = page_beside(content, agent=options.agent)
            else:
                page, links = whole_record(content, agent=options.agent)
        except _DAMAGE:
            try:
                page, links = whole_record(content, agent=options.agent)
            except _DAMAGE:
                counts.bad_record(name, record.offset)
                continue
        rows.add(page, record.offset, links, content)
        if rows.full:
            yield from rows.take(links_of)
    yield from rows.take(links_of)
    counts.add("records", "read", read)
    if without_alt:
        counts.add("references", "without_alt", without_alt)
