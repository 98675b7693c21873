"""Perceptual duplicates: bands of hashes to edges, edges to components, components to groups, back to their shards.

In: the sidecars of a hash scorer. Out: (ledger, shard, Tally) of each sidecar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PBegin, PCollection

from beam_jobs.grouping.grouper import Blob, Finder, GroupFn, Made, SettleBucket, named
from beam_jobs.grouping.texts import add_texts, texts_sent
from beam_jobs.matching import perceptual_steps
from beam_jobs.matching.exact_steps import buckets_for
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs
from beam_jobs.storage.parquet import count_rows
from beam_jobs.storage.run_folder import RunFolder

_TOGETHER = 0


class FindPerceptual(Finder):
    """Images whose perceptual hashes differ in few bits."""

    def expand(self, begin: PBegin) -> PCollection:
        buckets = buckets_for(len(self._shards))
        shards = begin | "Shards" >> beam.Create(self._shards)
        rows = shards | "CountRows" >> beam.ParDo(_CountRows(*self._job)) | "Rows" >> beam.CombineGlobally(sum)
        settled = (
            shards
            | "KeyBands" >> beam.ParDo(_KeyBands(*self._job), AsSingleton(rows)).with_output_types(Blob)
            | "ByBand" >> GroupBlobs()
            | "CompareHashes" >> beam.ParDo(_CompareHashes(*self._job), AsSingleton(rows)).with_output_types(Blob)
            | "Together" >> GroupBlobs()
            | "LabelComponents" >> beam.ParDo(_LabelComponents()).with_output_types(Blob)
            | "Components" >> GroupBlobs()
            | "KeyMembers" >> beam.ParDo(_KeyMembers(*self._job), buckets).with_output_types(Blob)
            | "ByComponent" >> GroupBlobs()
            | "SettleBucket" >> beam.ParDo(SettleBucket((perceptual_steps.HASH,))).with_output_types(Blob)
        )
        present = shards | "Name" >> beam.Map(named).with_output_types(Blob)
        return (
            {"shard": present, "settled": settled, **texts_sent(self._job[0], self._job[1], settled)}
            | "ByShard" >> CoGroupBlobs()
            | "WritePerceptual" >> beam.ParDo(_WritePerceptual(*self._job))
        )


class _CountRows(GroupFn):
    def process(self, shard: int) -> Iterator[int]:
        yield count_rows(RunFolder(self._work).image_table(shard))


class _KeyBands(GroupFn):
    def process(self, shard: int, rows: int) -> Iterator[Blob]:
        parted = perceptual_steps.prefix_bits(rows)
        yield from perceptual_steps.keyed_bands(self.rows(shard), self._options, parted)


class _CompareHashes(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], rows: int) -> Iterator[Blob]:
        found = perceptual_steps.edges_of_band(grouped[1], self._options, perceptual_steps.prefix_bits(rows))
        if found is not None:
            yield _TOGETHER, found


class _LabelComponents(beam.DoFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        yield from perceptual_steps.label_components(grouped[1])


class _KeyMembers(GroupFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], buckets: int) -> Iterator[Blob]:
        shard, blobs = grouped
        yield from perceptual_steps.keyed_members(self.rows(shard), self._options, blobs, buckets)


class _WritePerceptual(GroupFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        rows = self.rows(shard)
        table = perceptual_steps.perceptual_table(rows, self._options, parts["settled"])
        yield self.write(shard, add_texts(table, self._options, rows, parts))
