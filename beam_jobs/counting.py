"""Counting keys over parts or shards, on any runner: the wiring of beam_jobs/corpus.

In: numbers of parts, and a source that gives their rows and writes their sidecars. Out: (ledger, part, Tally) of each.
What is shuffled is keys of 8 bytes with their counts: to buckets, each key once a part, and the totals back to the
parts that asked. Each part is read twice: for its keys, and for its columns.

    parts -> keys and counts, by bucket -> totals, by part -> sidecars
    repeats:  parts -> pairs of keys, by bucket of the pair -> counts of different pairs, by bucket -> as above
    tables:   totals of all buckets -> one table of counts, before the sidecars
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton, PBegin, PCollection, TaggedOutput

from beam_jobs.corpus import repeats
from beam_jobs.corpus.keying import Keying, count_rows
from beam_jobs.corpus.repeats import RepeatKeys
from beam_jobs.corpus.tallies import Counted, Spectrum, bucket_count, by_bucket, settle, totals_of
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs
from beam_jobs.storage.ledger import Tally

Made = tuple[str, int, Tally]
Blob = tuple[int, bytes]

_ASKED, _COUNTED, _SPECTRA, _TOTALS, _ANSWERS = "asked", "counted", "spectra", "totals", "answers"


class Source(Protocol):
    """Where rows to count come from and their columns go; knows its counter."""

    @property
    def keying(self) -> Keying:
        """What makes keys of rows."""

    @property
    def tabulates(self) -> bool:
        """Whether the totals of all keys become a table of their own."""

    def living(self, part: int) -> Iterator[pa.Table]:
        """The rows of a part that count, in chunks, with the columns that the keying reads."""

    def write(self, part: int, totals: Counted, spectrum: Spectrum) -> Made:
        """Writes the sidecar of a part."""

    def groups(self, part: int) -> set[str | None]:
        """The values whose rows are counted apart; of a source that tabulates."""

    def tabulate(self, totals: Counted, groups: Sequence[str | None]) -> str:
        """Writes the table of totals; its digest."""


class CountKeys(beam.PTransform):
    """Writes the sidecars of one counter for all parts. rows: how many there are about, which sizes the buckets."""

    def __init__(self, source: Source, *, parts: Sequence[int], rows: int) -> None:
        super().__init__()
        self._source = source
        self._parts = sorted(parts)
        self._rows = rows

    def expand(self, begin: PBegin) -> PCollection:
        parts = begin | "Parts" >> beam.Create(self._parts)
        keying = self._source.keying
        buckets = bucket_count(self._rows * keying.entries_per_row)
        if isinstance(keying, RepeatKeys):
            keyed = parts | "KeyPairs" >> _KeyPairs(self._source, bucket_count(self._rows), buckets)
        else:
            counted = parts | "KeyRows" >> beam.ParDo(_KeyRows(self._source), buckets).with_output_types(Blob)
            keyed = {_COUNTED: counted}
        tabulates = self._source.tabulates
        settled = (
            keyed
            | "ByKey" >> CoGroupBlobs()
            | "Settle" >> beam.ParDo(_Settle(), tabulates).with_outputs(_SPECTRA, _TOTALS, main=_ANSWERS)
        )
        known = [AsSingleton(settled[_SPECTRA] | "Spectrum" >> beam.CombineGlobally(_JoinSpectra()))]
        if tabulates:
            known.append(AsSingleton((parts, settled[_TOTALS]) | "Table" >> _Table(self._source)))
        present = parts | "Name" >> beam.Map(lambda part: (part, b"")).with_output_types(Blob)
        return (
            {"part": present, _ANSWERS: settled[_ANSWERS]}
            | "ByPart" >> CoGroupBlobs()
            | "WritePart" >> beam.ParDo(_WritePart(self._source), *known)
        )


class _KeyPairs(beam.PTransform):
    """Parts to counts of different pairs by key, and to what the parts ask."""

    def __init__(self, source: Source, pair_buckets: int, buckets: int) -> None:
        super().__init__()
        self._source = source
        self._pair_buckets = pair_buckets
        self._buckets = buckets

    def expand(self, parts: PCollection) -> dict[str, PCollection]:
        found = parts | "Pairs" >> beam.ParDo(_PairUp(self._source), self._pair_buckets, self._buckets).with_outputs(
            _ASKED, main="pairs"
        )
        counted = (
            found.pairs
            | "ByPair" >> GroupBlobs()
            | "CountPairs" >> beam.ParDo(_CountPairs(), self._buckets).with_output_types(Blob)
        )
        # Grouped as two: a runner that flattened them first would hold the blobs themselves.
        return {_ASKED: found[_ASKED], _COUNTED: counted}


class _Table(beam.PTransform):
    """Parts and the totals of buckets to the digest of the table, once it is written."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    def expand(self, given: tuple[PCollection, PCollection]) -> PCollection:
        parts, totals = given
        groups = AsSingleton(
            parts | "Groups" >> beam.ParDo(_Groups(self._source)) | "AllGroups" >> beam.CombineGlobally(_union)
        )
        always = parts.pipeline | "Nothing" >> beam.Create([(0, b"")]).with_output_types(Blob)
        return (
            (always, totals)
            | beam.Flatten()
            | "Together" >> GroupBlobs()
            | "Tabulate" >> beam.ParDo(_Tabulate(self._source), groups)
        )


