"""Laying rows out in shards by the hash of their uid: even shards, shuffled by construction, with one narrow pass.

In: the places (`schemas.keys.uid_order`, 64 bits) of all living rows, as a histogram. Out: cut points between
shards, so that each holds at most `rows_per_shard` rows and nearly that many, and a row's shard.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.keys import ORDER_BITS, uid_order

BINS_PER_SHARD = 64
_MAX_BIN_BITS = 24

Orders = npt.NDArray[np.uint64]


def orders(uids: Sequence[str]) -> Orders:
    """The places of these uids."""
    return np.fromiter(map(uid_order, uids), dtype=np.uint64, count=len(uids))


def bin_bits(rows: int, rows_per_shard: int) -> int:
    """How many leading bits of a place name its bin, for so many rows: about 64 bins a shard."""
    bins = max(1, BINS_PER_SHARD * rows // rows_per_shard)
    return min(_MAX_BIN_BITS, max(8, bins.bit_length()))


def histogram(places: Orders, bits: int) -> npt.NDArray[np.int64]:
    """How many of the places fall in each of the 2**bits bins."""
    return np.bincount(_bins(places, bits), minlength=1 << bits).astype(np.int64)


def cut(counts: npt.NDArray[np.int64], rows_per_shard: int) -> npt.NDArray[np.int64]:
    """The first bin of every shard: bins are taken in order while the shard has room.

    A bin is never split, so one that alone holds more than `rows_per_shard` (a pair repeated that often) makes a
    shard of its own that is larger.
    """
    starts = []
    room = 0
    for index in np.flatnonzero(counts):
        rows = int(counts[index])
        if rows > room:
            starts.append(int(index))
            room = max(rows_per_shard, rows)
        room -= rows
    return np.array(starts, dtype=np.int64)


def shards_of(places: Orders, starts: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int32]:
    """The shard of each place."""
    return (np.searchsorted(starts, _bins(places, bits), side="right") - 1).astype(np.int32)


def _bins(places: Orders, bits: int) -> npt.NDArray[np.int64]:
    return (places >> np.uint64(ORDER_BITS - bits)).astype(np.int64)
