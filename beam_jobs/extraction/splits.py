"""Sources cut into splits: the parts that are extracted by themselves, numbered from 0.

In: sources. Out: splits in a fixed order; what is missing or of another kind than said is a Refusal, before anything
is written. Files: a split a WARC, WAT, tar, CSV or JSONL file; a few row groups of a Parquet file; a hundred pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from beam_jobs.extraction.listings import archive_files, list_spans, page_files, source_files
from beam_jobs.extraction.tables import TABLE_ENDINGS, check_columns, ending_of, row_group_spans
from beam_jobs.storage.files import size
from schemas.refusal import Refusal
from schemas.sources import Source

PAGES_PER_SPLIT = 100
_ARCHIVE_ENDINGS = (".warc", ".warc.gz", ".warc.zst", ".arc", ".arc.gz")
_WAT_ENDINGS = (".wat", ".wat.gz", ".wat.zst", *_ARCHIVE_ENDINGS)
_TAR_ENDINGS = (".tar",)


@dataclass(frozen=True)
class Split:
    """A part of a source. files: paths or URLs (of pages: below the source's folder). start, stop: row groups of a
    Parquet file, or bytes of a list of page URLs; both 0 for the whole. size: in bytes, where it is known."""

    part: int
    source: Source
    files: tuple[str, ...]
    start: int = 0
    stop: int = 0
    size: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan_splits(sources: Sequence[Source]) -> list[Split]:
    """All the splits of all the sources; the same sources give the same splits."""
    if not sources:
        raise Refusal("no source is given; expected at least one --source KIND:URL")
    splits: list[Split] = []
    for source in sources:
        before = len(splits)
        for files, start, stop, length in _PLANS[source.kind](source):
            splits.append(Split(len(splits), source, files, start, stop, length))
        if len(splits) == before:
            raise Refusal(f"source {source.spelling} holds nothing to read")
    return splits


_Part = tuple[tuple[str, ...], int, int, int]


def _warc(source: Source) -> Iterator[_Part]:
    for file in archive_files(source, _ARCHIVE_ENDINGS):
        yield (file,), 0, 0, _size(file)


def _wat(source: Source) -> Iterator[_Part]:
    for file in archive_files(source, _WAT_ENDINGS):
        yield (file,), 0, 0, _size(file)


def _html(source: Source) -> Iterator[_Part]:
    pages = page_files(source)
    if pages is None:
        for start, stop in list_spans(source.url, PAGES_PER_SPLIT):
            yield (source.url,), start, stop, stop - start
        return
    for first in range(0, len(pages), PAGES_PER_SPLIT):
        yield tuple(pages[first : first + PAGES_PER_SPLIT]), 0, 0, 0


def _table(source: Source) -> Iterator[_Part]:
    files = source_files(source, TABLE_ENDINGS)
    endings = {ending_of(file).removesuffix(".gz") for file in files}
    if len(endings) > 1:
        raise Refusal(f"source {source.spelling} mixes {', '.join(sorted(endings))}; expected files of one ending")
    for file in files:
        check_columns(source, file)
        for start, stop in row_group_spans(file):
            yield (file,), start, stop, _size(file)


def _shards(source: Source) -> Iterator[_Part]:
    for file in source_files(source, _TAR_ENDINGS):
        yield (file,), 0, 0, _size(file)


_PLANS = {"warc": _warc, "wat": _wat, "html": _html, "table": _table, "shards": _shards}


def _size(file: str) -> int:
    """What tells a file from its later self at the price of a stat; 0 where a server does not say."""
    try:
        return size(file)
    except (OSError, TypeError, NotImplementedError):
        return 0