class _SourceFn(beam.DoFn):
    """A step that knows its source."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _count(self, part: int) -> Counted:
        """The keys of a part with what it takes their totals for unless it is told otherwise."""
        keying = self._source.keying
        if isinstance(keying, RepeatKeys):
            return repeats.counts_of(repeats.different_pairs(self._source.living(part), keying))
        return count_rows(self._source.living(part), keying)


class _KeyRows(_SourceFn):
    def process(self, part: int, buckets: int) -> Iterator[Blob]:
        yield from by_bucket(self._count(part), buckets, part=part)


class _PairUp(_SourceFn):
    def process(self, part: int, pair_buckets: int, buckets: int) -> Iterator[Blob | TaggedOutput]:
        keying = self._source.keying
        assert isinstance(keying, RepeatKeys)
        pairs = repeats.different_pairs(self._source.living(part), keying)
        yield from repeats.pairs_by_bucket(pairs, pair_buckets)
        for asked in by_bucket(repeats.counts_of(pairs), buckets, part=part, counted=False):
            yield TaggedOutput(_ASKED, asked)


class _CountPairs(beam.DoFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], buckets: int) -> Iterator[Blob]:
        yield from by_bucket(repeats.distinct(grouped[1]), buckets)


class _Settle(beam.DoFn):
    def process(
        self, grouped: tuple[int, Mapping[str, Iterable[bytes]]], tabulates: bool
    ) -> Iterator[Blob | TaggedOutput]:
        totals, answers = settle(chain.from_iterable(grouped[1].values()))
        yield TaggedOutput(_SPECTRA, Spectrum.of(totals.counts))
        if tabulates:
            yield TaggedOutput(_TOTALS, (0, totals.pack()))
        yield from answers


class _JoinSpectra(beam.CombineFn):
    """The spectrum of all buckets."""

    def create_accumulator(self) -> list[Spectrum]:
        return []

    def add_input(self, accumulator: list[Spectrum], element: Spectrum) -> list[Spectrum]:
        return [Spectrum.joined([*accumulator, element])]

    def merge_accumulators(self, accumulators: Iterable[list[Spectrum]]) -> list[Spectrum]:
        several = [spectrum for accumulator in accumulators for spectrum in accumulator]
        return [Spectrum.joined(several)] if several else []

    def extract_output(self, accumulator: list[Spectrum]) -> Spectrum:
        return Spectrum.joined(accumulator)


class _Groups(_SourceFn):
    def process(self, part: int) -> Iterator[frozenset[str | None]]:
        yield frozenset(self._source.groups(part))


def _union(several: Iterable[frozenset[str | None]]) -> frozenset[str | None]:
    return frozenset[str | None]().union(*several)


class _Tabulate(_SourceFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], groups: frozenset[str | None]) -> Iterator[str]:
        ordered = sorted(groups, key=lambda name: (name is None, name or ""))
        yield self._source.tabulate(totals_of(grouped[1]), ordered)


class _WritePart(_SourceFn):
    """table: the digest of the table of totals, which is there once this begins."""

    def process(
        self, grouped: tuple[int, Mapping[str, Iterable[bytes]]], spectrum: Spectrum, table: str = ""
    ) -> Iterator[Made]:
        part, blobs = grouped
        yield self._source.write(part, self._count(part).with_totals(blobs[_ANSWERS]), spectrum)
