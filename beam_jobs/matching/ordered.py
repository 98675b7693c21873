"""Exact order statistics of a column in two passes, whose first only counts.

In: a shard's numbers. Out: counts by bins whose order is that of the numbers; then, of the numbers in the few bins
that a place falls in, the one at that place. So no pass holds more than those bins' numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BIN_BITS = 20
BINS = 1 << BIN_BITS

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def bins(numbers: Numbers) -> Counts:
    """The bin of each number by its first bits: sign, exponent and the start of the mantissa. No NaN among them."""
    raw = (numbers + 0.0).view("<i8")
    ordered = np.where(raw < 0, ~raw, raw | np.int64(-(2**63))).view("<u8")
    return (ordered >> np.uint64(64 - BIN_BITS)).astype(np.int64)


def bins_of_places(counts: Counts, places: Sequence[int]) -> Counts:
    """The bins that these places fall in, 0 being that of the lowest number."""
    return np.searchsorted(np.cumsum(counts), np.asarray(places, dtype=np.int64), side="right")


def at_places(found: Numbers, counts: Counts, places: Sequence[int]) -> list[float]:
    """The numbers at these places. found: all numbers in the bins of the places, in any order."""
    ordered = np.sort(found)
    where = bins(ordered)
    before = np.concatenate([[0], np.cumsum(counts)])
    first = {int(bin_): int(start) for bin_, start in zip(*np.unique(where, return_index=True), strict=True)}
    wanted = bins_of_places(counts, places).tolist()
    return [float(ordered[first[b] + place - int(before[b])]) for b, place in zip(wanted, places, strict=True)]
