"""A contest of all rows for places, on any runner: which rows lose, without gathering them.

In: the keyed rows of each shard that compete, as bytes. Out: (shard, rows that lose, as bytes). Counts by bin are
summed first; then each shard keeps and drops by the bin alone, and only the bin that the cut runs through is gathered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from beam_jobs.matching import contests, unique
from beam_jobs.matching.contests import Cut, Settled
from beam_jobs.shuffle import GroupBlobs
from schemas.recipe_steps import order_of

Counts = npt.NDArray[np.int64]
# The bins that a shard's rows fall in, and how many in each.
Found = tuple[Counts, Counts]


class _CountBins(beam.DoFn):
    def __init__(self, contest: Settled) -> None:
        self._contest = contest

    def process(self, blob: bytes) -> Iterator[Found]:
        keyed = unique.unpack([blob], len(order_of(self._contest)))
        found, counts = np.unique(contests.bins(keyed), return_counts=True)
        yield found, counts.astype(np.int64)


class _FindCut(beam.CombineFn):
    """Sums counts by bin, and cuts."""

    def __init__(self, contest: Settled) -> None:
        self._contest = contest

    def create_accumulator(self) -> Counts:
        return np.zeros(contests.bin_count(self._contest), dtype=np.int64)

    def add_input(self, accumulator: Counts, element: Found) -> Counts:
        found, counts = element
        accumulator[found] += counts
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Counts]) -> Counts:
        total = self.create_accumulator()
        for accumulator in accumulators:
            total += accumulator
        return total

    def extract_output(self, accumulator: Counts) -> tuple[Cut, ...]:
        return contests.find_cuts(accumulator, self._contest)


class _Divide(beam.DoFn):
    """A shard's rows: those that lose by their bin, and the ones that are yet to be compared."""

    OPEN = "open"

    def __init__(self, contest: Settled) -> None:
        self._contest = contest

    def process(self, blob: bytes, cut: tuple[Cut, ...]) -> Iterator[tuple[int, bytes] | beam.pvalue.TaggedOutput]:
        compared, lost = contests.divide(unique.unpack([blob], len(order_of(self._contest))), cut)
        if len(compared):
            yield beam.pvalue.TaggedOutput(self.OPEN, (0, compared.tobytes()))
        yield from unique.by_shard(lost)


class _SettleCut(beam.DoFn):
    def __init__(self, contest: Settled) -> None:
        self._contest = contest

    def process(self, grouped: tuple[int, Iterable[bytes]], cut: tuple[Cut, ...]) -> Iterator[tuple[int, bytes]]:
        yield from unique.by_shard(contests.settle_cut(grouped[1], cut, self._contest))


class SettleTop(beam.PTransform):
    """Keyed rows of each shard to (shard, rows that lose)."""

    def __init__(self, contest: Settled) -> None:
        super().__init__()
        self._contest = contest

    def expand(self, entered: beam.PCollection) -> beam.PCollection:
        cut = beam.pvalue.AsSingleton(
            entered
            | "CountBins" >> beam.ParDo(_CountBins(self._contest))
            | "FindCut" >> beam.CombineGlobally(_FindCut(self._contest))
        )
        divided = entered | "Divide" >> beam.ParDo(_Divide(self._contest), cut).with_outputs(_Divide.OPEN, main="lost")
        settled = (
            divided[_Divide.OPEN] | "Gather" >> GroupBlobs() | "SettleCut" >> beam.ParDo(_SettleCut(self._contest), cut)
        )
        return (divided.lost, settled) | "AllLost" >> beam.Flatten()
