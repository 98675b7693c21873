"""Images that are known: rows of a crawl held against indexes, by equal keys, near hashes and close embeddings.

In: images/, scores/, embeddings/; indexes of known images (beam_jobs/known). Out: (ledger, shard, Tally) of each
sidecar. Rows of the indexes travel as those of the crawl do; they are never grouped with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton, PBegin, PCollection

from beam_jobs.grouping.grouper import Blob, GroupFn, Made, named
from beam_jobs.known import exact_join, hash_join, vector_join
from beam_jobs.known.hits import write_hits
from beam_jobs.known.index import KnownIndex
from beam_jobs.known.matches import known_table
from beam_jobs.matching.cell_files import read_cells
from beam_jobs.matching.exact_steps import MOST_BUCKETS, buckets_for
from beam_jobs.matching.perceptual_steps import prefix_bits
from beam_jobs.shuffle import CoGroupBlobs
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import count_rows, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping_known import KnownOptions
from schemas.reasons import KEPT

_NEW, _KNOWN = "new", "known"
Part = tuple[int, int]


class FindKnown(beam.PTransform):
    """Images that stand in one of some indexes."""

    def __init__(
        self,
        work: str,
        shards: Sequence[int],
        options: KnownOptions,
        scores: Sequence[str],
        indexes: Sequence[KnownIndex] = (),
    ) -> None:
        super().__init__()
        self._job = (work, options, tuple(scores), tuple(indexes))
        self._shards = shards

    def expand(self, begin: PBegin) -> PCollection:
        _, options, _, indexes = self._job
        parts = [(number, part) for number, index in enumerate(indexes) for part in range(len(index.parts))]
        found = []
        if parts:
            shards = begin | "NewShards" >> beam.Create(self._shards)
            known = begin | "KnownParts" >> beam.Create(parts)
            if exact_join.kinds_of(options):
                found.append((shards, known) | "Equal" >> _Equal(self._job, len(self._shards) + len(parts)))
            if "perceptual" in options.by:
                found.append((shards, known) | "Perceptual" >> _Perceptual(self._job))
            if "near" in options.by:
                found.append((shards, known) | "Near" >> _Near(self._job, self._shards))
        present = begin | "Shards" >> beam.Create(self._shards) | "Name" >> beam.Map(named).with_output_types(Blob)
        tagged = {"shard": present, **{f"found{number}": each for number, each in enumerate(found)}}
        return tagged | "ByShard" >> CoGroupBlobs() | "WriteKnown" >> beam.ParDo(_WriteKnown(self._job))


_Job = tuple[str, KnownOptions, tuple[str, ...], tuple[KnownIndex, ...]]


class _KnownFn(GroupFn):
    """A step that knows the indexes too."""

    def __init__(self, job: _Job, *more: int) -> None:
        work, options, scores, indexes = job
        super().__init__(work, options, scores)  # type: ignore[arg-type]
        self._indexes = indexes
        self._more = more


class _Equal(beam.PTransform):
    def __init__(self, job: _Job, sources: int) -> None:
        super().__init__()
        self._job = job
        self._buckets = min(MOST_BUCKETS, buckets_for(sources))

    def expand(self, given: tuple[PCollection, PCollection]) -> PCollection:
        shards, known = given
        new = shards | "KeyNew" >> beam.ParDo(_KeyNew(self._job, self._buckets)).with_output_types(Blob)
        old = known | "KeyKnown" >> beam.ParDo(_KeyKnown(self._job, self._buckets)).with_output_types(Blob)
        joined = {_NEW: new, _KNOWN: old} | "ByKey" >> CoGroupBlobs()
        return joined | "Match" >> beam.ParDo(_MatchKeys(self._job, self._buckets)).with_output_types(Blob)


class _KeyNew(_KnownFn):
    def process(self, shard: int) -> Iterator[Blob]:
        yield from exact_join.new_keys(self.rows(shard), self._options, self._more[0])


class _KeyKnown(_KnownFn):
    def process(self, known: Part) -> Iterator[Blob]:
        number, part = known
        yield from exact_join.known_keys(self._indexes[number], number, part, self._options, self._more[0])


class _MatchKeys(_KnownFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Blob]:
        bucket, both = grouped
        yield from exact_join.equal_matches(bucket, both[_NEW], both[_KNOWN], self._indexes, self._more[0])


class _Perceptual(beam.PTransform):
    def __init__(self, job: _Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, given: tuple[PCollection, PCollection]) -> PCollection:
        shards, known = given
        counted = shards | "CountRows" >> beam.ParDo(_CountRows(self._job)) | "Rows" >> beam.CombineGlobally(sum)
        rows = AsSingleton(counted)
        new = shards | "BandNew" >> beam.ParDo(_BandNew(self._job), rows).with_output_types(Blob)
        old = known | "BandKnown" >> beam.ParDo(_BandKnown(self._job), rows).with_output_types(Blob)
        joined = {_NEW: new, _KNOWN: old} | "ByBand" >> CoGroupBlobs()
        return joined | "Match" >> beam.ParDo(_MatchHashes(self._job), rows).with_output_types(Blob)


class _CountRows(_KnownFn):
    def process(self, shard: int) -> Iterator[int]:
        yield count_rows(RunFolder(self._work).image_table(shard))


class _Parted(_KnownFn):
    def parted(self, rows: int) -> int:
        return prefix_bits(rows + sum(index.rows for index in self._indexes))


class _BandNew(_Parted):
    def process(self, shard: int, rows: int) -> Iterator[Blob]:
        yield from hash_join.new_bands(self.rows(shard), self._options, self.parted(rows))


class _BandKnown(_Parted):
    def process(self, known: Part, rows: int) -> Iterator[Blob]:
        number, part = known
        yield from hash_join.known_bands(self._indexes[number], number, part, self._options, self.parted(rows))


class _MatchHashes(_Parted):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]], rows: int) -> Iterator[Blob]:
        both = grouped[1]
        parted = self.parted(rows)
        yield from hash_join.close_matches(both[_NEW], both[_KNOWN], self._options, self._indexes, parted)


class _Near(beam.PTransform):
    def __init__(self, job: _Job, shards: Sequence[int]) -> None:
        super().__init__()
        self._job = job
        self._shards = shards

    def expand(self, given: tuple[PCollection, PCollection]) -> PCollection:
        shards, known = given
        everything = shards.pipeline | "All" >> beam.Create([list(self._shards)], reshuffle=False)
        fitted = AsSingleton(everything | "FitCells" >> beam.ParDo(_FitCells(self._job)))
        new = shards | "VisitNew" >> beam.ParDo(_VisitNew(self._job), fitted).with_output_types(Blob)
        old = known | "VisitKnown" >> beam.ParDo(_VisitKnown(self._job), fitted).with_output_types(Blob)
        joined = {_NEW: new, _KNOWN: old} | "ByBucket" >> CoGroupBlobs()
        return joined | "Match" >> beam.ParDo(_MatchVectors(self._job)).with_output_types(Blob)


class _FitCells(_KnownFn):
    def process(self, shards: Sequence[int]) -> Iterator[tuple[str, int]]:
        yield vector_join.fit_both(self._work, shards, self._indexes, self._options)


class _VisitNew(_KnownFn):
    def process(self, shard: int, fitted: tuple[str, int]) -> Iterator[Blob]:
        cells = read_cells(self._work, self._options.label, fitted[0])
        yield from vector_join.new_vectors(self.rows(shard), self._options, cells, fitted[1])


class _VisitKnown(_KnownFn):
    def process(self, known: Part, fitted: tuple[str, int]) -> Iterator[Blob]:
        number, part = known
        cells = read_cells(self._work, self._options.label, fitted[0])
        yield from vector_join.known_vectors(self._indexes[number], number, part, self._options, cells, fitted[1])


class _MatchVectors(_KnownFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Blob]:
        both = grouped[1]
        yield from vector_join.near_matches(both[_NEW], both[_KNOWN], self._options, self._indexes)


class _WriteKnown(_KnownFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Made]:
        shard, parts = grouped
        sent = [blob for tag, blobs in parts.items() if tag != "shard" for blob in blobs]
        names = [index.name for index in self._indexes]
        table = known_table(self.rows(shard), self._options, names, sent)
        write_hits(self._work, self._options.label, shard, table, self._indexes)
        digest = write_table(RunFolder(self._work).groups(self._options.label, shard), table)
        yield f"group/{self._options.label}", shard, self._tally(table, digest)

    def _tally(self, table: pa.Table, digest: str) -> Tally:
        label, rows = self._options.label, table.num_rows
        known = table[f"{label}_kind"].drop_null().value_counts().to_pylist()
        kinds = {f"known by {each['values']}": each["counts"] for each in sorted(known, key=lambda x: x["values"])}
        unknown = table[f"{label}_kind"].null_count
        return Tally(rows, {KEPT: rows}, digest, details={"known images": {**kinds, "not known": unknown}})
