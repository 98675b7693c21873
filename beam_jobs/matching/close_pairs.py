"""Close pairs of one cell, exactly, in bounded memory, as the fewest edges that join what belongs together.

In: float16 rows, those that live in the cell first, then its visitors. Out: edges between positions: the components
that they make are those of all pairs with cosine >= a threshold, for every threshold asked. Pairs of two visitors are
left to their own cells. Equal rows, and rows of one crowd, are joined without being compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.components import Edges, spanning_forest
from beam_jobs.matching.crowds import LEAST_CROWD, lead, make_crowd, reached
from beam_jobs.matching.joined import Joined
from beam_jobs.matching.vectors import (
    SLACK,
    Floats,
    Indices,
    Rows,
    first_of_equals,
    unit_rows,
    where_true,
)

TILE_ROWS, TILE_COLUMNS = 1024, 4096
# Room for float32 in bounds.
_BOUND_SLACK = 1e-5
_DENSE = 0.02


@dataclass(frozen=True)
class Closeness:
    """What is asked of pairs. thresholds: ascending cosines. basis and centre: for quick bounds (see Cells)."""

    thresholds: tuple[float, ...]
    basis: Floats
    centre: Floats

    @property
    def lowest(self) -> float:
        return self.thresholds[0]


@dataclass
class Work:
    """What comparing cost: pairs looked at (by a bound or a cosine), and the most rows of a tile."""

    compared: int = 0
    widest: int = 0

    def add(self, other: Work) -> None:
        self.compared += other.compared
        self.widest = max(self.widest, other.widest)


@dataclass
class _Collected:
    """Edges so far, thinned to a spanning forest whenever they are many."""

    limit: int
    parts: list[Edges] = field(default_factory=list)
    count: int = 0

    def add(self, edges: Edges) -> None:
        if len(edges):
            self.parts.append(edges)
            self.count += len(edges)
        if self.count > self.limit:
            thinned = spanning_forest(Edges.join(self.parts))
            self.parts, self.count = [thinned], len(thinned)
            self.limit = max(self.limit, 4 * self.count)

    def forest(self) -> Edges:
        return spanning_forest(Edges.join(self.parts))


def close_edges(rows: Rows, homes: int, closeness: Closeness, work: Work | None = None) -> Edges:
    """A spanning forest of the close pairs among `rows[:homes]` and between them and the other rows.

    `rows` may be a memory map: it is read in blocks. All rows must be usable (vectors.usable).
    """
    first = first_of_equals(rows)
    looking = _Looking(rows, closeness, Joined(rows, closeness.thresholds), Work() if work is None else work)
    collected = _Collected(limit=4 * len(rows) + TILE_ROWS)
    copies = np.flatnonzero((first != np.arange(len(rows))) & (first < homes))
    collected.add(Edges(first[copies], copies, np.ones(len(copies))))
    alone = np.flatnonzero(first == np.arange(len(rows)))
    residents, visitors = alone[alone < homes], alone[alone >= homes]
    led = lead(rows, residents, visitors, looking.joined)
    looking.work.compared += led.compared
    for edges in led.edges:
        collected.add(edges)
    crowds, loose = looking.joined.crowds(np.setdiff1d(alone, led.leaders, assume_unique=True), LEAST_CROWD)
    outside = np.concatenate([*crowds[1:], loose]) if crowds else loose
    for members in crowds:
        crowd = make_crowd(rows, members)
        outside = outside[len(members) :] if members is not crowds[0] else outside
        for edges in looking.between(reached(rows, outside, crowd, looking.joined), members, homes):
            collected.add(edges)
    for edges in looking.within(loose[loose < homes]):
        collected.add(edges)
    for edges in looking.between(loose[loose >= homes], loose[loose < homes], homes):
        collected.add(edges)
    return collected.forest()


@dataclass(frozen=True)
class _Looking:
    """Pairs of blocks of rows, looked at with what is known already."""

    rows: Rows
    closeness: Closeness
    joined: Joined
    work: Work

    def within(self, among: Indices) -> Iterator[Edges]:
        """Close pairs among some rows, each once."""
        for start in range(0, len(among), TILE_ROWS):
            block = among[start : start + TILE_ROWS]
            yield self._tile(block, block, triangle=True)
            for other in range(start + TILE_ROWS, len(among), TILE_COLUMNS):
                yield self._tile(block, among[other : other + TILE_COLUMNS])

    def between(self, left: Indices, right: Indices, homes: int) -> Iterator[Edges]:
        """Close pairs of a row of one block and one of the other, but for those of two visitors."""
        for some, others in ((left[left < homes], right), (left[left >= homes], right[right < homes])):
            for start in range(0, len(some), TILE_ROWS):
                for other in range(0, len(others), TILE_COLUMNS):
                    yield self._tile(some[start : start + TILE_ROWS], others[other : other + TILE_COLUMNS])

    def _tile(self, left: Indices, right: Indices, *, triangle: bool = False) -> Edges:
        """Close pairs of two blocks: bounded in a few dimensions, then decided in all of them."""
        lowest = self.joined.open_from(left, right)
        if lowest is None:
            return Edges.none()
        closeness = self.closeness
        self.work.compared += len(left) * len(right)
        self.work.widest = max(self.work.widest, len(left) + len(right))
        a = unit_rows(self.rows[left])
        b = a if triangle else unit_rows(self.rows[right])
        few = int(_DENSE * len(a) * len(b))
        if closeness.basis.shape[1]:
            at, to = _bounded(a, b, closeness, lowest)
            if len(at) <= few:
                return self._decided(left, right, at, to, _pair_cosines(a, b, at, to), triangle=triangle)
        similarity = a @ b.T
        near = similarity >= np.float32(lowest - SLACK)
        if np.count_nonzero(near) <= few:
            at, to = where_true(near)
            return self._decided(left, right, at, to, similarity[at, to], triangle=triangle)
        return self._crowded(left, right, similarity, lowest, triangle=triangle)

    def _decided(
        self, left: Indices, right: Indices, at: Indices, to: Indices, cosines: NDArray[np.floating], *, triangle: bool
    ) -> Edges:
        if triangle:
            upper = at < to
            at, to, cosines = at[upper], to[upper], cosines[upper]
        exact = self.joined.settled(left[at], right[to], cosines)
        close = exact >= self.closeness.lowest
        edges = Edges(left[at[close]], right[to[close]], exact[close])
        return spanning_forest(edges) if len(edges) > len(left) + len(right) else edges

    def _crowded(self, left: Indices, right: Indices, similarity: Floats, lowest: float, *, triangle: bool) -> Edges:
        """Where many pairs are close: row by row, so that what one row has joined is not joined again."""
        parts = []
        for number, row in enumerate(left.tolist()):
            similar = similarity[number, number + 1 :] if triangle else similarity[number]
            near = np.flatnonzero(similar >= np.float32(lowest - SLACK))
            others = right[near + number + 1] if triangle else right[near]
            parts.append(self.joined.star(row, others, similar[near]))
        return Edges.join(parts)


def _bounded(a: Floats, b: Floats, closeness: Closeness, lowest: float) -> tuple[Indices, Indices]:
    """Pairs that may be close: half the squared distance inside the basis, and of the lengths outside it, is at most
    half the squared distance of all, which is 1 - cosine."""
    bound = _bounds(a, closeness, mirrored=False) @ _bounds(b, closeness, mirrored=True).T
    return where_true(bound >= np.float32(lowest - 1 - _BOUND_SLACK))


def _bounds(units: Floats, closeness: Closeness, *, mirrored: bool) -> Floats:
    centred = units - closeness.centre
    inside = centred @ closeness.basis
    squared = np.einsum("ij,ij->i", centred, centred)
    outside = np.sqrt(np.maximum(squared - np.einsum("ij,ij->i", inside, inside), 0))
    half, ones = -squared / 2, np.ones(len(units), np.float32)
    columns = (inside, outside, ones, half) if mirrored else (inside, outside, half, ones)
    return np.column_stack(columns).astype(np.float32, copy=False)


def _pair_cosines(a: Floats, b: Floats, at: Indices, to: Indices) -> NDArray[np.float64]:
    cosines = np.empty(len(at))
    for start in range(0, len(at), TILE_COLUMNS):
        here = slice(start, start + TILE_COLUMNS)
        cosines[here] = np.einsum("ij,ij->i", a[at[here]], b[to[here]])
    return cosines
