"""Contests among rows, settled by narrow keys: `unique`, `top_k` and `top_fraction`. No Beam, no payload.

In: a shard's table and a contest of a recipe. Out: keyed rows (see `unique.layout`) that enter, and the rows that lose:
first inside the shard, where that can be told, then in the bucket that holds all rows of a key. A top contest over
all rows has one key, so its rows are not gathered: bins of their first value tell which rows stay and which go, and
only those of the bin that the cut runs through are compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.matching.unique import Keyed, key_rows, settle, sort_keyed, unpack
from schemas.recipe_steps import Preference, Top, Unique

BIN_BITS = 20
BINS = 1 << BIN_BITS


@dataclass(frozen=True)
class Cut:
    """Where a top contest over all rows is cut: bins before `bin` stay, of `bin` itself the first `places` rows do."""

    bin: int
    places: int


def preferences(contest: Unique | Top) -> tuple[Preference, ...]:
    """What orders the rows of a key."""
    return contest.prefer if isinstance(contest, Unique) else contest.by


def over_all(contest: Unique | Top) -> bool:
    """Whether all rows compete with each other, so that buckets cannot part them."""
    return isinstance(contest, Top) and not contest.per


def enter(
    contest: Unique | Top, table: pa.Table, *, shard: int, rows: npt.NDArray[np.integer]
) -> tuple[Keyed, Keyed]:
    """The rows of a shard that go on to compete with other shards', and those that have lost inside it."""
    if isinstance(contest, Unique):
        return settle(key_rows(table, contest.columns, prefer=contest.prefer, shard=shard, rows=rows))
    keyed = key_rows(table, contest.per, prefer=contest.by, shard=shard, rows=rows, nulls_compete=True)
    if contest.count is None:
        return keyed, keyed[:0]
    return settle_top(keyed, contest)


def settle_bucket(contest: Unique | Top, blobs: Iterable[bytes]) -> Keyed:
    """The rows of a bucket that lose."""
    keyed = unpack(blobs, len(preferences(contest)))
    return settle(keyed)[1] if isinstance(contest, Unique) else settle_top(keyed, contest)[1]


def settle_top(keyed: Keyed, contest: Top) -> tuple[Keyed, Keyed]:
    """The first rows of each key, and the others."""
    keyed = sort_keyed(keyed)
    starts = np.flatnonzero(_begins(keyed))
    sizes = np.diff(np.append(starts, len(keyed)))
    place = np.arange(len(keyed)) - np.repeat(starts, sizes)
    stays = place < np.repeat(np.array([places(contest, int(size)) for size in sizes], dtype=np.int64), sizes)
    return keyed[stays], keyed[~stays]


def places(contest: Top, rows: int) -> int:
    """How many of so many rows stay. A fraction is taken as written, in decimals: 0.29 of 100 rows are 29."""
    if contest.count is not None:
        return min(contest.count, rows)
    return int(Decimal(repr(contest.fraction)) * rows)


def bins(keyed: Keyed) -> npt.NDArray[np.int64]:
    """The bin of each row, by its first value: the order of bins is that of values."""
    raw = (keyed["by_0"] + 0.0).view("<i8")
    ordered = np.where(raw < 0, ~raw, raw | np.int64(-(2**63))).view("<u8")
    return (ordered >> np.uint64(64 - BIN_BITS)).astype(np.int64)


def find_cut(counts: npt.NDArray[np.int64], contest: Top) -> Cut:
    """The cut, given how many rows fall in each bin."""
    stay = places(contest, int(counts.sum()))
    upto = np.cumsum(counts)
    last = int(np.searchsorted(upto, stay, side="left"))
    before = int(upto[last - 1]) if last else 0
    return Cut(last, stay - before)


def divide(keyed: Keyed, cut: Cut) -> tuple[Keyed, Keyed]:
    """Of a shard's rows those in the bin of the cut, which are yet to be compared, and those that have lost."""
    where = bins(keyed)
    return keyed[where == cut.bin], keyed[where > cut.bin]


def settle_cut(blobs: Iterable[bytes], cut: Cut, contest: Top) -> Keyed:
    """Of the rows in the bin of the cut, those that lose."""
    return sort_keyed(unpack(blobs, len(contest.by)))[cut.places :]


def _begins(keyed: Keyed) -> npt.NDArray[np.bool_]:
    begins = np.ones(len(keyed), dtype=bool)
    begins[1:] = (keyed["key_0"][1:] != keyed["key_0"][:-1]) | (keyed["key_1"][1:] != keyed["key_1"][:-1])
    return begins
