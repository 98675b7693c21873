"""Placeholders: rows keyed by their content's hash, counted bucket by bucket, back to their shards.

In: images/. Out: (ledger, shard, Tally) of each sidecar. What is shuffled is four hashes a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import PBegin, PCollection

from beam_jobs.grouping.grouper import Blob, Finder, GroupFn, Made, named
from beam_jobs.matching import placeholder_steps
from beam_jobs.matching.exact_steps import buckets_for
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs


class FindPlaceholders(Finder):
    """Images whose content stands under many URLs with many texts."""

    def expand(self, begin: PBegin) -> PCollection:
        shards = begin | "Shards" >> beam.Create(self._shards)
        told = (
            shards
            | "KeyContents"
            >> beam.ParDo(_KeyContents(*self._job), buckets_for(len(self._shards))).with_output_types(Blob)
            | "ByContent" >> GroupBlobs()
            | "CountContents" >> beam.FlatMap(_counted).with_output_types(Blob)
        )
        present = shards | "Name" >> beam.Map(named).with_output_types(Blob)
        return (
            {"shard": present, "told": told}
            | "ByShard" >> CoGroupBlobs()
            | "WritePlaceholders" >> beam.ParDo(_WritePlaceholders(*self._job))
        )


def _counted(grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
    yield from placeholder_steps.count_contents(grouped[1])


class _KeyContents(GroupFn):
    def process(self, shard: int, buckets: int) -> Iterator[Blob]:
        yield from placeholder_steps.content_rows(self.rows(shard), buckets)


class _WritePlaceholders(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        yield self.write(shard, placeholder_steps.placeholders_table(self.rows(shard), self._options, parts["told"]))

    def details(self, table: pa.Table) -> dict[str, dict[str, int]]:
        return {"placeholders": {"rows": pc.sum(table[self._options.label]).as_py() or 0}}
