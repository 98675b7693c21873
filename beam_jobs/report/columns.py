"""What every numeric column looks like, and what the rules over it did: one histogram a column.

In: shards, one after the other, and the recipe's cuts. Out: histograms, those of columns that a rule reads first.
The bins are chosen from the first rows, which are a fair sample since rows are laid out by hash.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from beam_jobs.report.bins import CUT, KEPT, OTHER, Histogram, choose_bins
from beam_jobs.report.shard_rows import Numeric, ShardRows
from beam_jobs.report.thresholds import Cut, Step
from schemas import reasons as row_reasons

_SAMPLE_ROWS = 20_000


class Columns:
    """Histograms of the named columns, and what the steps that read them did."""

    def __init__(self, numeric: Mapping[str, Numeric], steps: Sequence[Step], cuts: Sequence[Cut]) -> None:
        self.numeric = dict(numeric)
        self._readers = {name: [step.reason for step in steps if name in step.reads] for name in numeric}
        self._cuts = [cut for cut in cuts if cut.column in numeric]
        self._histograms: dict[str, Histogram] = {}
        self._waiting: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in numeric}
        self._rows = 0
        self._edges: dict[Cut, float] = {}

    def add(self, rows: ShardRows) -> None:
        reasons = rows.reasons
        kept = reasons == row_reasons.KEPT
        for name in self.numeric:
            if name not in rows.table.column_names:
                continue
            values = rows.numbers(name)
            outcomes = np.where(kept, KEPT, np.where(np.isin(reasons, self._readers[name]), CUT, OTHER))
            self._see_edges(name, values, reasons)
            if name in self._waiting:
                self._waiting[name].append((values, outcomes))
            elif name in self._histograms:
                self._histograms[name].add(values, outcomes)
        self._rows += len(rows)
        if self._waiting and self._rows >= _SAMPLE_ROWS:
            self.finish()

    def finish(self) -> None:
        """Counts what waited for its bins; to be called once all shards were added."""
        for name, batches in sorted(self._waiting.items()):
            seen = np.concatenate([values for values, _ in batches]) if batches else np.array([])
            seen = seen[np.isfinite(seen)]
            if len(seen):
                marks = [cut.value for cut in self.cuts_on(name) if cut.value is not None and math.isfinite(cut.value)]
                histogram = Histogram(choose_bins(seen, marks, integers=self.numeric[name].kind != "real"))
                for values, outcomes in batches:
                    histogram.add(values, outcomes)
                self._histograms[name] = histogram
        # A column that had no value in the first rows has none, or next to none, in all.
        self._waiting = {}

    def _see_edges(self, name: str, values: np.ndarray, reasons: np.ndarray) -> None:
        for cut in self.cuts_on(name):
            dropped = values[(reasons == cut.step.reason) & np.isfinite(values)]
            if cut.value is None and len(dropped):
                edge = float(dropped.max() if cut.keeps_high else dropped.min())
                known = self._edges.get(cut, edge)
                self._edges[cut] = max(known, edge) if cut.keeps_high else min(known, edge)

    def cuts_on(self, name: str) -> list[Cut]:
        return [cut for cut in self._cuts if cut.column == name]

    def value_of(self, cut: Cut) -> float | None:
        """Where a cut lies: as its rule says, or the best value that it dropped."""
        return cut.value if cut.value is not None else self._edges.get(cut)

    def __getitem__(self, name: str) -> Histogram:
        return self._histograms[name]

    def ruled(self) -> list[str]:
        """The columns that rules read, in the order of the recipe."""
        return [name for name in dict.fromkeys(cut.column for cut in self._cuts) if name in self._histograms]

    def others(self, leave_out: Iterable[str] = ()) -> list[str]:
        """The other columns that have values, in the order of what made them."""
        hidden = {*self.ruled(), *leave_out}
        return [name for name in self.numeric if name in self._histograms and name not in hidden]

    def constant(self, name: str) -> bool:
        """Whether all rows have one value: nothing that a histogram could show."""
        return self._histograms[name].smallest == self._histograms[name].largest
