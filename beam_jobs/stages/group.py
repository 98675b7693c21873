"""Group: which images are copies of which, as sidecars; no row is dropped here.

In: images/, embeddings/ and, where a preference names them, planned/ and scores/. Out: groups/<label>/NNNNN.parquet
with the rows and the order of images/NNNNN.parquet, and (ledger, shard, Tally) of each. What is shuffled is keys,
hashes and embeddings, an Arrow stream for each (shard, destination); each destination sorts what it gets, so the
answer does not depend on the order of arrival.

    exact       rows keyed by hash -> groups -> sidecars
    perceptual  rows keyed by bands of their hash -> edges -> components -> groups -> sidecars
    near        cells fitted once -> rows to the cells where they live or visit -> edges -> components -> sidecars
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsSingleton, PBegin, PCollection, TaggedOutput

from beam_jobs.matching import exact_steps, near_steps, perceptual_steps
from beam_jobs.matching.cell_files import fit_and_write, read_cells
from beam_jobs.matching.close_pairs import Work
from beam_jobs.matching.exact_steps import buckets_for
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.sidecars import row_kinds
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import count_rows, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import ExactOptions, Grouper, GroupOptions, NearOptions, PerceptualOptions
from schemas.reasons import KEPT

Made = tuple[str, int, Tally]
Blob = tuple[int, bytes]


class GroupShards(beam.PTransform):
    """Writes the sidecars of all groupers for all shards: a global step, so all shards or none.

    scores: labels of the score sidecars in which `keep` preferences may name columns.
    """

    def __init__(self, work: str, *, shards: Sequence[int], options: GroupOptions, scores: Sequence[str] = ()) -> None:
        super().__init__()
        self._work = work
        self._shards = sorted(shards)
        self._options = options
        self._scores = tuple(scores)

    def _find(self, grouper: Grouper) -> beam.PTransform:
        if isinstance(grouper, ExactOptions):
            return FindExact(self._work, self._shards, grouper, self._scores)
        if isinstance(grouper, PerceptualOptions):
            return FindPerceptual(self._work, self._shards, grouper, self._scores)
        return FindNear(self._work, self._shards, grouper, self._scores)

    def expand(self, begin: PBegin) -> PCollection:
        made = []
        for grouper in self._options.groupers:
            made.append(begin | f"Find {grouper.label}" >> self._find(grouper))
        return made | beam.Flatten(pipeline=begin.pipeline)


class FindExact(beam.PTransform):
    """Images that are equal by one key."""

    def __init__(self, work: str, shards: Sequence[int], options: ExactOptions, scores: Sequence[str]) -> None:
        super().__init__()
        self._job = (work, options, tuple(scores))
        self._shards = shards

    def expand(self, begin: PBegin) -> PCollection:
        shards = begin | "Shards" >> beam.Create(self._shards)
        settled = (
            shards
            | "KeyRows" >> beam.ParDo(_KeyRows(*self._job), buckets_for(len(self._shards))).with_output_types(Blob)
            | "ByKey" >> beam.GroupByKey()
            | "SettleBucket" >> beam.ParDo(_SettleBucket()).with_output_types(Blob)
        )
        named = shards | "Name" >> beam.Map(_named).with_output_types(Blob)
        return (
            {"shard": named, "settled": settled}
            | "ByShard" >> beam.CoGroupByKey()
            | "WriteExact" >> beam.ParDo(_WriteExact(*self._job))
        )


class FindPerceptual(beam.PTransform):
    """Images whose perceptual hashes differ in few bits."""

    def __init__(self, work: str, shards: Sequence[int], options: PerceptualOptions, scores: Sequence[str]) -> None:
        super().__init__()
        self._job = (work, options, tuple(scores))
        self._shards = shards

    def expand(self, begin: PBegin) -> PCollection:
        buckets = buckets_for(len(self._shards))
        shards = begin | "Shards" >> beam.Create(self._shards)
        rows = shards | "CountRows" >> beam.ParDo(_CountRows(*self._job)) | "Rows" >> beam.CombineGlobally(sum)
        settled = (
            shards
            | "KeyBands" >> beam.ParDo(_KeyBands(*self._job), AsSingleton(rows)).with_output_types(Blob)
            | "ByBand" >> beam.GroupByKey()
            | "CompareHashes" >> beam.ParDo(_CompareHashes(*self._job), AsSingleton(rows)).with_output_types(Blob)
            | "Together" >> beam.GroupByKey()
            | "LabelComponents" >> beam.ParDo(_LabelComponents()).with_output_types(Blob)
            | "Components" >> beam.GroupByKey()
            | "KeyMembers" >> beam.ParDo(_KeyMembers(*self._job), buckets).with_output_types(Blob)
            | "ByComponent" >> beam.GroupByKey()
            | "SettleBucket" >> beam.ParDo(_SettleBucket((perceptual_steps.HASH,))).with_output_types(Blob)
        )
        named = shards | "Name" >> beam.Map(_named).with_output_types(Blob)
        return (
            {"shard": named, "settled": settled}
            | "ByShard" >> beam.CoGroupByKey()
            | "WritePerceptual" >> beam.ParDo(_WritePerceptual(*self._job))
        )


class FindNear(beam.PTransform):
    """Images whose embeddings are close."""

    def __init__(self, work: str, shards: Sequence[int], options: NearOptions, scores: Sequence[str]) -> None:
        super().__init__()
        self._job = (work, options, tuple(scores))
        self._shards = shards

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
            visited[_ROWS]
            | "ByBucket" >> beam.GroupByKey()
            | "CompareRows" >> beam.ParDo(_CompareRows(*self._job), fitted)
        )
        found = (
            (edges, visited[_COPIES])
            | "AllEdges" >> beam.Flatten()
            | "Together" >> beam.GroupByKey()
            | "SettleComponents" >> beam.ParDo(_SettleComponents(*self._job)).with_outputs("settled", "wanted")
        )
        survivors = (
            found["wanted"]
            | "BySurvivor" >> beam.GroupByKey()
            | "SendSurvivors" >> beam.ParDo(_SendSurvivors(*self._job))
        )
        return (
            {_CLUSTERS: visited[_CLUSTERS], "settled": found["settled"], "survivors": survivors}
            | "ByShard" >> beam.CoGroupByKey()
            | "WriteNear" >> beam.ParDo(_WriteNear(*self._job))
        )


_ROWS, _CLUSTERS, _COPIES = "rows", "clusters", "copies"
_TOGETHER = 0


def _named(shard: int) -> tuple[int, bytes]:
    return shard, b""


class _GroupFn(beam.DoFn):
    """A step that knows the run folder, its grouper's options and the scores that preferences may name."""

    def __init__(self, work: str, options: Grouper, scores: tuple[str, ...]) -> None:
        self._work = work
        self._options: Any = options
        self._scores = scores

    def _rows(self, shard: int) -> ImageRows:
        return ImageRows(self._work, shard, self._scores)

    def _write(self, shard: int, table: pa.Table) -> Made:
        label = self._options.label
        digest = write_table(RunFolder(self._work).groups(label, shard), table)
        kinds = {"duplicates": dict(row_kinds(table, label))}
        tally = Tally(rows_in=table.num_rows, reasons={KEPT: table.num_rows}, digest=digest, details=kinds)
        return f"group/{label}", shard, tally


