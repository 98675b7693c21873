"""Cells: nearest centroids, and the further cells that an item near a border visits.

In: unit rows. Out: each row's home cell, and its visits. Two rows are compared when one visits the other's home. A row
visits the cells whose centroid is at most `margin` less similar to it than its home's; the margin is measured when the
cells are fitted (fit_cells.py), so that no more than the stated share of close pairs is parted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.threads import side_by_side
from beam_jobs.matching.vectors import SLACK, Floats, Indices, where_true

MOST_VISITS = 24
_SIMILARITIES_AT_ONCE = 1 << 21
# Above this many centroids a row is compared with the centroids of its nearest groups of centroids only.
FLAT_CELLS = 16_384
_GROUPS_PROBED = 32


@dataclass(frozen=True)
class Cells:
    """Fitted cells. margin: see above; infinite when there is one block in which all are compared.

    basis: orthonormal columns that hold most of what differs inside a cell; for quick bounds, never for a decision.
    share: the estimated share of all rows that lives in each cell.
    """

    centroids: Floats
    margin: float
    basis: Floats
    share: NDArray[np.float64]
    measured_recall: float = 1.0
    mean_visits: float = 0.0

    @property
    def count(self) -> int:
        return len(self.centroids)

    @cached_property
    def inverted_file(self) -> Any:
        """The centroids in groups of their own, to search when they are many."""
        import faiss

        width = self.centroids.shape[1]
        groups = math.isqrt(self.count)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, groups, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.niter = 1, 10
        index.train(self.centroids)
        index.add(self.centroids)
        index.nprobe = _GROUPS_PROBED
        return index

    @property
    def one_block(self) -> bool:
        return bool(np.isinf(self.margin))


@dataclass(frozen=True)
class Visits:
    """home[i] is the cell of row i; row rows[j] also visits cell cells[j]."""

    home: NDArray[np.int32]
    rows: Indices
    cells: NDArray[np.int32]


def visits_of(units: Floats, cells: Cells) -> Visits:
    """Where each unit row lives and which other cells it visits. Ties and borders are settled in float64."""
    if cells.count == 1:
        return Visits(np.zeros(len(units), np.int32), np.empty(0, np.int64), np.empty(0, np.int32))
    margin = 0.0 if cells.one_block else cells.margin
    step = max(16, _SIMILARITIES_AT_ONCE // min(cells.count, FLAT_CELLS))

    def visit(start: int) -> Visits:
        rows, near, gaps = _near_cells(units[start : start + step], cells, margin)
        first = np.r_[True, rows[1:] != rows[:-1]]
        place = np.arange(len(rows)) - np.flatnonzero(first)[rows]
        visiting = (place > 0) & (place <= MOST_VISITS) & (gaps <= margin) & (not cells.one_block)
        return Visits(near[first], rows[visiting] + start, near[visiting])

    parts = side_by_side(visit, range(0, len(units), step))
    none = Visits(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32))
    parts.append(none)
    return Visits(
        np.concatenate([part.home for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.cells for part in parts]),
    )


def _near_cells(block: Floats, cells: Cells, margin: float) -> tuple[Indices, NDArray[np.int32], NDArray[np.float64]]:
    """(row, cell, gap to the best) of all cells within the margin, by row, nearest first, ties by cell."""
    centroids = cells.centroids
    if cells.count > FLAT_CELLS:
        rows, near, similarity = _near_of_many(block, cells)
        best = np.full(len(block), -2.0, np.float32)
        np.maximum.at(best, rows, similarity)
        kept = similarity >= best[rows] - np.float32(margin + SLACK)
        rows, near, similarity = rows[kept], near[kept], similarity[kept]
    else:
        all_similarities = block @ centroids.T
        best = all_similarities.max(axis=1)
        rows, near = where_true(all_similarities >= (best - np.float32(margin + SLACK))[:, None])
        similarity = all_similarities[rows, near]
    gaps = (best[rows] - similarity).astype(np.float64)
    unsure = _unsure_rows(rows, gaps, margin, len(block))
    if unsure.any():
        again = np.flatnonzero(unsure[rows])
        exact = np.einsum("ij,ij->i", block[rows[again]].astype(np.float64), centroids[near[again]].astype(np.float64))
        exact_best = np.full(len(block), -2.0)
        np.maximum.at(exact_best, rows[again], exact)
        gaps[again] = exact_best[rows[again]] - exact
    order = np.lexsort((near, gaps, rows))
    return rows[order].astype(np.int64), near[order].astype(np.int32), gaps[order]


def _unsure_rows(rows: Indices, gaps: NDArray[np.float64], margin: float, count: int) -> NDArray[np.bool_]:
    """Rows whose home or visits float32 cannot settle: a gap near 0 beside the home's own, or near the margin."""
    unsure = np.zeros(count, dtype=bool)
    near_best = np.bincount(rows[gaps <= SLACK], minlength=count)
    unsure[near_best > 1] = True
    unsure[rows[np.abs(gaps - margin) <= SLACK]] = True
    return unsure


def _near_of_many(block: Floats, cells: Cells) -> tuple[Indices, Indices, Floats]:
    """Candidates by an inverted file over the centroids themselves: the cells of the groups nearest to each row."""
    similarity, near = cells.inverted_file.search(block, MOST_VISITS + 1)
    rows = np.repeat(np.arange(len(block), dtype=np.int64), near.shape[1])
    found = near.ravel() >= 0
    return rows[found], near.ravel()[found].astype(np.int64), similarity.ravel()[found]
