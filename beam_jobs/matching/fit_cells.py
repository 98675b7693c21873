"""Fitting cells: spherical k-means on a sample, and a margin measured on rows that the fit has not seen.

In: unit rows in the order of their uids, so that the sample is the same however it arrived. Out: Cells. The fit is
faiss's, with a fixed seed, number of rounds and number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.cells import MOST_VISITS, Cells
from beam_jobs.matching.vectors import Floats, Indices

ROUNDS = 10
FIT_THREADS = 4
_WORTH_THREADS = 10**10
# Up to so many rows all pairs are compared, in one block; cells are then labels only.
ONE_BLOCK_ROWS = 16_384
HELD_OUT = 8192
_TWO_LEVELS_FROM = 16_384
_BASIS_WIDTHS = (16, 32, 48, 64, 96, 128, 192, 256)
_BASIS_ROWS = 16_384
# A pair that passes the quick bound costs about so many times its dimensions, gathered and multiplied one by one.
_GATHER_COST = 8
_ROWS_AT_ONCE = 4096


def cells_for(rows: int, asked: int = 0) -> int:
    """How many cells to fit for so many rows: as asked, or their square root."""
    return max(1, min(rows, asked or math.isqrt(rows)))


def rows_per_cell(cells: int) -> int:
    """How many rows of the sample a centroid is fitted on."""
    return 64 if cells <= 4096 else 32


def sample_rows(rows: int, cells: int) -> int:
    """How many rows to read for a fit: those to fit on, then those to measure with."""
    return min(rows, rows_per_cell(cells) * cells + HELD_OUT)


def fit_cells(sample: Floats, *, rows: int, cells: int, cosine: float, recall: float, seed: int) -> Cells:
    """Cells for `rows` rows of which `sample` is a part, to find pairs from `cosine` on with `recall`."""
    if len(sample) == 0:
        width = sample.shape[1]
        return Cells(np.zeros((1, width), np.float32), math.inf, np.empty((width, 0), np.float32), np.ones(1))
    cells = max(1, min(cells, len(sample)))
    if rows <= ONE_BLOCK_ROWS:
        fitted = sample[: rows_per_cell(cells) * cells]
        centroids = _settled_apart(fitted, kmeans(fitted, cells, seed), cosine, seed)
        home = home_of(fitted, centroids)
        share = np.bincount(home, minlength=len(centroids)) / max(1, len(fitted))
        return Cells(centroids, math.inf, _basis(fitted, centroids, home, cosine), share)
    held_out = min(HELD_OUT, len(sample) // 2)
    fitted, held = sample[: len(sample) - held_out], sample[len(sample) - held_out :]
    centroids = kmeans(fitted, cells, seed) if cells < _TWO_LEVELS_FROM else _kmeans_in_groups(fitted, cells, seed)
    centroids = _settled_apart(fitted, centroids, cosine, seed)
    needed, gaps = _margins_needed(held, centroids, cosine, seed)
    reachable = needed[np.isfinite(needed)]
    margin = float(np.quantile(reachable, recall, method="higher")) if len(reachable) else 0.0
    home = home_of(fitted, centroids)
    return Cells(
        centroids,
        margin,
        _basis(fitted, centroids, home, cosine),
        np.bincount(home, minlength=len(centroids)) / len(fitted),
        measured_recall=float((needed <= margin).mean()),
        mean_visits=float((gaps <= margin).sum(axis=1).mean() - 1),
    )


@contextmanager
def fit_threads(multiplications: int) -> Iterator[None]:
    """The threads of a fit, as many on every machine: one where several would mostly wait for each other."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(FIT_THREADS if multiplications >= _WORTH_THREADS else 1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def kmeans(rows: Floats, cells: int, seed: int, *, rounds: int = ROUNDS, begin: Floats | None = None) -> Floats:
    import faiss

    if cells >= len(rows) and begin is None:
        return np.ascontiguousarray(rows[:cells])
    with fit_threads(len(rows) * cells * rows.shape[1] * rounds):
        kmeans = faiss.Kmeans(
            rows.shape[1],
            cells,
            niter=rounds,
            spherical=True,
            seed=seed + 1,
            min_points_per_centroid=1,
            max_points_per_centroid=len(rows),
        )
        kmeans.train(np.ascontiguousarray(rows), init_centroids=begin)
    return np.asarray(kmeans.centroids, dtype=np.float32)


