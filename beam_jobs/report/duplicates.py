"""Groups of duplicates worth looking at: the largest, and those that only just count as duplicates.

In: the columns that a grouper made (`<label>_group`, `_size`, `_duplicate_of`, `_similarity`), shard by shard, twice:
once to choose the groups, once to find their members. Out: counts, and places of the members, survivor first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.report.samples import Place
from beam_jobs.report.shard_rows import ShardRows
from schemas.keys import uid_order


@dataclass(frozen=True)
class Member:
    """A row of a group."""

    place: Place
    survivor: bool
    similarity: float | None


@dataclass(frozen=True)
class Group:
    """A group as it is shown: some of its members, survivor first, then the most similar."""

    size: int
    members: tuple[Member, ...]


@dataclass
class Duplicates:
    """What one grouper found."""

    label: str
    largest: int
    closest_calls: int
    members_shown: int
    rows: int = 0
    duplicates: int = 0
    sizes: Counter[int] = field(default_factory=Counter)
    _large: dict[str, int] = field(default_factory=dict)
    _doubtful: dict[str, tuple[float, int, Place]] = field(default_factory=dict)
    _members: dict[str, list[tuple[bool, float, int, Place]]] = field(default_factory=dict)
    _sizes_of: dict[str, int] = field(default_factory=dict)

    def _column(self, rows: ShardRows, name: str) -> pa.ChunkedArray | None:
        full = f"{self.label}_{name}"
        return rows.table[full] if full in rows.table.column_names else None

    def add(self, rows: ShardRows) -> None:
        """First pass: counts, and which groups to show."""
        groups, duplicate_of = self._column(rows, "group"), self._column(rows, "duplicate_of")
        if groups is None or duplicate_of is None:
            return
        copies = duplicate_of.is_valid().to_numpy()
        sizes = self._group_sizes(rows, groups)
        self.rows += int(rows.fetched.sum())
        self.duplicates += int(copies.sum())
        grouped = np.flatnonzero(sizes > 1)
        names = groups.take(pa.array(grouped)).to_pylist()
        for row, name in zip(grouped.tolist(), names, strict=True):
            if not copies[row]:
                self.sizes[int(sizes[row])] += 1
                self._large[name] = int(sizes[row])
        self._large = dict(sorted(self._large.items(), key=lambda item: (-item[1], item[0]))[: self.largest])
        self._add_doubtful(rows, groups, copies)

    def _group_sizes(self, rows: ShardRows, groups: pa.ChunkedArray) -> np.ndarray:
        sizes = self._column(rows, "size")
        if sizes is None:
            return np.where(groups.is_valid().to_numpy(), 2, 0)
        return pc.fill_null(sizes, 0).to_numpy()

    def _add_doubtful(self, rows: ShardRows, groups: pa.ChunkedArray, copies: np.ndarray) -> None:
        """The least similar copy of each group, for the groups where it is least."""
        if self._column(rows, "similarity") is None:
            return
        similarity = rows.numbers(f"{self.label}_similarity")
        chosen = np.flatnonzero(copies & np.isfinite(similarity))
        names = groups.take(pa.array(chosen)).to_pylist()
        for row, name in zip(chosen.tolist(), names, strict=True):
            known = self._doubtful.get(name)
            if known is None or similarity[row] <= known[0]:
                entry = (float(similarity[row]), uid_order(rows.uids[row]), Place(rows.shard, row))
                self._doubtful[name] = min(entry, known or entry)
        self._doubtful = dict(sorted(self._doubtful.items(), key=lambda item: item[1])[: self.closest_calls])

    def wanted(self) -> frozenset[str]:
        """The groups whose members the second pass collects."""
        return frozenset(self._large) | frozenset(self._doubtful)

    def collect(self, rows: ShardRows) -> None:
        """Second pass: the members of the chosen groups."""
        groups, duplicate_of = self._column(rows, "group"), self._column(rows, "duplicate_of")
        wanted = self.wanted()
        if groups is None or duplicate_of is None or not wanted:
            return
        member = pc.is_in(groups, value_set=pa.array(sorted(wanted), groups.type)).to_numpy()
        similar = self._column(rows, "similarity") is not None
        similarity = rows.numbers(f"{self.label}_similarity") if similar else np.full(len(rows), np.nan)
        for row in np.flatnonzero(member).tolist():
            name = groups[row].as_py()
            value = float(similarity[row])
            entry = (
                duplicate_of[row].is_valid,
                -value if np.isfinite(value) else 0.0,
                uid_order(rows.uids[row]),
                Place(rows.shard, row),
            )
            kept = self._members.setdefault(name, [])
            kept.append(entry)
            self._sizes_of[name] = self._sizes_of.get(name, 0) + 1
            if len(kept) > 4 * self.members_shown:
                self._trim(name)

    def _trim(self, name: str) -> None:
        """The survivor and the first others; rows that are named doubtful stay."""
        ranked = sorted(self._members[name])
        doubtful = self._doubtful[name][2] if name in self._doubtful else None
        self._members[name] = [
            entry for number, entry in enumerate(ranked) if number < self.members_shown or entry[3] == doubtful
        ]

    def largest_groups(self) -> list[Group]:
        ranked = sorted(self._large.items(), key=lambda item: (-item[1], item[0]))
        return [self._shown(name) for name, _ in ranked if name in self._members]

    def doubtful_pairs(self) -> list[Group]:
        """The least similar copy of each of some groups, beside its survivor."""
        pairs = []
        for name, (_, _, place) in self._doubtful.items():
            entries = self._members.get(name, [])
            members = [self._member(entry) for entry in sorted(entries) if not entry[0] or entry[3] == place]
            if len(members) == 2:
                pairs.append(Group(self._sizes_of[name], tuple(members)))
        return pairs

    def _shown(self, name: str) -> Group:
        entries = sorted(self._members[name])[: self.members_shown]
        # Of some shards alone, members are fewer than the grouper counted.
        size = max(self._sizes_of[name], self._large.get(name, 0))
        return Group(size, tuple(map(self._member, entries)))

    @staticmethod
    def _member(entry: tuple[bool, float, int, Place]) -> Member:
        copy, similarity, _, place = entry
        return Member(place, not copy, -similarity if copy and similarity else None)


def has_groups(columns: Sequence[str], label: str) -> bool:
    """Whether a table holds what a grouper of this label makes."""
    return {f"{label}_group", f"{label}_duplicate_of"} <= set(columns)
