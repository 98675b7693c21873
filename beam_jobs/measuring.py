"""What must be known of all kept rows before columns can be made of them, on any runner.

In: (shard, codes) of judged shards, a function that loads a shard's columns, the entries of the recipe's section
`columns`. Out: one element, the facts: edges of bins and means, exact and the same whatever the order of shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from beam_jobs.judging import ALIVE, Load, read_codes
from beam_jobs.matching.kept_columns import (
    Facts,
    Summary,
    columns_needed,
    facts_of,
    open_bins,
    summarize,
    values_in,
)
from schemas.recipe_columns import Made

Summaries = dict[str, Summary]


class _Summarize(beam.DoFn):
    def __init__(self, load: Load, made: Sequence[Made]) -> None:
        self._load = load
        self._made = tuple(made)

    def process(self, judged: tuple[int, bytes]) -> Iterator[Summaries]:
        yield summarize(kept_rows(self._load, judged, self._made), self._made)


class _Add(beam.CombineFn):
    """Adds summaries by column."""

    def create_accumulator(self) -> Summaries:
        return {}

    def add_input(self, accumulator: Summaries, element: Summaries) -> Summaries:
        return {name: accumulator.get(name, Summary()) + each for name, each in element.items()}

    def merge_accumulators(self, accumulators: Iterable[Summaries]) -> Summaries:
        total: Summaries = {}
        for accumulator in accumulators:
            total = self.add_input(total, accumulator) if accumulator else total
        return total

    def extract_output(self, accumulator: Summaries) -> Summaries:
        return accumulator


class _Open(beam.DoFn):
    """The numbers of a shard that bins of equal counts may be cut at, by column."""

    def __init__(self, load: Load, made: Sequence[Made]) -> None:
        self._load = load
        self._made = tuple(made)

    def process(self, judged: tuple[int, bytes], summaries: Summaries) -> Iterator[tuple[str, bytes]]:
        kept = kept_rows(self._load, judged, self._made)
        for column, wanted in open_bins(summaries, self._made).items():
            yield column, values_in(kept, column, wanted).tobytes()


class MeasureKept(beam.PTransform):
    """(shard, codes) to the facts, one element."""

    def __init__(self, load: Load, made: Sequence[Made]) -> None:
        super().__init__()
        self._load = load
        self._made = tuple(made)

    def expand(self, judged: beam.PCollection) -> beam.PCollection:
        summaries = (
            judged
            | "Summarize" >> beam.ParDo(_Summarize(self._load, self._made))
            | "AddUp" >> beam.CombineGlobally(_Add())
        )
        opened = (
            judged
            | "Open" >> beam.ParDo(_Open(self._load, self._made), beam.pvalue.AsSingleton(summaries))
            | "ByColumn" >> beam.GroupByKey()
            | "Join" >> beam.MapTuple(lambda column, blobs: (column, b"".join(blobs)))
        )
        return summaries | "Facts" >> beam.Map(_facts, self._made, beam.pvalue.AsDict(opened))


def _facts(summaries: Summaries, made: Sequence[Made], opened: Mapping[str, bytes]) -> Facts:
    numbers = {column: np.frombuffer(blob, dtype=np.float64) for column, blob in opened.items()}
    return facts_of(made, summaries, numbers)


def kept_rows(load: Load, judged: tuple[int, bytes], made: Sequence[Made]) -> Any:
    """The kept rows of a shard, with the columns that the entries read."""
    shard, blob = judged
    table, _ = load(shard, columns_needed(made))
    return table.filter(read_codes(blob) == ALIVE)
