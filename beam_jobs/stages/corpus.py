"""Corpus: what only the whole corpus knows of a pair, as sidecars of the pairs; no row is dropped here.

In: pairs/. Out: corpus/<label>/part-NNNNN.parquet with the rows and the order of pairs/part-NNNNN.parquet, and
(ledger, part, Tally) of each; of counters of concepts also corpus/<label>/counts.parquet, how often each occurs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin, PCollection

from beam_jobs.corpus.concepts import ConceptKeys
from beam_jobs.corpus.counters import make_keying, provenance
from beam_jobs.corpus.keying import Keying
from beam_jobs.corpus.parts import PartRows, write_sidecar
from beam_jobs.corpus.tallies import Counted, Spectrum
from beam_jobs.counting import CountKeys, Made
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.corpus import ConceptsOptions, Counter

Configuration = dict[str, Any]


class CountCorpus(beam.PTransform):
    """Writes the sidecars of all counters for all parts: a global step, so all parts or none.

    rows: how many living pairs there are, which sizes the buckets. counters: each with its configuration.
    """

    def __init__(
        self, work: str, *, parts: Sequence[int], rows: int, counters: Sequence[tuple[Counter, Configuration]]
    ) -> None:
        super().__init__()
        self._parts = tuple(parts)
        self._rows = rows
        self._sources = [PairsSource(work, counter, made) for counter, made in counters]

    def expand(self, begin: PBegin) -> PCollection:
        made = [
            begin | f"Count {source.counter.label}" >> CountKeys(source, parts=self._parts, rows=self._rows)
            for source in self._sources
        ]
        return made | beam.Flatten(pipeline=begin.pipeline)


@dataclass(frozen=True)
class PairsSource:
    """The parts of the pairs, counted by one counter. made: its configuration."""

    work: str
    counter: Counter
    made: Configuration

    @property
    def keying(self) -> Keying:
        return make_keying(self.counter, self.made)

    @property
    def tabulates(self) -> bool:
        return isinstance(self.counter, ConceptsOptions)

    def living(self, part: int) -> Iterator[pa.Table]:
        return PartRows(self.work, part).living(self.counter.reads)

    def write(self, part: int, totals: Counted, spectrum: Spectrum) -> Made:
        tally = write_sidecar(
            PartRows(self.work, part),
            self.counter,
            self.keying,
            totals=totals,
            spectrum=spectrum,
            provenance=provenance(self.counter, self.made, spectrum),
        )
        return f"corpus/{self.counter.label}", part, tally

    def groups(self, part: int) -> set[str | None]:
        assert isinstance(self.counter, ConceptsOptions)
        per = self.counter.per
        return {value for table in self.living(part) for value in table[per].unique().to_pylist()} if per else set()

    def tabulate(self, totals: Counted, groups: Sequence[str | None]) -> str:
        keying = self.keying
        assert isinstance(keying, ConceptKeys)
        return write_table(RunFolder(self.work).corpus_counts(self.counter.label), keying.table(groups, totals))
