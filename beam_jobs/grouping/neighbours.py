"""Neighbours: cells fitted once, rows sent to the cells where they live or ask, the nearest back to their shards.

In: embeddings/. Out: (ledger, shard, Tally) of each sidecar. The steps are those of matching/neighbour_steps.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import AsSingleton, PBegin, PCollection

from beam_jobs.grouping.grouper import Blob, Finder, GroupFn, Made, named
from beam_jobs.matching import neighbour_steps
from beam_jobs.matching.cell_files import read_cells
from beam_jobs.matching.near_steps import buckets_of
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs


class FindNeighbours(Finder):
    """The images nearest to each."""

    def expand(self, begin: PBegin) -> PCollection:
        fitted = AsSingleton(
            begin
            | "All" >> beam.Create([self._shards], reshuffle=False)
            | "FitProbes" >> beam.ParDo(_FitProbes(*self._job))
        )
        shards = begin | "Shards" >> beam.Create(self._shards)
        met = (
            shards
            | "AskCells" >> beam.ParDo(_AskCells(*self._job), fitted).with_output_types(Blob)
            | "ByBucket" >> GroupBlobs()
            | "CompareRows" >> beam.ParDo(_CompareRows(*self._job)).with_output_types(Blob)
        )
        present = shards | "Name" >> beam.Map(named).with_output_types(Blob)
        return (
            {"shard": present, "met": met}
            | "ByShard" >> CoGroupBlobs()
            | "WriteNeighbours" >> beam.ParDo(_WriteNeighbours(*self._job))
        )


class _FitProbes(GroupFn):
    def process(self, shards: Sequence[int]) -> Iterator[tuple[str, int]]:
        yield neighbour_steps.fit_probes(self._work, shards, self._options)


class _AskCells(GroupFn):
    def process(self, shard: int, fitted: tuple[str, int]) -> Iterator[Blob]:
        cells = read_cells(self._work, self._options.label, fitted[0])
        yield from neighbour_steps.visit_rows(self.rows(shard), self._options, cells, buckets_of(cells, fitted[1]))


class _CompareRows(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        yield from neighbour_steps.nearest_of_bucket(grouped[1], self._options)


class _WriteNeighbours(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        yield self.write(shard, neighbour_steps.neighbours_table(self.rows(shard), self._options, parts["met"]))

    def details(self, table: pa.Table) -> dict[str, dict[str, int]]:
        found = table[f"{self._options.label}_uids"]
        return {"neighbours": {"rows": int(pc.sum(pc.greater(pc.list_value_length(found), 0)).as_py() or 0)}}
