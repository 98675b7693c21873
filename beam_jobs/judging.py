"""Judging rows by a recipe's steps, on any runner: rules look at one row, contests (`unique`, `top_k`, `mix`) at many.

In: shard numbers, a function that loads a shard's columns, the steps. Out: (shard, codes): for each row of the shard,
as int16 in bytes, the index of the first step that it fails, ALIVE, or NOT_ALIVE when it had ended before. Rules need
no shuffle; a contest shuffles keys of fixed size, by bucket and back by shard, never the columns themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.matching import contests, unique
from beam_jobs.settling import SettleTop
from beam_jobs.shuffle import CoGroupBlobs, GroupBlobs
from filters.rules import PASSES, columns_read, first_failing, where_true
from schemas.recipe_steps import Contest, RowStep, Step, Top, Unique

ALIVE = -1
NOT_ALIVE = -2
# Alive, and stays so whatever becomes of it in the contest at hand.
SPARED = -3

Codes = npt.NDArray[np.int16]
# (shard, columns) to the shard's table, uid among its columns, and which of its rows are alive.
Load = Callable[[int, Sequence[str]], tuple[pa.Table, npt.NDArray[np.bool_]]]


def read_codes(blob: bytes) -> Codes:
    """The codes of a shard's rows; read-only."""
    return np.frombuffer(blob, dtype=np.int16)


@dataclass(frozen=True)
class Segment:
    """Consecutive rules, and the contest that ends them, if one does; `first` is the index of its first step."""

    first: int
    rules: tuple[RowStep, ...]
    contest: Contest | None


def segments(steps: Sequence[Step]) -> list[Segment]:
    """The steps in order, cut after each contest."""
    found: list[Segment] = []
    rules: list[RowStep] = []
    first = 0
    for index, step in enumerate(steps):
        if isinstance(step, RowStep):
            rules.append(step)
        else:
            found.append(Segment(first, tuple(rules), step))
            rules, first = [], index + 1
    if rules or not found:
        found.append(Segment(first, tuple(rules), None))
    return found


class _ApplyRules(beam.DoFn):
    """(shard, codes or None) to the codes after a segment's rules, and the keys of the rows that reach its contest."""

    KEYS = "keys"
    LOST = "lost"

    def __init__(self, load: Load, segment: Segment, buckets: int) -> None:
        self._load = load
        self._segment = segment
        self._buckets = buckets

    def process(self, element: tuple[int, bytes | None]) -> Iterator[tuple[int, bytes] | beam.pvalue.TaggedOutput]:
        shard, blob = element
        rules, contest = self._segment.rules, self._segment.contest
        steps = [*rules, contest] if contest else rules
        table, alive = self._load(shard, columns_read(steps))
        codes = np.where(alive, ALIVE, NOT_ALIVE).astype(np.int16) if blob is None else read_codes(blob).copy()
        rows = np.flatnonzero(codes == ALIVE)
        failed = first_failing(table.take(pa.array(rows)), rules)
        codes[rows[failed != PASSES]] = failed[failed != PASSES] + self._segment.first
        if contest:
            entering = rows[failed == PASSES]
            for spared in where_true(table, [contest]) if isinstance(contest, Top) else ():
                codes[entering[spared[entering]]] = SPARED
            yield from self._enter(contest, table, shard, entering)
        yield shard, codes.tobytes()

    def _enter(
        self, contest: Contest, table: pa.Table, shard: int, rows: npt.NDArray[np.integer]
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        entered, lost = contests.enter(contest, table, shard=shard, rows=rows)
        if contests.over_all(contest):
            yield beam.pvalue.TaggedOutput(self.KEYS, entered.tobytes())
        else:
            for bucket in unique.by_bucket(entered, self._buckets):
                yield beam.pvalue.TaggedOutput(self.KEYS, bucket)
        for losers in unique.by_shard(lost):
            yield beam.pvalue.TaggedOutput(self.LOST, losers)


class _Settle(beam.DoFn):
    """The keys of a bucket to the rows that lose there, by shard."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest

    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        yield from unique.by_shard(contests.settle_bucket(self._contest, grouped[1]))


class _ApplyLosses(beam.DoFn):
    """Marks the rows of a shard that lost a contest."""

    def __init__(self, index: int) -> None:
        self._index = index

    def process(self, joined: tuple[int, dict[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        shard, parts = joined
        for blob in parts["codes"]:
            codes = read_codes(blob).copy()
            lost = unique.rows_lost(chain(parts["lost"], parts["settled"]))
            codes[lost[codes[lost] != SPARED]] = self._index
            codes[codes == SPARED] = ALIVE
            yield shard, codes.tobytes()


class _JudgeSegment(beam.PTransform):
    """One segment: its rules shard by shard, then its contest through keys."""

    def __init__(self, load: Load, segment: Segment, buckets: int) -> None:
        super().__init__()
        self._load = load
        self._segment = segment
        self._buckets = buckets

    def expand(self, judged: beam.PCollection) -> beam.PCollection:
        applied = judged | "ApplyRules" >> beam.ParDo(
            _ApplyRules(self._load, self._segment, self._buckets)
        ).with_outputs(_ApplyRules.KEYS, _ApplyRules.LOST, main="codes")
        contest = self._segment.contest
        if contest is None:
            return applied.codes
        keys = applied[_ApplyRules.KEYS]
        if not isinstance(contest, Unique) and contests.over_all(contest):
            settled = keys | "SettleTop" >> SettleTop(contest)
        else:
            settled = keys | "ByBucket" >> GroupBlobs() | "Settle" >> beam.ParDo(_Settle(contest))
        return (
            {"codes": applied.codes, "lost": applied[_ApplyRules.LOST], "settled": settled}
            | "ByShard" >> CoGroupBlobs()
            | "ApplyLosses" >> beam.ParDo(_ApplyLosses(self._segment.first + len(self._segment.rules)))
        )


class JudgeShards(beam.PTransform):
    """Shard numbers to (shard, codes). `rows` bounds the rows that enter a contest, and so its buckets."""

    def __init__(self, load: Load, steps: Sequence[Step], *, rows: int) -> None:
        super().__init__()
        self._load = load
        self._steps = tuple(steps)
        self._buckets = unique.bucket_count(rows)

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        judged = shards | "Begin" >> beam.Map(lambda shard: (shard, None))
        for number, segment in enumerate(segments(self._steps)):
            judged = judged | f"Segment{number}" >> _JudgeSegment(self._load, segment, self._buckets)
        return judged
