"""What captioners said, shard by shard: how close old and new texts are to the pictures, and a few of them to look at.

In: the image shards' rows, and the sidecars of a recipe's captioners. Out: for each captioner two histograms of one
scale, how often the caption is the closer one, and the rows with the lowest places that have a caption, or have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.report.bins import KEPT, Bins, Histogram
from beam_jobs.report.samples import Place, Shortlist, lowest_orders
from beam_jobs.report.shard_rows import ShardRows
from beam_jobs.storage.files import exists
from beam_jobs.storage.parquet import read_schema, read_table
from beam_jobs.storage.run_folder import RunFolder

ACCEPTED_SHOWN, OTHERS_SHOWN = 8, 8
_EDGES = tuple(round(-0.2 + 0.02 * number, 2) for number in range(61))


def _histogram() -> Histogram:
    return Histogram(Bins(_EDGES, "linear"))


@dataclass(frozen=True)
class Words:
    """What a captioner said of a row: its accepted caption, or the first that it said with why it is not accepted."""

    text: str
    reason: str


@dataclass
class CaptionsSaid:
    """Of one captioner. original: the column of similarities of the texts that came, where there is one."""

    folder: RunFolder
    recipe: str
    label: str
    original: str | None = None
    rows: int = 0
    old: Histogram = field(default_factory=_histogram)
    new: Histogram = field(default_factory=_histogram)
    closer: int = 0
    model: str = ""
    prompt: str = ""
    words: dict[Place, Words] = field(default_factory=dict)
    _accepted: Shortlist = field(default_factory=lambda: Shortlist(ACCEPTED_SHOWN))
    _others: Shortlist = field(default_factory=lambda: Shortlist(OTHERS_SHOWN))

    def add(self, rows: ShardRows) -> None:
        url = self.folder.captions(self.recipe, self.label, rows.shard)
        if not exists(url):
            return
        label, present = self.label, set(read_schema(url).names)
        similar = f"{label}_similarity" in present
        wanted = ["uid", label, *(f"{label}_{name}" for name in ("reason", "said", "model", "prompt"))]
        table = read_table(url, [*wanted, *([f"{label}_similarity"] if similar else [])])
        if table["uid"] != rows.table["uid"]:
            raise ValueError(f"captions of {label} do not have the rows of image shard {rows.shard}")
        asked = table[f"{label}_model"].is_valid().to_numpy()
        accepted = table[label].is_valid().to_numpy()
        self.rows += int(asked.sum())
        self.model = self.model or _first(table[f"{label}_model"])
        self.prompt = self.prompt or _first(table[f"{label}_prompt"])
        if similar and self.original is not None and self.original in rows.table.column_names:
            self._compare(rows.numbers(self.original), table[f"{label}_similarity"], accepted)
        for shortlist, among in ((self._accepted, accepted), (self._others, asked & ~accepted)):
            for order, row in lowest_orders(rows, np.flatnonzero(among), OTHERS_SHOWN):
                place = Place(rows.shard, row)
                shortlist.offer((order,), place)
                said = table[f"{label}_said"][row].as_py() or [""]
                text = table[label][row].as_py() or said[0]
                self.words[place] = Words(text, table[f"{label}_reason"][row].as_py() or "")
        shown = {*self._accepted.places(), *self._others.places()}
        self.words = {place: words for place, words in self.words.items() if place in shown}

    def _compare(self, old: np.ndarray, column: pa.ChunkedArray, accepted: np.ndarray) -> None:
        new = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy()
        both = accepted & np.isfinite(old) & np.isfinite(new)
        outcomes = np.full(int(both.sum()), KEPT)
        self.old.add(old[both], outcomes)
        self.new.add(new[both], outcomes)
        self.closer += int((new[both] > old[both]).sum())

    @property
    def accepted(self) -> list[Place]:
        return self._accepted.places()

    @property
    def others(self) -> list[Place]:
        return self._others.places()


def _first(column: pa.ChunkedArray) -> str:
    values = column.drop_null()
    return str(values[0].as_py()) if len(values) else ""


def captioners_of(folder: RunFolder, recipe: str, ledgers: Sequence[str], similarity: str | None) -> list[CaptionsSaid]:
    """One for each captioner among a run's ledgers; made texts are not said by anybody."""
    names = [name.partition("/")[2].rpartition(".")[2] for name in ledgers if name.startswith("recaption/")]
    original = f"{similarity}_similarity" if similarity else None
    return [CaptionsSaid(folder, recipe, label, original) for label in names if label != "texts"]
