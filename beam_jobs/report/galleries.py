"""Clusters worth looking at: the largest, each with the images nearest to its centre.

In: the columns that a grouper of clusters made, shard by shard, and its tables of clusters. Out: places of prototypes,
how the images are spread over the clusters, and which labels were spread over them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from beam_jobs.report.failures import counts_of
from beam_jobs.report.samples import Place
from beam_jobs.report.shard_rows import ShardRows
from beam_jobs.report.tops import TopCounter
from beam_jobs.storage.files import join, list_files
from beam_jobs.storage.parquet import read_table
from beam_jobs.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Prototype:
    """A row near the centre of its cluster."""

    place: Place
    similarity: float


@dataclass(frozen=True)
class Gallery:
    """A cluster as it is shown: the rows nearest to its centre, nearest first."""

    cluster: int
    size: int
    label: str
    shown: tuple[Prototype, ...]


@dataclass
class Galleries:
    """What one grouper of clusters made."""

    label: str
    largest: int
    each: int
    rows: int = 0
    sizes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: TopCounter = field(default_factory=TopCounter)
    _size_of: dict[int, int] = field(default_factory=dict)
    _label_of: dict[int, str] = field(default_factory=dict)
    _shown: dict[int, list[tuple[int, float, Place]]] = field(default_factory=dict)

    def add(self, rows: ShardRows) -> None:
        """Counts, and prototypes of the clusters that are the largest so far: a size is that of the whole run."""
        if not has_clusters(rows.table.column_names, self.label):
            return
        ids, sizes = rows.numbers(f"{self.label}_id"), rows.numbers(f"{self.label}_size")
        self.rows += int(np.isfinite(ids).sum())
        labels = rows.table[f"{self.label}_label"] if f"{self.label}_label" in rows.table.column_names else None
        if labels is not None:
            self.labels.add(counts_of(labels.drop_null()))
        places, similar = rows.numbers(f"{self.label}_place"), rows.numbers(f"{self.label}_similarity")
        for row in np.flatnonzero(places < self.each).tolist():
            cluster = int(ids[row])
            self._size_of[cluster] = int(sizes[row])
            self._shown.setdefault(cluster, []).append((int(places[row]), float(similar[row]), Place(rows.shard, row)))
            if labels is not None and labels[row].is_valid:
                self._label_of[cluster] = labels[row].as_py()
        first = sorted(self._size_of.items(), key=lambda item: (-item[1], item[0]))[: self.largest]
        self._size_of = dict(first)
        self._shown = {cluster: self._shown[cluster] for cluster in self._size_of}

    def finish(self, folder: RunFolder) -> None:
        """Reads the sizes of all clusters."""
        parts = list_files(join(folder.group_folder(self.label), "clusters"), ".parquet")
        read = [
            read_table(folder.clusters(self.label, part), ["size"])["size"].to_numpy() for part in range(len(parts))
        ]
        self.sizes = np.concatenate(read) if read else self.sizes

    def galleries(self) -> list[Gallery]:
        """The largest clusters, largest first."""
        return [
            Gallery(
                cluster,
                size,
                self._label_of.get(cluster, ""),
                tuple(Prototype(place, similar) for _, similar, place in sorted(self._shown[cluster])),
            )
            for cluster, size in self._size_of.items()
        ]

    def half_of_rows(self) -> int:
        """How few clusters hold half of all rows."""
        falling = np.cumsum(np.sort(self.sizes)[::-1])
        return int(np.searchsorted(falling, falling[-1] / 2)) + 1 if len(falling) else 0

    def by_size(self) -> Counter[int]:
        """How many clusters have so many rows, by the power of ten below."""
        powers = np.floor(np.log10(np.maximum(self.sizes, 1))).astype(np.int64)
        return Counter(powers.tolist())


def has_clusters(columns: Sequence[str], label: str) -> bool:
    """Whether a table holds what a grouper of clusters of this label makes."""
    return {f"{label}_id", f"{label}_size", f"{label}_place", f"{label}_similarity"} <= set(columns)
