"""Which rows are known to belong together while pairs are still being looked at, threshold by threshold.

In: rows and those found close to them. Out: the fewest edges that join them, and, at any time, which pairs of rows
need no look any more: rows of one component at every threshold asked are joined already, however close they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.components import Edges
from beam_jobs.matching.vectors import SLACK, Indices, Rows, exact_cosines


class Joined:
    """labels[k][i]: the component of row i by what was found so far at thresholds[k], ascending."""

    def __init__(self, rows: Rows, thresholds: tuple[float, ...]) -> None:
        self._rows = rows
        self.thresholds = thresholds
        self.labels = [np.arange(len(rows), dtype=np.int64) for _ in thresholds]

    def star(self, row: int, others: Indices, cosines: NDArray[np.floating]) -> Edges:
        """Joins a row with those others that are close to it; the edges that this takes.

        cosines: in float32; those that it cannot decide are computed again.
        """
        news = np.zeros(len(others), dtype=bool)
        for threshold, labels in zip(self.thresholds, self.labels, strict=True):
            news |= (cosines >= threshold - SLACK) & (labels[others] != labels[row])
        if not news.any():
            return Edges.none()
        others, exact = others[news], self.settled(np.full(int(news.sum()), row), others[news], cosines[news])
        edges = []
        for threshold, labels in zip(self.thresholds, self.labels, strict=True):
            close = np.flatnonzero((exact >= threshold) & (labels[others] != labels[row]))
            merged, first = np.unique(labels[others[close]], return_index=True)
            if len(merged):
                chosen = close[first]
                edges.append(Edges(np.full(len(chosen), row), others[chosen], exact[chosen]))
                renamed = np.arange(len(labels))
                renamed[merged] = labels[row]
                labels[:] = renamed[labels]
        return Edges.join(edges)

    def settled(self, left: Indices, right: Indices, cosines: NDArray[np.floating]) -> NDArray[np.float64]:
        """These rows' cosines, in float64 wherever float32 leaves open on which side of a threshold they are."""
        exact = cosines.astype(np.float64)
        unsure = np.zeros(len(exact), dtype=bool)
        for threshold in self.thresholds:
            unsure |= np.abs(exact - threshold) <= SLACK
        at = np.flatnonzero(unsure)
        exact[at] = exact_cosines(self._rows[left[at]], self._rows[right[at]])
        return exact

    def open_from(self, left: Indices, right: Indices) -> float | None:
        """The lowest threshold at which not all of these rows are of one component; None when there is none."""
        if len(left) == 0 or len(right) == 0:
            return None
        for threshold, labels in zip(self.thresholds, self.labels, strict=True):
            if (labels[left] != labels[left[0]]).any() or (labels[right] != labels[left[0]]).any():
                return threshold
        return None

    def pairs_left(self, among: Indices) -> list[float]:
        """For each threshold, of how many pairs among these rows it is not known that they belong together."""
        return [(float(len(among)) ** 2 - _squares(labels[among])) / 2 for labels in self.labels]

    def crowds(self, among: Indices, least: int) -> tuple[list[Indices], Indices]:
        """The components at the highest threshold of at least so many of these rows, largest first; the other rows."""
        labels = self.labels[-1][among]
        names, at, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        large = np.flatnonzero(sizes >= least)
        large = large[np.lexsort((names[large], -sizes[large]))]
        return [among[at == number] for number in large], among[sizes[at] < least]


def _squares(labels: NDArray[np.int64]) -> float:
    _, sizes = np.unique(labels, return_counts=True)
    return float((sizes.astype(np.float64) ** 2).sum())
