"""Contests among rows, settled by narrow keys: `unique`, `top_k`, `top_fraction`, `sample`, `mix`. No Beam.

In: a shard's table and a contest of a recipe. Out: keyed rows (see `unique.layout`) that enter, and the rows that lose:
first inside the shard, where that can be told, then in the bucket that holds all rows of a key. In a contest
over all rows nothing is gathered by key: bins of what orders rows first tell which stay and which go, and only those
of the bin that the cut runs through are compared. A mix is such a contest for each of its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.matching import ordered
from beam_jobs.matching.ordered import BIN_BITS, BINS
from beam_jobs.matching.unique import Keyed, key_rows, settle, sort_keyed, unpack
from filters.rules import where_true
from schemas.recipe_steps import Contest, Mix, Sample, Top, Unique, keys_of, order_of

Settled = Top | Sample | Mix


@dataclass(frozen=True)
class Cut:
    """Where a contest over all rows is cut: bins before `bin` stay, of `bin` itself the first `places` rows do."""

    bin: int
    places: int


def over_all(contest: Contest) -> bool:
    """Whether all rows compete with each other, so that buckets cannot part them."""
    return not keys_of(contest)


def enter(contest: Contest, table: pa.Table, *, shard: int, rows: npt.NDArray[np.integer]) -> tuple[Keyed, Keyed]:
    """The rows of a shard that go on to compete with other shards', and those that have lost inside it.

    The key of a row in a mix is its part.
    """
    keyed = key_rows(
        table,
        keys_of(contest),
        prefer=order_of(contest),
        shard=shard,
        rows=rows,
        nulls_compete=not isinstance(contest, Unique),
        seed=contest.seed if isinstance(contest, (Sample, Mix)) else None,
    )
    if isinstance(contest, Mix):
        part = _parts(table, contest)[keyed["row"]]
        keyed["key_0"] = np.maximum(part, 0)
        return keyed[part >= 0], keyed[part < 0]
    # How many a share of the rows are is known only when all are there.
    if isinstance(contest, (Top, Sample)) and contest.count is None:
        return keyed, keyed[:0]
    return settle_all(contest, keyed)


def _parts(table: pa.Table, mix: Mix) -> npt.NDArray[np.int64]:
    """The part of each row of a table, -1 for none."""
    part = np.full(table.num_rows, -1, dtype=np.int64)
    for number, belongs in reversed(list(enumerate(where_true(table, [mix])))):
        part[belongs] = number
    return part


def settle_bucket(contest: Contest, blobs: Iterable[bytes]) -> Keyed:
    """The rows of a bucket that lose."""
    return settle_all(contest, unpack(blobs, len(order_of(contest))))[1]


def settle_all(contest: Contest, keyed: Keyed) -> tuple[Keyed, Keyed]:
    """Those that stay of all the rows that compete with each other, and those that lose."""
    if isinstance(contest, Mix):
        return settle_mix(keyed, contest)
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


def bin_count(contest: Settled) -> int:
    """How many bins there are; those of a mix are its parts', one part's behind the other's."""
    return BINS * len(contest.parts) if isinstance(contest, Mix) else BINS


def bins(keyed: Keyed) -> npt.NDArray[np.int64]:
    """The bin of each row, by what orders it first: the order of bins is that of rows."""
    first = keyed["key_0"].astype(np.int64) * BINS
    if "by_0" not in (keyed.dtype.names or ()):
        return first + (keyed["order"] >> np.uint64(64 - BIN_BITS)).astype(np.int64)
    return first + ordered.bins(keyed["by_0"])


def find_cuts(counts: npt.NDArray[np.int64], contest: Settled) -> tuple[Cut, ...]:
    """The cut, given how many rows fall in each bin; one for each part of a mix."""
    parts = counts.reshape(-1, BINS)
    rows = [int(part.sum()) for part in parts]
    stay = mixed(contest, rows) if isinstance(contest, Mix) else [places(contest, rows[0])]
    by_value = _cuts_by_value(contest)
    return tuple(
        _find_cut(part, all_, left, by_value=by_value) for part, all_, left in zip(parts, rows, stay, strict=True)
    )


def _find_cut(counts: npt.NDArray[np.int64], rows: int, stay: int, *, by_value: bool) -> Cut:
    upto = np.cumsum(counts)
    # Cut by value, the bin is that of the row behind the last place; rows that tie with it share its bin.
    last = int(np.searchsorted(upto, stay, side="right" if by_value and stay < rows else "left"))
    before = int(upto[last - 1]) if last else 0
    return Cut(last, stay - before)


def mixed(mix: Mix, rows: Sequence[int]) -> list[int]:
    """How many rows of each part stay, of so many."""
    shares = [Fraction(repr(part.share)) for part in mix.parts]
    whole = min(Fraction(count) / share for count, share in zip(rows, shares, strict=True))
    return [int(whole * share) for share in shares]


def divide(keyed: Keyed, cuts: Sequence[Cut]) -> tuple[Keyed, Keyed]:
    """Of a shard's rows those in the bin of their cut, which are yet to be compared, and those that have lost."""
    part = keyed["key_0"].astype(np.int64)
    cut = np.array([each.bin for each in cuts])[part] + part * BINS
    where = bins(keyed)
    return keyed[where == cut], keyed[where > cut]


def settle_cut(blobs: Iterable[bytes], cuts: Sequence[Cut], contest: Settled) -> Keyed:
    """Of the rows in the bins of the cuts, those that lose."""
    keyed = sort_keyed(unpack(blobs, len(order_of(contest))))
    starts = np.flatnonzero(_differs(keyed, ("key_0",)))
    ends = np.append(starts, len(keyed))[1:]
    stay = np.array([cuts[int(part)].places for part in keyed["key_0"][starts]], dtype=np.int64)
    stays = starts + stay
    if _cuts_by_value(contest):
        stays = _with_equals(keyed, stays, ends)
    return keyed[np.arange(len(keyed)) >= np.repeat(stays, ends - starts)]


def settle_mix(keyed: Keyed, mix: Mix) -> tuple[Keyed, Keyed]:
    """All the rows of a mix at once: those that stay, and the others."""
    keyed = sort_keyed(keyed)
    sizes = np.bincount(keyed["key_0"].astype(np.int64), minlength=len(mix.parts))
    stay = np.array(mixed(mix, sizes.tolist()), dtype=np.int64)
    rank = np.arange(len(keyed)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    stays = rank < np.repeat(stay, sizes)
    return keyed[stays], keyed[~stays]


def _cuts_by_value(contest: Settled) -> bool:
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
