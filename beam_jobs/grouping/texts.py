"""Texts of copies on their way to their survivors: one more shuffle by shard, where a grouper is asked for texts.

In: the settled members of groups by shard, as any grouper makes them. Out: blobs of texts by the survivor's shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection

from beam_jobs.grouping.grouper import Blob, GroupFn
from beam_jobs.matching.copy_texts import send_texts, with_texts
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.shuffle import GroupBlobs
from schemas.grouping import ExactOptions, NearOptions, PerceptualOptions

TEXTS = "texts"
Keeping = ExactOptions | NearOptions | PerceptualOptions


class SendTexts(beam.PTransform):
    """Settled members by shard to the parts of a join by shard: these, and texts where they are asked for."""

    def __init__(self, work: str, options: Keeping) -> None:
        super().__init__()
        self._work = work
        self._options = options

    def expand(self, settled: PCollection) -> PCollection:
        return (
            settled
            | "Members" >> GroupBlobs()
            | "ReadTexts" >> beam.ParDo(_ReadTexts(self._work, self._options, ())).with_output_types(Blob)
        )


class _ReadTexts(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        shard, settled = grouped
        yield from send_texts(self.rows(shard), settled, self._options.texts)


def texts_sent(work: str, options: Keeping, settled: PCollection) -> dict[str, PCollection]:
    """What joins a shard's sidecar beside the settled members: their texts, or nothing."""
    return {TEXTS: settled | "SendTexts" >> SendTexts(work, options)} if options.texts else {}


def add_texts(table: pa.Table, options: Keeping, rows: ImageRows, parts: Mapping[str, Iterable[bytes]]) -> pa.Table:
    """A sidecar with its column of texts, where it is asked for."""
    if not options.texts:
        return table
    return with_texts(table, f"{options.label}_texts", rows, parts[TEXTS], options.texts)
