"""Cells: the same every time, and a margin that holds the recall which it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from beam_jobs.matching.cells import Cells, visits_of
from beam_jobs.matching.fit_cells import ONE_BLOCK_ROWS, cells_for, fit_cells, sample_rows
from beam_jobs.matching.vectors import Floats, unit_rows

ROWS = 20_000


@pytest.fixture(scope="module")
def rows() -> Floats:
    return unit_rows(np.random.default_rng(0).standard_normal((ROWS, 32)).astype(np.float32))


@pytest.fixture(scope="module")
def cells(rows: Floats) -> Cells:
    count = cells_for(ROWS)
    return fit_cells(rows[: sample_rows(ROWS, count)], rows=ROWS, cells=count, cosine=0.96, recall=0.99, seed=0)


def test_a_second_fit_is_bit_for_bit_the_first(rows: Floats, cells: Cells) -> None:
    again = fit_cells(rows[: sample_rows(ROWS, 141)], rows=ROWS, cells=141, cosine=0.96, recall=0.99, seed=0)
    assert (again.centroids == cells.centroids).all()
    assert again.margin == cells.margin
    assert (again.basis == cells.basis).all()


def test_few_rows_are_one_block_with_clusters_as_labels(rows: Floats) -> None:
    few = fit_cells(rows[:400], rows=400, cells=cells_for(400), cosine=0.96, recall=0.99, seed=0)
    assert few.one_block
    assert few.count == 20
    visits = visits_of(rows[:400], few)
    assert len(visits.rows) == 0
    assert (visits.home == (rows[:400] @ few.centroids.T).argmax(axis=1)).all()
    assert ONE_BLOCK_ROWS > 400


def test_close_rows_never_seen_in_the_fit_meet_with_the_stated_recall(cells: Cells) -> None:
    rng = np.random.default_rng(9)
    fresh = unit_rows(rng.standard_normal((6000, 32)).astype(np.float32))
    aside = rng.standard_normal(fresh.shape)
    aside -= (aside * fresh).sum(axis=1, keepdims=True) * fresh
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    others = unit_rows((0.96 * fresh + math.sqrt(1 - 0.96**2) * aside).astype(np.float32))
    met = _meets(visits_of(fresh, cells), visits_of(others, cells))
    assert met.mean() >= 0.985
    assert cells.measured_recall >= 0.99
    assert cells.mean_visits < 6


def _meets(one, other) -> np.ndarray:  # type: ignore[no-untyped-def]
    visited = set(zip(one.rows.tolist(), one.cells.tolist(), strict=True))
    returned = set(zip(other.rows.tolist(), other.cells.tolist(), strict=True))
    homes = zip(one.home.tolist(), other.home.tolist(), strict=True)
    return np.array([a == b or (row, b) in visited or (row, a) in returned for row, (a, b) in enumerate(homes)])


def test_a_row_is_assigned_alike_alone_and_in_a_crowd(rows: Floats, cells: Cells) -> None:
    together = visits_of(rows[:300], cells)
    for row in range(0, 300, 7):
        alone = visits_of(rows[row : row + 1], cells)
        assert alone.home[0] == together.home[row]
        assert alone.cells.tolist() == together.cells[together.rows == row].tolist()


def test_many_cells_are_searched_in_groups() -> None:
    rng = np.random.default_rng(1)
    centroids = unit_rows(rng.standard_normal((20_000, 8)).astype(np.float32))
    many = Cells(centroids, 0.01, np.empty((8, 0), np.float32), np.full(20_000, 1 / 20_000))
    some = unit_rows(rng.standard_normal((500, 8)).astype(np.float32))
    assert (visits_of(some, many).home == (some @ centroids.T).argmax(axis=1)).mean() > 0.99


def test_a_crowd_of_half_of_all_rows_is_one_cell_and_sends_its_rows_nowhere_else() -> None:
    rng = np.random.default_rng(2)
    centre = unit_rows(rng.standard_normal((1, 32)).astype(np.float32))
    noise = unit_rows(rng.standard_normal((ROWS, 32)).astype(np.float32))
    rows = unit_rows(np.where(np.arange(ROWS)[:, None] % 2 == 0, centre + 0.05 * noise, noise))
    fitted = fit_cells(rows, rows=ROWS, cells=141, cosine=0.96, recall=0.99, seed=0)
    assert 40 < fitted.count < 100
    assert fitted.share.max() == pytest.approx(0.5, abs=0.02)
    visits = visits_of(rows, fitted)
    crowd = visits.rows % 2 == 0
    assert crowd.sum() < 0.05 * ROWS
