"""The nearest centres of rows, few and many, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from beam_jobs.matching.cells import Cells
from beam_jobs.matching.nearest import nearest_centres
from beam_jobs.matching.vectors import Floats, unit_rows


def centres_of(count: int, width: int, seed: int) -> Cells:
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return Cells(unit_rows(rows), 0.0, np.empty((width, 0), np.float32), np.empty(0))


def asking(count: int, width: int) -> Floats:
    return unit_rows(np.random.default_rng(99).standard_normal((count, width)).astype(np.float32))


@pytest.mark.parametrize("count", [1, 3, 14, 500])
def test_few_centres_are_told_in_order_with_their_cosines(count: int) -> None:
    centres, rows = centres_of(count, 24, 1), asking(700, 24)
    near, cosines = nearest_centres(rows, centres, 10)
    wide = rows.astype(np.float64) @ centres.centroids.T.astype(np.float64)
    expected = np.argsort(-wide, axis=1, kind="stable")[:, :10]
    assert near.tolist() == expected.tolist()
    assert np.abs(cosines - np.take_along_axis(wide, expected, axis=1)).max() < 1e-6


def test_equal_centres_are_told_by_their_number() -> None:
    centres = centres_of(40, 16, 2)
    centres.centroids[[7, 3, 30]] = centres.centroids[3]
    near, _ = nearest_centres(centres.centroids[30:31].copy(), centres, 4)
    assert near[0, :3].tolist() == [3, 7, 30]


def test_a_row_is_told_the_same_alone_and_among_others() -> None:
    centres, rows = centres_of(2000, 16, 3), asking(3000, 16)
    near, cosines = nearest_centres(rows, centres, 5)
    for row in range(0, 3000, 371):
        alone, its = nearest_centres(rows[row : row + 1], centres, 5)
        assert alone[0].tolist() == near[row].tolist()
        assert its[0].tolist() == cosines[row].tolist()


def test_of_many_centres_nearly_all_of_the_nearest_are_found() -> None:
    centres, rows = centres_of(20_000, 16, 4), asking(400, 16)
    near, _ = nearest_centres(rows, centres, 10)
    expected = np.argsort(-(rows @ centres.centroids.T), axis=1)[:, :10]
    assert np.mean([np.isin(told, known).mean() for told, known in zip(near, expected, strict=True)]) >= 0.98
    assert (near[:, 0] == expected[:, 0]).mean() >= 0.99
