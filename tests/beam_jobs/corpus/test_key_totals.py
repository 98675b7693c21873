"""Totals of keys over parts: sums, ranks, and no dependence on order or buckets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.corpus.hashing import KeyIndex, different, draws, joined, text_keys
from beam_jobs.corpus.tallies import Counted, Spectrum, by_bucket, count, join_counted, settle, totals_of


def keys(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def totals(parts: dict[int, Counted], buckets: int, *, backwards: bool = False) -> tuple[Counted, dict[int, Counted]]:
    """What a stage finds out, bucket by bucket."""
    held: dict[int, list[bytes]] = {}
    for part, counted in sorted(parts.items(), reverse=backwards):
        for bucket, blob in by_bucket(counted, buckets, part=part):
            held.setdefault(bucket, []).append(blob)
    packed = []
    answers: dict[int, list[bytes]] = {part: [] for part in parts}
    for blobs in held.values():
        settled, told = settle(blobs)
        packed.append(settled.pack())
        for part, blob in told:
            answers[part].append(blob)
    return totals_of([b"", *packed]), {part: parts[part].with_totals(answers[part]) for part in parts}


def test_keys_of_texts_stay_what_they_are() -> None:
    found = text_keys(pa.array(["dog", "", None, "dog", "Hund"]))
    # As `b2sum --length=64` prints them.
    dog, empty, hund = "3984c7c1d25e9c9f", "e4a6a0577479b2b4", "7e52579bcef29057"
    assert [key.to_bytes(8, "little").hex() for key in found.tolist()] == [dog, empty, empty, dog, hund]
    assert text_keys(pa.array(["dog"]), salt=b"other")[0] != found[0]


def test_a_joined_key_knows_the_order() -> None:
    assert joined(keys(1), keys(2)).tolist() != joined(keys(2), keys(1)).tolist()


def test_draws_are_even() -> None:
    drawn = draws(np.arange(100_000, dtype=np.uint64))
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.abs(np.histogram(drawn, bins=10, range=(0, 1))[0] - 10_000).max() < 400


def test_an_index_finds_each_key_and_no_other() -> None:
    draw = np.random.default_rng(0)
    ordered = different(draw.integers(0, 2**64, 5_000, dtype=np.uint64))
    others = draw.integers(0, 2**64, 5_000, dtype=np.uint64)
    index = KeyIndex(ordered)
    assert index.find(ordered).tolist() == list(range(5_000))
    assert set(index.find(others).tolist()) == {-1}
    # All below one upper part: a table of upper bits is of no use, the answers are the same.
    assert KeyIndex(keys(1, 5, 9)).find(keys(0, 1, 4, 5, 9, 10)).tolist() == [-1, 0, -1, 1, 2, -1]
    assert KeyIndex(keys()).find(keys(3)).tolist() == [-1]


def test_counts_are_summed_by_key() -> None:
    counted = count(keys(7, 3, 7, 7), np.array([1, 10, 2, 4]))
    assert counted.keys.tolist() == [3, 7] and counted.counts.tolist() == [10, 7]
    both = join_counted([counted, count(keys(9, 3))])
    assert both.keys.tolist() == [3, 7, 9] and both.counts.tolist() == [11, 7, 1]
    assert both.of(keys(9, 3, 9)).tolist() == [1, 11, 1]


@pytest.mark.parametrize("buckets", [1, 3, 64])
@pytest.mark.parametrize("backwards", [False, True])
def test_totals_come_back_to_every_part(buckets: int, backwards: bool) -> None:
    parts = {0: count(keys(1, 1, 2, 3)), 1: count(keys(2, 4)), 2: count(keys(1, 2, 5))}
    together, found = totals(parts, buckets, backwards=backwards)
    assert {part: dict(zip(each.keys.tolist(), each.counts.tolist(), strict=True)) for part, each in found.items()} == {
        0: {1: 3, 2: 3, 3: 1},
        1: {2: 3, 4: 1},
        2: {1: 3, 2: 3, 5: 1},
    }
    assert together.keys.tolist() == [1, 2, 3, 4, 5] and together.counts.tolist() == [3, 3, 1, 1, 1]
    assert together.at(keys(5, 6, 1)).tolist() == [1, 0, 3]
    spectrum = Spectrum.of(together.counts)
    assert spectrum.totals.tolist() == [1, 3] and spectrum.keys.tolist() == [3, 2]


def test_what_only_one_part_has_is_not_sent_back() -> None:
    held = [
        blob
        for part, each in {0: count(keys(1, 2)), 1: count(keys(2))}.items()
        for _, blob in by_bucket(each, 1, part=part)
    ]
    answers = dict(settle(held)[1])
    assert {part: len(blob) for part, blob in answers.items()} == {0: 24 + 16, 1: 24 + 16}


def test_who_only_asks_adds_nothing() -> None:
    asking = next(iter(by_bucket(count(keys(1, 6)), 1, part=4, counted=False)))[1]
    giving = [next(iter(by_bucket(count(keys(1, 1, 6)), 1)))[1], next(iter(by_bucket(count(keys(1)), 1)))[1]]
    settled, answers = settle([asking, *giving])
    assert count(keys(1, 6)).with_totals([blob for _, blob in answers]).counts.tolist() == [3, 1]
    assert settled.keys.tolist() == [1, 6] and settled.counts.tolist() == [3, 1]
    assert len(totals_of([])) == 0


def test_the_rank_is_the_lowest_place_of_those_of_one_count() -> None:
    # Counts in a row: 9, 4, 4, 4, 1, 1.
    spectrum = Spectrum(np.array([1, 4, 9]), np.array([2, 3, 1]))
    assert spectrum.rank(np.array([9, 4, 1, 0])).tolist() == [1, 2, 5, 7]
    joined_spectrum = Spectrum.joined([Spectrum.of(np.array([4, 1, 9])), Spectrum.of(np.array([4, 4, 1]))])
    assert joined_spectrum.totals.tolist() == [1, 4, 9] and joined_spectrum.keys.tolist() == [2, 3, 1]
    assert Spectrum.joined([]).rank(np.array([0])).tolist() == [1]
