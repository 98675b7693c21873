"""Rows fill shards evenly, never beyond the limit, by their uid alone."""

from __future__ import annotations

import numpy as np

from beam_jobs.matching.layout import bin_bits, cut, histogram, orders, shards_of


def lay_out(uids: list[str], rows_per_shard: int) -> np.ndarray:
    places = orders(uids)
    bits = bin_bits(len(uids), rows_per_shard)
    return shards_of(places, cut(histogram(places, bits), rows_per_shard), bits)


def test_shards_are_full_and_none_is_over() -> None:
    shards = lay_out([f"{number:032x}" for number in range(20_000)], 1_000)
    sizes = np.bincount(shards)
    assert sizes.max() <= 1_000
    assert len(sizes) <= 21
    assert sizes[:-1].min() > 950


def test_a_row_s_shard_does_not_depend_on_the_order_of_rows() -> None:
    uids = [f"{number:032x}" for number in range(500)]
    assert lay_out(uids, 100).tolist() == lay_out(uids[::-1], 100)[::-1].tolist()


def test_rows_of_a_shard_are_neighbours_in_the_order_of_uids() -> None:
    uids = sorted((f"{number:032x}" for number in range(500)), key=lambda uid: int(orders([uid])[0]))
    shards = lay_out(uids, 100)
    assert (np.diff(shards) >= 0).all()


def test_a_pair_repeated_beyond_the_limit_has_a_shard_of_its_own() -> None:
    shards = lay_out(["a" * 32] * 50 + ["b" * 32, "c" * 32], 10)
    sizes = np.bincount(shards)
    assert sorted(sizes.tolist()) in ([1, 1, 50], [2, 50])


def test_no_rows_need_no_shard() -> None:
    assert cut(histogram(orders([]), 8), 10).tolist() == []
