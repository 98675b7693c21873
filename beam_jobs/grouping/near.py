"""Near-duplicates by embedding: cells fitted once, rows sent to the cells where they live or visit, edges, components.

In: embeddings/. Out: (ledger, shard, Tally) of each sidecar. The steps are those of matching/near_steps.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsSingleton, PBegin, PCollection, TaggedOutput

from beam_jobs.grouping.grouper import Blob, Finder, GroupFn, Made
from beam_jobs.grouping.texts import add_texts, texts_sent
from beam_jobs.matching import near_steps
from beam_jobs.matching.cell_files import fit_and_write, read_cells
from beam_jobs.matching.close_pairs import Work
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs

_ROWS, _CLUSTERS, _COPIES = "rows", "clusters", "copies"
_TOGETHER = 0


class FindNear(Finder):
    """Images whose embeddings are close."""

    def expand(self, begin: PBegin) -> PCollection:
        fitted = AsSingleton(
            begin
            | "All" >> beam.Create([self._shards], reshuffle=False)
            | "FitCells" >> beam.ParDo(_FitCells(*self._job))
        )
        shards = begin | "Shards" >> beam.Create(self._shards)
        visited = shards | "VisitCells" >> beam.ParDo(_VisitCells(*self._job), fitted).with_outputs(
            _CLUSTERS, _COPIES, main=_ROWS
        )
        edges = (
            visited[_ROWS] | "ByBucket" >> GroupBlobs() | "CompareRows" >> beam.ParDo(_CompareRows(*self._job), fitted)
        )
        found = (
            {"edges": edges, _COPIES: visited[_COPIES]}
            | "Together" >> CoGroupBlobs()
            | "SettleComponents" >> beam.ParDo(_SettleComponents(*self._job)).with_outputs("settled", "wanted")
        )
        survivors = (
            found["wanted"] | "BySurvivor" >> GroupBlobs() | "SendSurvivors" >> beam.ParDo(_SendSurvivors(*self._job))
        )
        return (
            {
                _CLUSTERS: visited[_CLUSTERS],
                "settled": found["settled"],
                "survivors": survivors,
                **texts_sent(self._job[0], self._job[1], found["settled"]),
            }
            | "ByShard" >> CoGroupBlobs()
            | "WriteNear" >> beam.ParDo(_WriteNear(*self._job))
        )


class _FitCells(GroupFn):
    def process(self, shards: Sequence[int]) -> Iterator[tuple[str, int]]:
        yield fit_and_write(self._work, shards, self._options)


class _VisitCells(GroupFn):
    def process(self, shard: int, fitted: tuple[str, int]) -> Iterator[Blob | TaggedOutput]:
        digest, rows = fitted
        cells = read_cells(self._work, self._options.label, digest)
        visiting = near_steps.visit_rows(self.rows(shard), self._options, cells, near_steps.buckets_of(cells, rows))
        yield TaggedOutput(_CLUSTERS, (shard, visiting.clusters))
        if visiting.copies is not None:
            yield TaggedOutput(_COPIES, (_TOGETHER, visiting.copies))
        yield from visiting.buckets


class _CompareRows(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], fitted: tuple[str, int]) -> Iterator[Blob]:
        cells = read_cells(self._work, self._options.label, fitted[0])
        work = Work()
        found = near_steps.edges_of_bucket(grouped[1], self._options, cells, work=work)
        Metrics.counter("pairmill", f"group/{self._options.label}/compared").inc(work.compared)
        if found is not None:
            yield _TOGETHER, found


class _SettleComponents(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[TaggedOutput]:
        found = chain.from_iterable(grouped[1].values())
        for tag, shard, blob in near_steps.settle_components(found, self._options):
            yield TaggedOutput(tag, (shard, blob))


class _SendSurvivors(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        shard, asked = grouped
        yield from near_steps.send_survivors(self.rows(shard), self._options, asked)


class _WriteNear(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        [clusters] = parts[_CLUSTERS]
        rows = self.rows(shard)
        table = near_steps.near_table(rows, self._options, clusters, parts["settled"], parts["survivors"])
        yield self.write(shard, add_texts(table, self._options, rows, parts))