def _settled_apart(rows: Floats, centroids: Floats, cosine: float, seed: int) -> Floats:
    """Centroids apart from each other; where some had to go the others settle again, in a few rounds."""
    apart = _apart(centroids, cosine)
    if len(apart) < len(centroids):
        apart = _apart(kmeans(rows, len(apart), seed, rounds=ROUNDS // 3, begin=apart), cosine)
    return apart


def _apart(centroids: Floats, cosine: float) -> Floats:
    """Centroids of which no two are within half the angle of a near-duplicate: the first of each crowd stays.

    A border between two that close would part near-duplicates and nothing else.
    """
    limit = np.float32(math.sqrt((1 + cosine) / 2))
    crowded: list[tuple[int, int]] = []
    for start in range(0, len(centroids), _ROWS_AT_ONCE):
        at, to = np.nonzero(centroids[start : start + _ROWS_AT_ONCE] @ centroids.T >= limit)
        crowded.extend((int(a) + start, int(b)) for a, b in zip(at, to, strict=True) if b < a + start)
    stays = np.ones(len(centroids), dtype=bool)
    for later, earlier in sorted(crowded):
        stays[later] &= not stays[earlier]
    return np.ascontiguousarray(centroids[stays])


def _kmeans_in_groups(rows: Floats, cells: int, seed: int) -> Floats:
    """Many cells: first their square root of groups, then cells inside each group, as many as its share of rows."""
    groups = math.isqrt(cells)
    coarse = kmeans(rows[: rows_per_cell(groups) * groups], groups, seed)
    member = home_of(rows, coarse)
    sizes = np.bincount(member, minlength=groups)
    quota = shares(sizes, cells)
    parts = [kmeans(rows[member == group], int(quota[group]), seed) for group in range(groups) if quota[group]]
    return np.concatenate(parts)


def shares(sizes: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """`total` divided in proportion to sizes by largest remainder, none above its size."""
    exact = sizes * (total / sizes.sum())
    quota = np.minimum(np.floor(exact).astype(np.int64), sizes)
    order = np.lexsort((np.arange(len(sizes)), -(exact - np.floor(exact))))
    open_places = order[(quota < sizes)[order]][: total - int(quota.sum())]
    quota[open_places] += 1
    return quota


def home_of(rows: Floats, centroids: Floats) -> Indices:
    home = np.empty(len(rows), np.int64)
    step = max(16, (1 << 22) // len(centroids))
    for start in range(0, len(rows), step):
        home[start : start + step] = (rows[start : start + step] @ centroids.T).argmax(axis=1)
    return home


def _margins_needed(
    held: Floats, centroids: Floats, cosine: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """For each held-out row the margin at which it meets a row made at exactly `cosine` from it; infinite where no
    margin is enough. And its gaps to the nearest cells, ascending.

    The other row lies aside as a third one lies beside its centroid: as rows of this data differ, not as noise would.
    """
    towards = (held - centroids[home_of(held, centroids)])[np.random.default_rng(seed).permutation(len(held))]
    aside = towards - np.einsum("ij,ij->i", towards, held)[:, None] * held
    length = np.linalg.norm(aside, axis=1)
    moved = length > 1e-3
    aside[moved] /= length[moved, None]
    other = np.float32(cosine) * held + np.float32(math.sqrt(1 - cosine * cosine)) * aside
    other[~moved] = held[~moved]
    nearest = min(len(centroids), MOST_VISITS + 1)
    needed = np.empty(len(held))
    gaps = np.empty((len(held), nearest), np.float32)
    step = max(16, (1 << 22) // len(centroids))
    for start in range(0, len(held), step):
        here = slice(start, start + step)
        to_held, to_other = held[here] @ centroids.T, other[here] @ centroids.T
        place = np.arange(len(to_held))
        one_way = _gap_of_home(to_held, to_other.argmax(axis=1), place)
        other_way = _gap_of_home(to_other, to_held.argmax(axis=1), place)
        needed[here] = np.minimum(one_way, other_way)
        best = -np.partition(-to_held, nearest - 1, axis=1)[:, :nearest]
        gaps[here] = best.max(axis=1)[:, None] - best
    return needed, gaps


def _gap_of_home(similarities: Floats, home: Indices, place: Indices) -> NDArray[np.float64]:
    """How much less similar than its best cell a row is to the other row's home; infinite beyond MOST_VISITS cells."""
    to_home = similarities[place, home]
    nearer = (similarities > to_home[:, None]).sum(axis=1)
    return np.where(nearer <= MOST_VISITS, similarities.max(axis=1) - to_home, np.inf).astype(np.float64)


def _basis(rows: Floats, centroids: Floats, home: Indices, cosine: float) -> Floats:
    """The main directions in which rows differ inside their cells, as many as make comparing cheapest."""
    width = rows.shape[1]
    some = rows[:_BASIS_ROWS]
    inside = some - centroids[home[: len(some)]]
    _, vectors = np.linalg.eigh(inside.T.astype(np.float64) @ inside)
    main = np.ascontiguousarray(vectors[:, ::-1], dtype=np.float32)
    order = np.argsort(home[: len(some)], kind="stable")
    same = home[order[1:]] == home[order[:-1]]
    left, right = inside[order[1:][same]] @ main, inside[order[:-1][same]] @ main
    best, best_cost = 0, float(width)
    for size in _BASIS_WIDTHS:
        if size >= width or not same.any():
            break
        spread = ((left[:, :size] - right[:, :size]) ** 2).sum(axis=1)
        rest = np.sqrt((left[:, size:] ** 2).sum(axis=1)) - np.sqrt((right[:, size:] ** 2).sum(axis=1))
        passing = float((spread + rest**2 <= 2 - 2 * cosine).mean())
        cost = size + 3 + passing * width * _GATHER_COST
        if cost < best_cost:
            best, best_cost = size, cost
    return main[:, :best]
