"""Images that were known before: how many, by which index and how, and those of which that is least sure.

In: the columns that a grouper `against` or `decontaminate` made, shard by shard. Out: counts, and hits to look at, each
with what was kept of the known image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from beam_jobs.known.hits import HITS_SHOWN, Doubt, doubts, read_hits
from beam_jobs.report.samples import Place
from beam_jobs.report.shard_rows import ShardRows
from beam_jobs.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Hit:
    """A row, and the known image that it is a copy of. apart: how near, in words; empty where they are equal."""

    place: Place
    index: str
    kind: str
    apart: str
    known: str


@dataclass
class KnownHits:
    """What one grouper knew. pictures: name and picture of known images, by uid."""

    label: str
    rows: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    pictures: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _hits: list[tuple[Doubt, Place, Hit]] = field(default_factory=list)

    def add(self, rows: ShardRows) -> None:
        """Counts a shard's hits, and keeps the least sure of all shards so far."""
        if not has_known(rows.table.column_names, self.label):
            return
        self.rows += int(rows.fetched.sum())
        index, kind = (rows.table[f"{self.label}_{name}"].to_pylist() for name in ("index", "kind"))
        self.counts.update((str(one), str(other)) for one, other in zip(index, kind, strict=True) if other is not None)
        of = rows.table[f"{self.label}_duplicate_of"]
        for doubt, row in doubts(rows.table, self.label)[:HITS_SHOWN]:
            place = Place(rows.shard, row)
            hit = Hit(place, str(index[row]), str(kind[row]), self._apart(rows, row, str(kind[row])), str(of[row]))
            self._hits.append((doubt, place, hit))
        self._hits.sort(key=lambda each: (-each[0][0], each[0][1], each[0][2]))
        del self._hits[HITS_SHOWN:]

    def _apart(self, rows: ShardRows, row: int, kind: str) -> str:
        if kind == "near":
            return f"cosine {rows.numbers(f'{self.label}_similarity')[row]:.4f}"
        return f"{int(rows.numbers(f'{self.label}_distance')[row])} bits apart" if kind == "perceptual" else ""

    def finish(self, folder: RunFolder) -> None:
        """Reads what was kept of the known images to show."""
        for shard in sorted({hit.place.shard for hit in self.hits}):
            self.pictures.update(read_hits(folder.work, self.label, shard))

    @property
    def hits(self) -> list[Hit]:
        """Hits to show, least sure first."""
        return [hit for _, _, hit in self._hits]


def has_known(columns: Sequence[str], label: str) -> bool:
    """Whether a table holds what a grouper of known images of this label makes."""
    return {f"{label}_duplicate_of", f"{label}_index", f"{label}_kind"} <= set(columns)
