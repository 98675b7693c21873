"""Embeddings as numbers: unit rows, exact cosines, rows that are equal.

In: float16 rows as an embedding file holds them. Out: float32 for fast bounds, float64 where a decision is made.
A cosine of two float16 rows is the same in float64 whatever the order of summation, to far below any threshold:
so decisions made by `exact_cosines` do not depend on the machine, on threads or on how rows were blocked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Indices = NDArray[np.int64]


class Rows(Protocol):
    """float16 rows, in memory or not: read by slice or by an array of positions."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, which: slice | Indices, /) -> Halves: ...


# What float32 products of unit rows may be off by, with room: decisions nearer than this are made in float64.
SLACK = 2e-6

_ROWS_AT_ONCE = 8192


def usable(rows: Halves) -> NDArray[np.bool_]:
    """Which rows can be compared: finite and not all zero."""
    found = np.empty(len(rows), dtype=bool)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        found[start : start + len(block)] = np.isfinite(block).all(axis=1) & (block != 0).any(axis=1)
    return found


def runs(ordered: NDArray[Any]) -> Iterator[tuple[int, slice]]:
    """The values of an ordered array, each with where it stands."""
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]).tolist()
    for start, end in zip(starts, [*starts[1:], len(ordered)], strict=False):
        yield int(ordered[start]), slice(start, end)


def where_true(matrix: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Rows and columns of what is true, by row: np.nonzero in a fraction of its time where that is little."""
    flat = np.flatnonzero(matrix)
    rows = flat // matrix.shape[1]
    return rows, flat - rows * matrix.shape[1]


def unit_rows(rows: Halves | Floats) -> Floats:
    """Rows of length one in float32."""
    wide = np.asarray(rows, dtype=np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide, dtype=np.float64))
    return wide / norms[:, None].astype(np.float32)


def exact_cosines(left: Halves, right: Halves) -> NDArray[np.float64]:
    """The cosine of each row of `left` with the same row of `right`, in float64."""
    cosines = np.empty(len(left))
    for start in range(0, len(left), _ROWS_AT_ONCE):
        a = left[start : start + _ROWS_AT_ONCE].astype(np.float64)
        b = right[start : start + _ROWS_AT_ONCE].astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
        cosines[start : start + len(a)] = np.einsum("ij,ij->i", a, b) / norms
    return np.minimum(cosines, 1.0)


def first_of_equals(rows: Rows) -> Indices:
    """For each row the index of the first row that is equal to it bit for bit: itself, most often."""
    mixed = np.concatenate([np.empty(0, np.uint64), *(_mix(block) for _, block in _blocks(rows))])
    first = _first_of(mixed)
    different: list[int] = []
    for start, block in _blocks(rows):
        copies = np.flatnonzero(first[start : start + len(block)] != np.arange(start, start + len(block)))
        originals = rows[first[start + copies]]
        unequal = (block[copies].view(np.uint16) != originals.view(np.uint16)).any(axis=1)
        different.extend((start + copies[unequal]).tolist())
    for row in different:  # two different rows of one mix: settled one by one
        candidates = np.flatnonzero(mixed[:row] == mixed[row])
        same = (rows[candidates].view(np.uint16) == rows[row : row + 1].view(np.uint16)).all(axis=1)
        first[row] = candidates[same][0] if same.any() else row
    return first


def _blocks(rows: Rows) -> Iterator[tuple[int, Halves]]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield start, rows[start : start + _ROWS_AT_ONCE]


def _mix(block: Halves) -> NDArray[np.uint64]:
    """A 64-bit digest of each row: the sum of its values' bits, each times an odd number of its own."""
    bits = np.ascontiguousarray(block).view(np.uint16).astype(np.uint64)
    multipliers = np.random.default_rng(7).integers(1, 2**63, size=bits.shape[1], dtype=np.uint64)
    bits *= multipliers * np.uint64(2) + np.uint64(1)
    bits ^= bits >> np.uint64(29)
    return bits.sum(axis=1, dtype=np.uint64)


def _first_of(values: NDArray[np.uint64]) -> Indices:
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, values[order][1:] != values[order][:-1]][: len(order)])
    first = np.empty(len(values), np.int64)
    first[order] = np.repeat(order[starts], np.diff(np.r_[starts, len(order)]))
    return first
