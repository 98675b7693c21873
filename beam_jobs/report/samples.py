"""Which rows the report shows as examples: few, the same on every run, taken from anywhere in it.

In: shards, one after the other. Out: places of rows, by category. A category keeps its lowest ranks; ties and
categories without a rank of their own go by `uid_order`, which is as good as drawing lots and, since rows are laid
out in that order, keeps most examples in the first shards.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from beam_jobs.report.shard_rows import ShardRows
from beam_jobs.report.thresholds import Cut
from schemas.keys import uid_order
from schemas.reasons import FAILURES, KEPT


@dataclass(frozen=True, order=True)
class Place:
    """A row of an image shard."""

    shard: int
    row: int


@dataclass
class Shortlist:
    """The `size` places with the lowest ranks."""

    size: int
    _heap: list[tuple[tuple[float, ...], Place]] = field(default_factory=list)

    def offer(self, rank: tuple[float, ...], place: Place) -> None:
        entry = (tuple(-value for value in rank), Place(-place.shard, -place.row))
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def places(self) -> list[Place]:
        """Lowest rank first."""
        return [Place(-place.shard, -place.row) for _, place in sorted(self._heap, reverse=True)]


def lowest_orders(rows: ShardRows, chosen: Iterable[int], size: int) -> list[tuple[int, int]]:
    """(uid_order, row) of the `size` lowest among the chosen rows of a shard."""
    return heapq.nsmallest(size, ((uid_order(rows.uids[row]), int(row)) for row in chosen))


class Samples:
    """Examples of kept rows and of rows dropped for each reason, among those that have an image."""

    def __init__(self, *, kept: int, dropped: int) -> None:
        self._sizes = (kept, dropped)
        self._lists: dict[str, Shortlist] = {}

    def add(self, rows: ShardRows) -> None:
        reasons = rows.reasons
        for reason in sorted(set(reasons[rows.fetched])):
            size = self._sizes[reason != KEPT]
            shortlist = self._lists.setdefault(reason, Shortlist(size))
            for order, row in lowest_orders(rows, np.flatnonzero((reasons == reason) & rows.fetched), size):
                shortlist.offer((order,), Place(rows.shard, row))

    def places(self, reason: str) -> list[Place]:
        return self._lists[reason].places() if reason in self._lists else []

    def dropped_reasons(self) -> list[str]:
        """The rules' reasons that have examples; failures have no image to show."""
        return sorted(reason for reason in self._lists if reason != KEPT and reason not in FAILURES)


class AtCuts:
    """The rows closest to each threshold on either side: what one more or one less step of it would change.

    Above are kept rows, below are rows that this very rule dropped.
    """

    def __init__(self, cuts: Sequence[Cut], *, each: int) -> None:
        self._each = each
        self._lists = {cut: (Shortlist(each), Shortlist(each)) for cut in cuts if cut.value is not None}

    def add(self, rows: ShardRows) -> None:
        for cut, (passed, failed) in self._lists.items():
            if cut.column not in rows.table.column_names or cut.value is None:
                continue
            distance = np.abs(rows.numbers(cut.column) - cut.value)
            known = np.isfinite(distance) & rows.fetched
            self._offer(rows, passed, distance, known & (rows.reasons == KEPT))
            self._offer(rows, failed, distance, known & (rows.reasons == cut.step.reason))

    def _offer(self, rows: ShardRows, shortlist: Shortlist, distance: np.ndarray, among: np.ndarray) -> None:
        chosen = np.flatnonzero(among)
        if len(chosen) > self._each:
            limit = np.partition(distance[chosen], self._each - 1)[self._each - 1]
            chosen = chosen[distance[chosen] <= limit]
        ranked = ((float(distance[row]), uid_order(rows.uids[row]), int(row)) for row in chosen)
        for gap, order, row in heapq.nsmallest(self._each, ranked):
            shortlist.offer((gap, order), Place(rows.shard, row))

    def around(self, cut: Cut) -> tuple[list[Place], list[Place]]:
        """(dropped, kept), closest first."""
        passed, failed = self._lists.get(cut, (Shortlist(0), Shortlist(0)))
        return failed.places(), passed.places()