class _KeyRows(_GroupFn):
    def process(self, shard: int, buckets: int) -> Iterator[Blob]:
        yield from exact_steps.keyed_rows(self._rows(shard), self._options, buckets)


class _SettleBucket(beam.DoFn):
    def __init__(self, carry: tuple[str, ...] = ()) -> None:
        self._carry = carry

    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        yield from exact_steps.settle_bucket(grouped[1], self._carry)


class _WriteExact(_GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        rows = self._rows(shard)
        yield self._write(shard, exact_steps.exact_table(rows, self._options, parts["settled"]))


class _CountRows(_GroupFn):
    def process(self, shard: int) -> Iterator[int]:
        yield count_rows(RunFolder(self._work).image_table(shard))


class _KeyBands(_GroupFn):
    def process(self, shard: int, rows: int) -> Iterator[Blob]:
        parted = perceptual_steps.prefix_bits(rows)
        yield from perceptual_steps.keyed_bands(self._rows(shard), self._options, parted)


class _CompareHashes(_GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], rows: int) -> Iterator[Blob]:
        found = perceptual_steps.edges_of_band(grouped[1], self._options, perceptual_steps.prefix_bits(rows))
        if found is not None:
            yield _TOGETHER, found


class _LabelComponents(beam.DoFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        yield from perceptual_steps.label_components(grouped[1])


class _KeyMembers(_GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], buckets: int) -> Iterator[Blob]:
        shard, blobs = grouped
        yield from perceptual_steps.keyed_members(self._rows(shard), self._options, blobs, buckets)


class _WritePerceptual(_GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        table = perceptual_steps.perceptual_table(self._rows(shard), self._options, parts["settled"])
        yield self._write(shard, table)


class _FitCells(_GroupFn):
    def process(self, shards: Sequence[int]) -> Iterator[tuple[str, int]]:
        yield fit_and_write(self._work, shards, self._options)


class _VisitCells(_GroupFn):
    def process(self, shard: int, fitted: tuple[str, int]) -> Iterator[Blob | TaggedOutput]:
        digest, rows = fitted
        cells = read_cells(self._work, self._options.label, digest)
        visiting = near_steps.visit_rows(self._rows(shard), self._options, cells, near_steps.buckets_of(cells, rows))
        yield TaggedOutput(_CLUSTERS, (shard, visiting.clusters))
        if visiting.copies is not None:
            yield TaggedOutput(_COPIES, (_TOGETHER, visiting.copies))
        yield from visiting.buckets


class _CompareRows(_GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], fitted: tuple[str, int]) -> Iterator[Blob]:
        cells = read_cells(self._work, self._options.label, fitted[0])
        work = Work()
        found = near_steps.edges_of_bucket(grouped[1], self._options, cells, work=work)
        Metrics.counter("pairmill", f"group/{self._options.label}/compared").inc(work.compared)
        if found is not None:
            yield _TOGETHER, found


class _SettleComponents(_GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[TaggedOutput]:
        for tag, shard, blob in near_steps.settle_components(grouped[1], self._options):
            yield TaggedOutput(tag, (shard, blob))


class _SendSurvivors(_GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        shard, asked = grouped
        yield from near_steps.send_survivors(self._rows(shard), self._options, asked)


class _WriteNear(_GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        [clusters] = parts[_CLUSTERS]
        rows = self._rows(shard)
        yield self._write(
            shard, near_steps.near_table(rows, self._options, clusters, parts["settled"], parts["survivors"])
        )
