"""Close pairs of a cell against brute force, in all the shapes that crowds of rows come in."""

from __future__ import annotations

import numpy as np
import pytest

from beam_jobs.matching.close_pairs import TILE_COLUMNS, TILE_ROWS, Closeness, Work, close_edges
from beam_jobs.matching.components import Edges, components
from beam_jobs.matching.vectors import Halves, first_of_equals


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rows_near(centre: np.ndarray, count: int, cosine: float, rng: np.random.Generator) -> np.ndarray:
    """Unit rows at exactly that cosine from one."""
    aside = rng.standard_normal((count, len(centre)))
    aside = unit(aside - (aside @ centre)[:, None] * centre)
    return cosine * centre + np.sqrt(1 - cosine**2) * aside


def closeness(width: int, *thresholds: float, basis: int = 8) -> Closeness:
    return Closeness(thresholds, np.eye(width, basis, dtype=np.float32), np.zeros(width, np.float32))


def brute_force(rows: Halves, homes: int, threshold: float) -> set[frozenset[int]]:
    """Components of all pairs that involve a resident, in float64."""
    wide = unit(rows.astype(np.float64))
    a, b = np.nonzero(np.triu(wide @ wide.T >= threshold, 1))
    used = a < homes
    edges = Edges(a[used], b[used], np.ones(int(used.sum())))
    return as_sets(edges, threshold=-1)


def as_sets(edges: Edges, threshold: float) -> set[frozenset[int]]:
    ids, lowest = components(edges, at_least=threshold)
    groups: dict[int, set[int]] = {}
    for row, group in zip(ids.tolist(), lowest.tolist(), strict=True):
        groups.setdefault(group, set()).add(row)
    return {frozenset(group) for group in groups.values() if len(group) > 1}


@pytest.fixture(scope="module")
def mixed() -> Halves:
    """2,000 rows: random ones, pairs at many cosines, a tight crowd, a looser crowd beside it, equal rows."""
    rng = np.random.default_rng(3)
    rows = unit(rng.standard_normal((2000, 64)))
    for row, cosine in zip(range(0, 400, 2), np.linspace(0.93, 1, 200), strict=True):
        rows[row + 1] = rows_near(rows[row], 1, cosine, rng)
    rows[400:1000] = rows_near(rows[400], 600, 0.995, rng)
    rows[1000:1300] = rows_near(rows_near(rows[400], 1, 0.95, rng)[0], 300, 0.99, rng)
    rows[1300:1350] = rows[1299]
    return rows[rng.permutation(2000)].astype(np.float16)


@pytest.mark.parametrize("basis", [0, 8])
@pytest.mark.parametrize("homes", [2000, 1200])
def test_components_are_those_of_all_pairs_at_every_threshold(mixed: Halves, homes: int, basis: int) -> None:
    thresholds = (0.94, 0.96, 0.985)
    edges = close_edges(mixed, homes, closeness(64, *thresholds, basis=basis))
    for threshold in thresholds:
        expected = brute_force(mixed, homes, threshold)
        assert len(expected) > 20
        assert as_sets(edges, threshold) == expected
    assert len(edges) < len(mixed)


def test_two_visitors_are_left_to_their_own_cells() -> None:
    rng = np.random.default_rng(0)
    rows = unit(rng.standard_normal((4, 16)))
    rows[3] = rows_near(rows[2], 1, 0.99, rng)
    assert len(close_edges(rows.astype(np.float16), 2, closeness(16, 0.96))) == 0
    assert len(close_edges(rows.astype(np.float16), 3, closeness(16, 0.96))) == 1


def test_equal_rows_are_joined_without_comparing_them() -> None:
    row = unit(np.random.default_rng(1).standard_normal((1, 64))).astype(np.float16)
    rows = np.repeat(row, 20_000, axis=0)
    work = Work()
    edges = close_edges(rows, len(rows), closeness(64, 0.96), work)
    assert len(edges) == 19_999
    assert work.compared <= 1


def test_near_identical_rows_are_compared_in_proportion_to_their_number() -> None:
    rng = np.random.default_rng(2)
    centre = unit(rng.standard_normal((1, 64)))[0]
    rows = rows_near(centre, 20_000, 0.998, rng).astype(np.float16)
    work = Work()
    edges = close_edges(rows, len(rows), closeness(64, 0.96), work)
    assert len(edges) == 19_999
    assert work.compared < 20 * len(rows)


@pytest.mark.parametrize("thresholds", [(0.94,), (0.955,), (0.93, 0.94)])
def test_a_loose_crowd_is_not_compared_pair_by_pair(thresholds: tuple[float, ...]) -> None:
    """20,000 rows about a centre, none within half a threshold of another's angle: a few in a hundred are close."""
    rng = np.random.default_rng(6)
    centre = unit(rng.standard_normal((1, 64)))[0]
    rows = rows_near(centre, 20_000, 0.97, rng).astype(np.float16)
    work = Work()
    edges = close_edges(rows, len(rows), closeness(64, *thresholds), work)
    for threshold in thresholds:
        assert as_sets(edges, threshold) == {frozenset(range(20_000))}
    assert work.compared < 300 * len(rows)


@pytest.mark.parametrize("homes", [5000, 3500])
def test_loose_crowds_beside_each_other_keep_their_borders(homes: int) -> None:
    rng = np.random.default_rng(8)
    centre = unit(rng.standard_normal((1, 64)))[0]
    beside = rows_near(centre, 1, 0.9, rng)[0]
    rows = unit(rng.standard_normal((5000, 64)))
    rows[:2000] = rows_near(centre, 2000, 0.97, rng)
    rows[2000:3500] = rows_near(beside, 1500, 0.98, rng)
    for row, cosine in zip(range(3500, 4500), np.linspace(0.75, 1, 1000), strict=True):
        rows[row] = rows_near(centre, 1, cosine, rng)[0]
    rows = rows[rng.permutation(5000)].astype(np.float16)
    edges = close_edges(rows, homes, closeness(64, 0.93, 0.95, 0.965))
    for threshold in (0.93, 0.95, 0.965):
        expected = brute_force(rows, homes, threshold)
        assert max(map(len, expected)) > 1000
        assert as_sets(edges, threshold) == expected


def test_a_cell_of_any_size_is_read_in_tiles() -> None:
    rng = np.random.default_rng(4)
    crowd = unit(0.9 * unit(rng.standard_normal((1, 64))) + 0.5 * unit(rng.standard_normal((6_000, 64))))
    work = Work()
    close_edges(crowd.astype(np.float16), len(crowd), closeness(64, 0.99), work)
    assert work.widest <= TILE_ROWS + TILE_COLUMNS
    assert work.compared > len(crowd) ** 2 / 2


def test_a_cosine_is_decided_in_float64() -> None:
    rows = np.array([[1, 0, 0, 0], [3, 4, 0, 0]], np.float16)  # cosine 0.6 exactly
    plain = Closeness((0.6,), np.empty((4, 0), np.float32), np.zeros(4, np.float32))
    assert len(close_edges(rows, 2, plain)) == 1
    above = Closeness((np.nextafter(0.6, 1) + 1e-15,), plain.basis, plain.centre)
    assert len(close_edges(rows, 2, above)) == 0


def test_first_of_equals_finds_the_first_and_only_equals() -> None:
    rows = np.array([[1, 2], [2, 1], [1, 2], [2, 1], [1, 2], [0, 3]], np.float16)
    assert first_of_equals(rows).tolist() == [0, 1, 0, 1, 0, 5]
    assert first_of_equals(rows[:0]).tolist() == []
