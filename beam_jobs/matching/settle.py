"""Settling groups: who survives, and what each member is told.

In: rows with the group that they are in and how good a copy each is. Out: per member of a group of two or more, the
group's name (its lowest uid), its size and its survivor: first by the preferences in their order, then by uid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.matching.vectors import Indices

ID = "id"
UID = "uid"

SHARD_BITS = 32

SETTLED = pa.schema(
    [
        (ID, pa.int64()),
        ("group", pa.string()),
        ("size", pa.int32()),
        ("survivor", pa.string()),
        ("survivor_id", pa.int64()),
    ]
)


def row_ids(shard: int, rows: Indices) -> Indices:
    """Numbers of rows across shards: the shard, then the row in it."""
    return (np.int64(shard) << SHARD_BITS) + rows.astype(np.int64)


def shard_of(ids: Indices) -> Indices:
    return ids >> SHARD_BITS


def row_of(ids: Indices) -> Indices:
    return ids & ((1 << SHARD_BITS) - 1)


def preference(number: int) -> str:
    """The column of the preference of that number: float64, lower is better, NaN worst."""
    return f"by_{number}"


@dataclass(frozen=True)
class Order:
    """Rows sorted by group, best copy first."""

    rows: Indices
    starts: Indices

    @property
    def sizes(self) -> Indices:
        return np.diff(np.r_[self.starts, len(self.rows)])


def best_first(table: pa.Table, labels: NDArray[np.int64]) -> Order:
    """The order in which a group's first row is its survivor."""
    by = [name for name in table.column_names if name.startswith("by_")]
    preferences = [np.nan_to_num(table[name].to_numpy(), nan=np.inf) for name in sorted(by, key=_number)]
    keys = [table[ID].to_numpy(), _uid_ranks(table), *reversed(preferences), labels]
    order = np.lexsort(keys)
    starts = np.flatnonzero(np.r_[True, labels[order][1:] != labels[order][:-1]][: len(order)])
    return Order(order.astype(np.int64), starts.astype(np.int64))


def settle(table: pa.Table, labels: NDArray[np.int64], *, carry: Sequence[str] = ()) -> pa.Table:
    """SETTLED rows, in the order of ids, for the members of groups of two or more; labels[i] is row i's group.

    carry: columns of which each member is told its survivor's value, as `survivor_<name>`.
    """
    order = best_first(table, labels)
    sizes = np.repeat(order.sizes, order.sizes)
    survivors = np.repeat(order.rows[order.starts], order.sizes)
    lowest = np.repeat(_lowest_uids(_uid_ranks(table), order), order.sizes)
    shared = sizes >= 2
    members, survivors, lowest = order.rows[shared], survivors[shared], lowest[shared]
    by_id = np.argsort(table[ID].to_numpy()[members], kind="stable")
    members, survivors, lowest = members[by_id], survivors[by_id], lowest[by_id]
    columns = [
        table[ID].take(pa.array(members)),
        table[UID].take(pa.array(lowest)),
        pa.array(sizes[shared][by_id], pa.int32()),
        table[UID].take(pa.array(survivors)),
        table[ID].take(pa.array(survivors)),
    ]
    made = pa.table(columns, schema=SETTLED)
    for name in carry:
        made = made.append_column(f"survivor_{name}", table[name].take(pa.array(survivors)))
    return made


def _number(name: str) -> int:
    return int(name.removeprefix("by_"))


def _uid_ranks(table: pa.Table) -> NDArray[np.int64]:
    ranks = pc.rank(table[UID].combine_chunks(), tiebreaker="dense")
    return np.asarray(ranks, dtype=np.int64)


def _lowest_uids(ranks: NDArray[np.int64], order: Order) -> Indices:
    """The row with the lowest uid of each group."""
    if len(order.rows) == 0:
        return order.rows
    lowest = np.minimum.reduceat(ranks[order.rows], order.starts)
    where = np.flatnonzero(ranks[order.rows] == np.repeat(lowest, order.sizes))
    group_of = np.repeat(np.arange(len(order.starts)), order.sizes)[where]
    first = np.flatnonzero(np.r_[True, group_of[1:] != group_of[:-1]])
    return order.rows[where[first]]
