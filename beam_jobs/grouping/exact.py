"""Exact duplicates: rows keyed by the hash of one key, settled bucket by bucket, back to their shards.

In: images/ and, for preferences, planned/ and scores/. Out: (ledger, shard, Tally) of each sidecar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from beam_jobs.grouping.grouper import Blob, Finder, GroupFn, Made, SettleBucket, named
from beam_jobs.grouping.texts import add_texts, texts_sent
from beam_jobs.matching import exact_steps
from beam_jobs.matching.exact_steps import buckets_for
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs


class FindExact(Finder):
    """Images that are equal by one key."""

    def expand(self, begin: PBegin) -> PCollection:
        shards = begin | "Shards" >> beam.Create(self._shards)
        settled = (
            shards
            | "KeyRows" >> beam.ParDo(_KeyRows(*self._job), buckets_for(len(self._shards))).with_output_types(Blob)
            | "ByKey" >> GroupBlobs()
            | "SettleBucket" >> beam.ParDo(SettleBucket()).with_output_types(Blob)
        )
        present = shards | "Name" >> beam.Map(named).with_output_types(Blob)
        return (
            {"shard": present, "settled": settled, **texts_sent(self._job[0], self._job[1], settled)}
            | "ByShard" >> CoGroupBlobs()
            | "WriteExact" >> beam.ParDo(_WriteExact(*self._job))
        )


class _KeyRows(GroupFn):
    def process(self, shard: int, buckets: int) -> Iterator[Blob]:
        yield from exact_steps.keyed_rows(self.rows(shard), self._options, buckets)


class _WriteExact(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        rows = self.rows(shard)
        table = exact_steps.exact_table(rows, self._options, parts["settled"])
        yield self.write(shard, add_texts(table, self._options, rows, parts))
