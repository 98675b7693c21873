"""Close pairs of one cell, exactly, in bounded memory, as the fewest edges that join what belongs together.

In: float16 rows, those that live in the cell first, then its visitors. Out: edges between positions: the components
that they make are those of all pairs with cosine >= a threshold, for every threshold asked. Pairs of two visitors are
left to their own cells. Equal rows, and rows in one narrow cap, are joined without being compared with each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.caps import Cap, find_caps
from beam_jobs.matching.components import Edges, spanning_forest
from beam_jobs.matching.vectors import (
    SLACK,
    Floats,
    Indices,
    Rows,
    exact_cosines,
    first_of_equals,
    unit_rows,
    where_true,
)

TILE_ROWS, TILE_COLUMNS = 1024, 4096
# Room for float32 in bounds, as a cosine and as an angle near zero.
_BOUND_SLACK = 1e-5
_ANGLE_SLACK = 4e-3
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
    work = Work() if work is None else work
    first = first_of_equals(rows)
    collected = _Collected(limit=4 * len(rows) + TILE_ROWS)
    copies = np.flatnonzero((first != np.arange(len(rows))) & (first < homes))
    collected.add(Edges(first[copies], copies, np.ones(len(copies))))
    alone = np.flatnonzero(first == np.arange(len(rows)))
    residents, visitors = alone[alone < homes], alone[alone >= homes]
    caps, loose, compared = find_caps(rows, residents, math.acos(closeness.thresholds[-1]) / 2)
    work.compared += compared
    for cap in caps:
        followers = cap.members[cap.members != cap.leader]
        leaders = np.full(len(followers), cap.leader)
        collected.add(Edges(leaders, followers, exact_cosines(rows[leaders], rows[followers])))
    for number, cap in enumerate(caps):
        collected.add(_touching(rows, np.concatenate([loose, visitors]), cap, closeness, work))
        for other in caps[number + 1 :]:
            collected.add(_touching(rows, other.members, cap, closeness, work))
    for edges in _within(rows, loose, closeness, work):
        collected.add(edges)
    for edges in _between(rows, loose, visitors, closeness, work):
        collected.add(edges)
    return collected.forest()


def _touching(rows: Rows, outside: Indices, cap: Cap, closeness: Closeness, work: Work) -> Edges:
    """Edges that join rows outside a cap with it wherever they are close to any member, threshold by threshold.

    By the angle to the leader most are settled at once: near enough to be joined with the leader itself, or too far
    from every member. Only those in between are compared with the members.
    """
    if len(outside) == 0:
        return Edges.none()
    parts: list[Edges] = []
    leader = unit_rows(rows[cap.leader : cap.leader + 1])[0]
    unsure: list[Indices] = []
    for start in range(0, len(outside), TILE_COLUMNS):
        some = outside[start : start + TILE_COLUMNS]
        angles = np.arccos(np.clip(unit_rows(rows[some]) @ leader, -1, 1))
        near = some[angles <= math.acos(closeness.lowest) + _ANGLE_SLACK]
        cosines = exact_cosines(rows[near], rows[np.full(len(near), cap.leader)])
        joined = cosines >= closeness.lowest
        parts.append(Edges(np.full(int(joined.sum()), cap.leader), near[joined], cosines[joined]))
        open_at = np.zeros(len(some), dtype=bool)
        for threshold in closeness.thresholds:
            limit = math.acos(threshold)
            open_at |= (angles > limit - _ANGLE_SLACK) & (angles <= limit + cap.radius + _ANGLE_SLACK)
        unsure.append(some[open_at])
    work.compared += len(outside)
    parts.extend(_between(rows, np.concatenate(unsure), cap.members, closeness, work))
    return Edges.join(parts)


def _within(rows: Rows, among: Indices, closeness: Closeness, work: Work) -> Iterator[Edges]:
    """Close pairs among some rows, each once."""
    for start in range(0, len(among), TILE_ROWS):
        block = among[start : start + TILE_ROWS]
        yield _tile(rows, block, block, closeness, work, triangle=True)
        yield from _between(rows, block, among[start + TILE_ROWS :], closeness, work)


def _between(rows: Rows, left: Indices, right: Indices, closeness: Closeness, work: Work) -> Iterator[Edges]:
    for start in range(0, len(left), TILE_ROWS):
        for other in range(0, len(right), TILE_COLUMNS):
            yield _tile(rows, left[start : start + TILE_ROWS], right[other : other + TILE_COLUMNS], closeness, work)


def _tile(
    rows: Rows, left: Indices, right: Indices, closeness: Closeness, work: Work, *, triangle: bool = False
) -> Edges:
    """Close pairs of two blocks: bounded in a few dimensions, then decided in all of them."""
    if len(left) == 0 or len(right) == 0:
        return Edges.none()
    work.compared += len(left) * len(right)
    work.widest = max(work.widest, len(left) + len(right))
    a = unit_rows(rows[left])
    b = a if triangle else unit_rows(rows[right])
    if closeness.basis.shape[1] == 0:
        at, to = _dense(a, b, closeness.lowest)
    else:
        at, to = _bounded(a, b, closeness)
        if len(at) > _DENSE * len(a) * len(b):
            at, to = _dense(a, b, closeness.lowest)
    if triangle:
        upper = at < to
        at, to = at[upper], to[upper]
    cosines = _pair_cosines(a, b, at, to)
    unsure = np.zeros(len(cosines), dtype=bool)
    for threshold in closeness.thresholds:
        unsure |= np.abs(cosines - threshold) <= SLACK
    settle = np.flatnonzero(unsure)
    cosines[settle] = exact_cosines(rows[left[at[settle]]], rows[right[to[settle]]])
    close = cosines >= closeness.lowest
    edges = Edges(left[at[close]], right[to[close]], cosines[close])
    return spanning_forest(edges) if len(edges) > len(left) + len(right) else edges


def _dense(a: Floats, b: Floats, lowest: float) -> tuple[Indices, Indices]:
    return where_true(a @ b.T >= np.float32(lowest - SLACK))


def _bounded(a: Floats, b: Floats, closeness: Closeness) -> tuple[Indices, Indices]:
    """Pairs that may be close: half the squared distance inside the basis, and of the lengths outside it, is at most
    half the squared distance of all, which is 1 - cosine."""
    bound = _bounds(a, closeness, mirrored=False) @ _bounds(b, closeness, mirrored=True).T
    return where_true(bound >= np.float32(closeness.lowest - 1 - _BOUND_SLACK))


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
