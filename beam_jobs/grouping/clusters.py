"""Clusters: centres fitted once, each row told its nearest ones, what its cluster is and how many share it.

In: embeddings/. Out: (ledger, shard, Tally) of each sidecar; tables of the clusters in groups/<label>/clusters/. The
steps are those of matching/centres.py and matching/cluster_steps.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton, PBegin, PCollection, TaggedOutput

from beam_jobs.grouping.grouper import Blob, Finder, GroupFn, Made
from beam_jobs.matching import centres, cluster_steps
from beam_jobs.matching.centres import Plan
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder

_NEAREST, _TOLD = "nearest", "told"
_TOGETHER = 0


class FindClusters(Finder):
    """Images by the centres that they are nearest to."""

    def expand(self, begin: PBegin) -> PCollection:
        planned = (
            begin
            | "All" >> beam.Create([self._shards], reshuffle=False)
            | "PlanCentres" >> beam.ParDo(_PlanCentres(*self._job))
        )
        plan = AsSingleton(planned)
        shards = begin | "Shards" >> beam.Create(self._shards)
        fitted = (
            shards
            | "SampleByGroup" >> beam.ParDo(_SampleByGroup(*self._job), plan).with_output_types(Blob)
            | "ByGroup" >> GroupBlobs()
            | "FitGroup" >> beam.ParDo(_FitGroup(*self._job), plan).with_output_types(Blob)
        )
        begun = planned | "Begun" >> beam.Map(lambda _: (_TOGETHER, b"")).with_output_types(Blob)
        digest = AsSingleton(
            (fitted, begun)
            | "AllCentres" >> beam.Flatten()
            | "Together" >> GroupBlobs()
            | "WriteCentres" >> beam.ParDo(_WriteCentres(*self._job), plan)
        )
        assigned = shards | "AssignRows" >> beam.ParDo(_AssignRows(*self._job), digest).with_outputs(
            _NEAREST, main="buckets"
        )
        told = (
            assigned["buckets"]
            | "ByClusters" >> GroupBlobs()
            | "SettleClusters" >> beam.ParDo(_SettleClusters(*self._job)).with_output_types(Blob)
        )
        return (
            {_NEAREST: assigned[_NEAREST], _TOLD: told}
            | "ByShard" >> CoGroupBlobs()
            | "WriteClusters" >> beam.ParDo(_WriteClusters(*self._job))
        )


class _PlanCentres(GroupFn):
    def process(self, shards: Sequence[int]) -> Iterator[Plan]:
        yield centres.plan_centres(self._work, shards, self._options)


class _SampleByGroup(GroupFn):
    def process(self, shard: int, plan: Plan) -> Iterator[Blob]:
        yield from centres.sample_by_group(self._work, shard, self._options, plan)


class _FitGroup(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], plan: Plan) -> Iterator[Blob]:
        yield _TOGETHER, centres.fit_group(*grouped, self._options, plan)


class _WriteCentres(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], plan: Plan) -> Iterator[str]:
        yield centres.write_centres(self._work, grouped[1], self._options, plan)


class _AssignRows(GroupFn):
    def process(self, shard: int, digest: str) -> Iterator[Blob | TaggedOutput]:
        fitted = centres.read_centres(self._work, self._options, digest)
        assigned = cluster_steps.assign_rows(self.rows(shard), self._options, fitted)
        yield TaggedOutput(_NEAREST, (shard, assigned.nearest))
        yield from assigned.buckets


class _SettleClusters(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        bucket, blobs = grouped
        settled = cluster_steps.settle_clusters(blobs, self._options)
        write_table(RunFolder(self._work).clusters(self._options.label, bucket), settled.table)
        yield from settled.told


class _WriteClusters(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        [nearest] = parts[_NEAREST]
        table = cluster_steps.clusters_table(self.rows(shard), self._options, nearest, parts[_TOLD])
        yield self.write(shard, table)

    def details(self, table: pa.Table) -> dict[str, dict[str, int]]:
        return {"clustered": {"rows": table.num_rows - table[f"{self._options.label}_id"].null_count}}
