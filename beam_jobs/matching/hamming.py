"""Hashes that differ in few bits: every pair up to the stated distance, without comparing all with all.

In: 256-bit hashes. Out: edges. Of two hashes that differ in at most 31 bits, one of the 16 bands of 16 bits differs in
at most one: so rows meet in the band and value where they agree, or would agree after one flip (Norouzi, Punjani and
Fleet, "Fast search in Hamming space with multi-index hashing", 2012). Crowds of like hashes are joined through one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.components import Edges, spanning_forest
from beam_jobs.matching.vectors import Indices

BYTES = 32
BITS = 8 * BYTES
BANDS = 16
BAND_BITS = BITS // BANDS
MOST_DISTANCE = 2 * BANDS - 1
_PAIRS_AT_ONCE = 1 << 20
_LOOK_FROM = 512
_CANDIDATES = 8
_LEAST_SHARE = 0.05

Hashes = NDArray[np.uint8]
Values = NDArray[np.uint16]


def band_values(hashes: Hashes, band: int) -> Values:
    """The 16 bits of a band, of each hash."""
    return np.ascontiguousarray(hashes).view(">u2")[:, band].astype(np.uint16)


def distances(left: Hashes, right: Hashes) -> NDArray[np.int64]:
    """In how many bits each row of `left` differs from the same row of `right`."""
    different = np.ascontiguousarray(left).view(np.uint64) ^ np.ascontiguousarray(right).view(np.uint64)
    return _bits_set(different).sum(axis=1, dtype=np.int64)


def _bits_set(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(words))
    return np.unpackbits(words.view(np.uint8).reshape(*words.shape, 8), axis=2).sum(axis=2, dtype=np.uint8)


def close_hashes(hashes: Hashes, values: Values, visitors: NDArray[np.bool_], distance: int, flips: int) -> Edges:
    """Edges between positions whose hashes differ in at most `distance` bits and that meet in one band.

    values: each row's value of the band, with one bit flipped already for a visitor; a visitor meets only residents of
    the same value. flips: how many low bits of the value residents may differ by one of. The components are those of
    all pairs that meet; equal hashes, and crowds around one hash, are joined without comparing all their pairs.
    """
    parts = [_equal(hashes, visitors)]
    alone = _first_of(hashes, visitors)
    residents, guests = alone[~visitors[alone]], alone[visitors[alone]]
    crowds, loose = _crowds(hashes, residents, distance)
    for number, (leader, members) in enumerate(crowds):
        parts.append(_join(hashes, np.full(len(members), leader), members, distance))
        others = np.concatenate([loose, guests, *(crowd[1] for crowd in crowds[number + 1 :])])
        parts.append(_touching(hashes, leader, members, others, distance))
    for left, right in _meeting(loose, guests, values, flips):
        parts.append(_join(hashes, left, right, distance))
    return spanning_forest(Edges.join(parts))


def _join(hashes: Hashes, left: Indices, right: Indices, distance: int) -> Edges:
    apart = distances(hashes[left], hashes[right])
    close = apart <= distance
    return Edges(left[close], right[close], 1 - apart[close] / BITS)


def _order(hashes: Hashes, visitors: NDArray[np.bool_]) -> tuple[Indices, NDArray[np.bool_]]:
    """Positions by hash, residents first, and where a new hash begins."""
    words = np.ascontiguousarray(hashes).view(np.uint64)
    order = np.lexsort((np.arange(len(hashes)), visitors, *words.T))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    return order.astype(np.int64), fresh


def _equal(hashes: Hashes, visitors: NDArray[np.bool_]) -> Edges:
    order, fresh = _order(hashes, visitors)
    first = order[np.flatnonzero(fresh)[np.cumsum(fresh) - 1]] if len(order) else order
    copies = ~fresh & ~visitors[first]
    return Edges(first[copies], order[copies], np.ones(int(copies.sum())))


def _first_of(hashes: Hashes, visitors: NDArray[np.bool_]) -> Indices:
    order, fresh = _order(hashes, visitors)
    return np.sort(order[fresh])


def _crowds(hashes: Hashes, among: Indices, distance: int) -> tuple[list[tuple[int, Indices]], Indices]:
    """(leader, members within half the distance) as long as one holds a fair share of what is left; and the rest."""
    crowds: list[tuple[int, Indices]] = []
    loose = among
    while len(loose) >= _LOOK_FROM:
        candidates = loose[:: len(loose) // _CANDIDATES][:_CANDIDATES]
        near = [distances(hashes[loose], hashes[np.full(len(loose), one)]) <= distance // 2 for one in candidates]
        best = int(np.argmax([found.sum() for found in near]))
        if near[best].sum() < _LEAST_SHARE * len(loose):
            break
        crowds.append((int(candidates[best]), loose[near[best]]))
        loose = loose[~near[best]]
    return crowds, loose


def _touching(hashes: Hashes, leader: int, members: Indices, others: Indices, distance: int) -> Edges:
    """Edges of other rows with a crowd: with its leader, or where that is too far, with a member."""
    apart = distances(hashes[others], hashes[np.full(len(others), leader)])
    near = apart <= distance
    parts = [Edges(np.full(int(near.sum()), leader), others[near], 1 - apart[near] / BITS)]
    unsure = others[~near & (apart <= distance + distance // 2)]
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(members)))
    for start in range(0, len(unsure), rows):
        some = unsure[start : start + rows]
        found = _join(hashes, np.repeat(some, len(members)), np.tile(members, len(some)), distance)
        parts.append(spanning_forest(found))
    return Edges.join(parts)


def _meeting(residents: Indices, guests: Indices, values: Values, flips: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of positions that meet: of one value, or one flip of a low bit apart; a guest only in its value."""
    order = residents[np.argsort(values[residents], kind="stable")]
    ordered = values[order]
    after = np.arange(1, len(order) + 1)
    yield from ranges_of_pairs(order, after, np.searchsorted(ordered, ordered, side="right"), order)
    for bit in range(flips):
        flipped = ordered | np.uint16(1 << bit)
        lower = np.flatnonzero(ordered != flipped)
        start, end = (np.searchsorted(ordered, flipped[lower], side=side) for side in ("left", "right"))
        yield from ranges_of_pairs(order[lower], start, end, order)
    start, end = (np.searchsorted(ordered, values[guests], side=side) for side in ("left", "right"))
    yield from ranges_of_pairs(guests, start, end, order)


def ranges_of_pairs(left: Indices, start: Indices, end: Indices, order: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Each position of `left` with those at start..end of `order`, some at a time."""
    counts = end - start
    before = np.cumsum(counts) - counts
    total = int(counts.sum())
    for first in range(0, total, _PAIRS_AT_ONCE):
        last = min(total, first + _PAIRS_AT_ONCE)
        low, high = np.searchsorted(before, [first, last - 1], side="right")
        rows = np.repeat(np.arange(low - 1, high), counts[low - 1 : high])
        pair = np.arange(before[low - 1], before[low - 1] + len(rows))
        rows, pair = rows[(pair >= first) & (pair < last)], pair[(pair >= first) & (pair < last)]
        yield left[rows], order[start[rows] + pair - before[rows]]
