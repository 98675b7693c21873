"""Corpus: what only the whole corpus knows of a pair, as sidecars of the pairs; no row is dropped here.

In: pairs/. Out: corpus/<label>/part-NNNNN.parquet with the rows and the order of pairs/part-NNNNN.parquet, and
(ledger, part, Tally) of each. What is shuffled is keys of 8 bytes with their counts: to buckets, each key once a part,
and the totals back to the parts that asked. Each part is read twice: for its keys, and for its columns.

    parts -> keys and counts, by bucket -> totals, by part -> sidecars
    repeats:  parts -> pairs of keys, by bucket of the pair -> counts of different pairs, by bucket -> as above
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PBegin, PCollection, TaggedOutput

from beam_jobs.corpus import repeats
from beam_jobs.corpus.counters import make_keying, provenance
from beam_jobs.corpus.keying import Keying, count_rows
from beam_jobs.corpus.parts import PartRows, write_sidecar
from beam_jobs.corpus.repeats import RepeatKeys
from beam_jobs.corpus.tallies import Counted, Spectrum, bucket_count, by_bucket, settle
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs
from beam_jobs.storage.ledger import Tally
from schemas.corpus import Counter

Made = tuple[str, int, Tally]
Blob = tuple[int, bytes]
Configuration = dict[str, Any]

_ASKED, _SPECTRA, _ANSWERS = "asked", "spectra", "answers"


class CountCorpus(beam.PTransform):
    """Writes the sidecars of all counters for all parts: a global step, so all parts or none.

    rows: how many living pairs there are, which sizes the buckets. counters: each with its configuration.
    """

    def __init__(
        self,
        work: str,
        *,
        parts: Sequence[int],
        rows: int,
        counters: Sequence[tuple[Counter, Configuration]],
    ) -> None:
        super().__init__()
        self._work = work
        self._parts = sorted(parts)
        self._rows = rows
        self._counters = tuple(counters)

    def expand(self, begin: PBegin) -> PCollection:
        made = [
            begin | f"Count {counter.label}" >> _Count(self._work, self._parts, self._rows, counter, configuration)
            for counter, configuration in self._counters
        ]
        return made | beam.Flatten(pipeline=begin.pipeline)


class _Count(beam.PTransform):
    """The sidecars of one counter."""

    def __init__(
        self, work: str, parts: Sequence[int], rows: int, counter: Counter, configuration: Configuration
    ) -> None:
        super().__init__()
        self._job = (work, counter, configuration)
        self._parts = parts
        self._rows = rows
        self._keying = make_keying(counter, configuration)

    def expand(self, begin: PBegin) -> PCollection:
        parts = begin | "Parts" >> beam.Create(self._parts)
        buckets = bucket_count(self._rows * self._keying.entries_per_row)
        if isinstance(self._keying, RepeatKeys):
            keyed = parts | "KeyPairs" >> _KeyPairs(self._job, bucket_count(self._rows), buckets)
        else:
            keyed = parts | "KeyRows" >> beam.ParDo(_KeyRows(*self._job), buckets).with_output_types(Blob)
        settled = (
            keyed | "ByKey" >> GroupBlobs() | "Settle" >> beam.ParDo(_Settle()).with_outputs(_SPECTRA, main=_ANSWERS)
        )
        spectrum = AsSingleton(settled[_SPECTRA] | "Spectrum" >> beam.CombineGlobally(_JoinSpectra()))
        present = parts | "Name" >> beam.Map(lambda part: (part, b"")).with_output_types(Blob)
        return (
            {"part": present, _ANSWERS: settled[_ANSWERS]}
            | "ByPart" >> CoGroupBlobs()
            | "WritePart" >> beam.ParDo(_WritePart(*self._job), spectrum)
        )


class _KeyPairs(beam.PTransform):
    """Parts to counts of different pairs by key, and to what the parts ask."""

    def __init__(self, job: tuple[str, Counter, Configuration], pair_buckets: int, buckets: int) -> None:
        super().__init__()
        self._job = job
        self._pair_buckets = pair_buckets
        self._buckets = buckets

    def expand(self, parts: PCollection) -> PCollection:
        found = parts | "Pairs" >> beam.ParDo(_PairUp(*self._job), self._pair_buckets, self._buckets).with_outputs(
            _ASKED, main="pairs"
        )
        counted = (
            found.pairs
            | "ByPair" >> GroupBlobs()
            | "CountPairs" >> beam.ParDo(_CountPairs(), self._buckets).with_output_types(Blob)
        )
        return (found[_ASKED], counted) | beam.Flatten()


class _CountFn(beam.DoFn):
    """A step that knows the run folder and its counter."""

    def __init__(self, work: str, counter: Counter, configuration: Configuration) -> None:
        self._work = work
        self._counter = counter
        self._configuration = configuration

    @property
    def _keying(self) -> Any:
        return make_keying(self._counter, self._configuration)

    def _living(self, part: int) -> Iterator[Any]:
        return PartRows(self._work, part).living(self._keying.reads)

    def _count(self, part: int) -> Counted:
        """The keys of a part with what it takes their totals for unless it is told otherwise."""
        keying: Keying = self._keying
        if isinstance(keying, RepeatKeys):
            return repeats.counts_of(repeats.different_pairs(self._living(part), keying))
        return count_rows(self._living(part), keying)


class _KeyRows(_CountFn):
    def process(self, part: int, buckets: int) -> Iterator[Blob]:
        yield from by_bucket(self._count(part), buckets, part=part)


class _PairUp(_CountFn):
    def process(self, part: int, pair_buckets: int, buckets: int) -> Iterator[Blob | TaggedOutput]:
        pairs = repeats.different_pairs(self._living(part), self._keying)
        yield from repeats.pairs_by_bucket(pairs, pair_buckets)
        for asked in by_bucket(repeats.counts_of(pairs), buckets, part=part, counted=False):
            yield TaggedOutput(_ASKED, asked)


class _CountPairs(beam.DoFn):
    def process(self, grouped: tuple[int, Iterable[bytes]], buckets: int) -> Iterator[Blob]:
        yield from by_bucket(repeats.distinct(grouped[1]), buckets)


class _Settle(beam.DoFn):
    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob | TaggedOutput]:
        spectrum, answers = settle(grouped[1])
        yield TaggedOutput(_SPECTRA, spectrum)
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


class _WritePart(_CountFn):
    def process(self, grouped: tuple[int, Mapping[str, Iterable[bytes]]], spectrum: Spectrum) -> Iterator[Made]:
        part, blobs = grouped
        tally = write_sidecar(
            PartRows(self._work, part),
            self._counter,
            self._keying,
            totals=self._count(part).with_totals(blobs[_ANSWERS]),
            spectrum=spectrum,
            provenance=provenance(self._counter, self._configuration, spectrum),
        )
        yield f"corpus/{self._counter.label}", part, tally
