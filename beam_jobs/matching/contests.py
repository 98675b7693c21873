"""Contests among rows, settled by narrow keys: `unique`, `top_k`, `top_fraction`, `sample`. No Beam, no payload.

In: a shard's table and a contest of a recipe. Out: keyed rows (see `unique.layout`) that enter, and the rows that lose:
first inside the shard, where that can be told, then in the bucket that holds all rows of a key. In a contest
over all rows nothing is gathered by key: bins of what orders rows first tell which stay and which go, and only those
of the bin that the cut runs through are compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.matching.unique import Keyed, key_rows, settle, sort_keyed, unpack
from schemas.recipe_steps import Contest, Sample, Top, Unique, keys_of, order_of

BIN_BITS = 20
BINS = 1 << BIN_BITS


@dataclass(frozen=True)
class Cut:
    """Where a contest over all rows is cut: bins before `bin` stay, of `bin` itself the first `places` rows do."""

    bin: int
    places: int


def over_all(contest: Contest) -> bool:
    """Whether all rows compete with each other, so that buckets cannot part them."""
    return not keys_of(contest)


def enter(contest: Contest, table: pa.Table, *, shard: int, rows: npt.NDArray[np.integer]) -> tuple[Keyed, Keyed]:
    """The rows of a shard that go on to compete with other shards', and those that have lost inside it."""
    keyed = key_rows(
        table,
        keys_of(contest),
        prefer=order_of(contest),
        shard=shard,
        rows=rows,
        nulls_compete=not isinstance(contest, Unique),
        seed=contest.seed if isinstance(contest, Sample) else None,
    )
    # How many a share of the rows are is known only when all are there.
    if not isinstance(contest, Unique) and contest.count is None:
        return keyed, keyed[:0]
    return _settle(contest, keyed)


def settle_bucket(contest: Contest, blobs: Iterable[bytes]) -> Keyed:
    """The rows of a bucket that lose."""
    return _settle(contest, unpack(blobs, len(order_of(contest))))[1]


def _settle(contest: Contest, keyed: Keyed) -> tuple[Keyed, Keyed]:
    return settle(keyed) if isinstance(contest, Unique) else settle_top(keyed, contest)


def settle_top(keyed: Keyed, contest: Top | Sample) -> tuple[Keyed, Keyed]:
    """The first rows of each key, and the others."""
    keyed = sort_keyed(keyed)
    starts = np.flatnonzero(_differs(keyed, ("key_0", "key_1")))
    sizes = np.diff(np.append(starts, len(keyed)))
    stay = np.array([places(contest, int(size)) for size in sizes], dtype=np.int64)
    ends = _with_equals(keyed, starts + stay, starts + sizes) if _cuts_by_value(contest) else starts + stay
    stays = np.arange(len(keyed)) < np.repeat(ends, sizes)
    return keyed[stays], keyed[~stays]


def places(contest: Top | Sample, rows: int) -> int:
    """How many of so many rows stay. A fraction is taken as written, in decimals: 0.29 of 100 rows are 29."""
    if contest.count is not None:
        return min(contest.count, rows)
    return int(Decimal(repr(contest.fraction)) * rows)


def bins(keyed: Keyed) -> npt.NDArray[np.int64]:
    """The bin of each row, by what orders it first: the order of bins is that of rows."""
    if "by_0" not in (keyed.dtype.names or ()):
        return (keyed["order"] >> np.uint64(64 - BIN_BITS)).astype(np.int64)
    raw = (keyed["by_0"] + 0.0).view("<i8")
    ordered = np.where(raw < 0, ~raw, raw | np.int64(-(2**63))).view("<u8")
    return (ordered >> np.uint64(64 - BIN_BITS)).astype(np.int64)


def find_cut(counts: npt.NDArray[np.int64], contest: Top | Sample) -> Cut:
    """The cut, given how many rows fall in each bin."""
    rows = int(counts.sum())
    stay = places(contest, rows)
    upto = np.cumsum(counts)
    # Cut by value, the bin is that of the row behind the last place; rows that tie with it share its bin.
    last = int(np.searchsorted(upto, stay, side="right" if _cuts_by_value(contest) and stay < rows else "left"))
    before = int(upto[last - 1]) if last else 0
    return Cut(last, stay - before)


def divide(keyed: Keyed, cut: Cut) -> tuple[Keyed, Keyed]:
    """Of a shard's rows those in the bin of the cut, which are yet to be compared, and those that have lost."""
    where = bins(keyed)
    return keyed[where == cut.bin], keyed[where > cut.bin]


def settle_cut(blobs: Iterable[bytes], cut: Cut, contest: Top | Sample) -> Keyed:
    """Of the rows in the bin of the cut, those that lose."""
    keyed = sort_keyed(unpack(blobs, len(order_of(contest))))
    end = np.array([cut.places])
    if _cuts_by_value(contest):
        end = _with_equals(keyed, end, np.array([len(keyed)]))
    return keyed[int(end[0]) :]


def _cuts_by_value(contest: Top | Sample) -> bool:
    return isinstance(contest, Top) and contest.cut == "value"


def _with_equals(keyed: Keyed, ends: npt.NDArray[np.int64], limits: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each end moved behind the row that stands there and all that tie with it, where a row stands there."""
    ranked = tuple(name for name in keyed.dtype.names or () if name.startswith(("key_", "by_")))
    turns = np.append(np.flatnonzero(_differs(keyed, ranked)), len(keyed))
    behind = turns[np.minimum(np.searchsorted(turns, ends, side="right"), len(turns) - 1)]
    return np.where(ends < limits, behind, ends)


def _differs(keyed: Keyed, names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Whether each row differs in one of these from the row before it."""
    differs = np.ones(len(keyed), dtype=bool)
    differs[1:] = False
    for name in names:
        differs[1:] |= keyed[name][1:] != keyed[name][:-1]
    return differs
