"""Retrieval: how near each image is to the nearest of given queries, and its place among those near the same one.

In: embeddings/, a file of queries. Out: (ledger, shard, Tally) of each sidecar. The steps are those of
matching/retrieve_steps.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput

from beam_jobs.grouping.grouper import Blob, Finder, GroupFn, Made
from beam_jobs.matching import retrieve_steps
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs

_NEAREST, _PLACED = "nearest", "placed"


class FindRetrieved(Finder):
    """Images by the query that they are nearest to."""

    def expand(self, begin: PBegin) -> PCollection:
        asked = (
            begin
            | "Shards" >> beam.Create(self._shards)
            | "NearestQueries" >> beam.ParDo(_NearestQueries(*self._job)).with_outputs(_NEAREST, main="buckets")
        )
        placed = (
            asked["buckets"]
            | "ByQuery" >> GroupBlobs()
            | "PlaceRows" >> beam.ParDo(_PlaceRows(*self._job)).with_output_types(Blob)
        )
        return (
            {_NEAREST: asked[_NEAREST], _PLACED: placed}
            | "ByShard" >> CoGroupBlobs()
            | "WriteRetrieved" >> beam.ParDo(_WriteRetrieved(*self._job))
        )


class _NearestQueries(GroupFn):
    def process(self, shard: int) -> Iterator[Blob | TaggedOutput]:
        found = retrieve_steps.nearest_queries(self.rows(shard), self._options)
        yield TaggedOutput(_NEAREST, (shard, found.nearest))
        yield from found.buckets


class _PlaceRows(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        yield from retrieve_steps.place_rows(grouped[1], self._options)


class _WriteRetrieved(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        [nearest] = parts[_NEAREST]
        yield self.write(
            shard, retrieve_steps.retrieved_table(self.rows(shard), self._options, nearest, parts[_PLACED])
        )

    def details(self, table: pa.Table) -> dict[str, dict[str, int]]:
        return {"retrieved": {"rows": table.num_rows - table[f"{self._options.label}_query"].null_count}}
