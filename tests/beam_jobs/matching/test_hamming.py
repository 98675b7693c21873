"""The search by bands against brute force: complete up to the stated distance."""

from __future__ import annotations

import numpy as np
import pytest

from beam_jobs.matching.components import Edges, components
from beam_jobs.matching.hamming import BANDS, Hashes, band_values, close_hashes, distances

ROWS = 2400


def flipped(hashes: Hashes, count: int, rng: np.random.Generator) -> Hashes:
    """One hash with that many different bits flipped."""
    bits = np.unpackbits(hashes)
    bits[rng.choice(256, count, replace=False)] ^= 1
    return np.packbits(bits)


@pytest.fixture(scope="module")
def hashes() -> Hashes:
    """Random hashes; pairs 0 to 40 bits apart; a crowd around one hash, and rows at all distances from it."""
    rng = np.random.default_rng(0)
    made = rng.integers(0, 256, (ROWS, 32), dtype=np.uint8)
    for row in range(0, 800, 2):
        made[row + 1] = flipped(made[row], row // 2 % 41, rng)
    for row in range(1001, 1701):
        made[row] = flipped(made[1000], int(rng.integers(0, 15)), rng)
    for row in range(1701, 1801):
        made[row] = flipped(made[1000], row - 1701, rng)
    return made[rng.permutation(ROWS)]


def brute_force(hashes: Hashes, distance: int) -> dict[int, int]:
    bits = np.unpackbits(hashes, axis=1).astype(np.int32)
    ones = bits.sum(axis=1)
    apart = ones[:, None] + ones[None] - 2 * bits @ bits.T
    a, b = np.nonzero(np.triu(apart <= distance, 1))
    return dict(zip(*(column.tolist() for column in components(Edges(a, b, np.ones(len(a))))), strict=True))


@pytest.mark.parametrize("distance", [0, 7, 15, 16, 31])
def test_all_pairs_within_the_distance_are_joined(hashes: Hashes, distance: int) -> None:
    nobody = np.zeros(ROWS, dtype=bool)
    bands = [close_hashes(hashes, band_values(hashes, band), nobody, distance, 16) for band in range(BANDS)]
    found = components(Edges.join(bands))
    assert dict(zip(*(column.tolist() for column in found), strict=True)) == brute_force(hashes, distance)


def test_a_crowd_is_joined_without_comparing_all_its_pairs() -> None:
    rng = np.random.default_rng(1)
    centre = rng.integers(0, 256, 32, dtype=np.uint8)
    crowd = np.stack([flipped(centre, 6, rng) for _ in range(20_000)])
    crowd[0] = centre
    edges = close_hashes(crowd, band_values(crowd, 0), np.zeros(20_000, dtype=bool), 31, 16)
    assert len(edges) == 19_999


def test_distances_are_written_out() -> None:
    zero, ones = np.zeros((1, 32), np.uint8), np.full((1, 32), 255, np.uint8)
    five = zero.copy()
    five[0, [0, 31]] = (0b10110, 0b11)
    assert distances(zero, ones).tolist() == [256]
    assert distances(zero, five).tolist() == [5]
    assert distances(five, five).tolist() == [0]
    assert band_values(five, 0).tolist() == [0b10110 << 8]
    assert band_values(five, 15).tolist() == [0b11]
