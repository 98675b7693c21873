from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.matching.unique import (
    Keyed,
    bucket_count,
    by_bucket,
    by_shard,
    key_rows,
    rows_lost,
    settle,
    unpack,
)
from schemas.recipe_steps import Preference

BEST = (Preference("score", descending=True),)
SHARDS = {
    0: [("u0", "a", "x", 0.1), ("u1", "b", "x", 0.9), ("u2", "a", "x", 0.1)],
    1: [("u3", "a", "x", 0.8), ("u4", None, "x", 0.9), ("u5", None, "x", 0.9)],
    7: [("u6", "b", "x", 0.9), ("u7", "ax", "", 0.5), ("u8", "b", "x", float("nan")), ("u9", "b", "x", None)],
}


def table(rows: list[tuple[str, str | None, str, float | None]]) -> pa.Table:
    uid, url, text, score = zip(*rows, strict=True)
    return pa.table(
        {"uid": uid, "url": pa.array(url, pa.string()), "text": text, "score": pa.array(score, pa.float32())}
    )


def lost_rows(shards: dict[int, list], *, prefer: tuple[Preference, ...], buckets: int) -> dict[int, list[int]]:
    found: dict[int, list[bytes]] = {}
    in_buckets: dict[int, list[bytes]] = {}

    def drop(lost: Keyed) -> None:
        for shard, blob in by_shard(lost):
            found.setdefault(shard, []).append(blob)

    for shard, rows in shards.items():
        first, lost = settle(key_rows(table(rows), ["url", "text"], prefer=prefer, shard=shard))
        drop(lost)
        for bucket, blob in by_bucket(first, buckets):
            in_buckets.setdefault(bucket, []).append(blob)
    for blobs in in_buckets.values():
        drop(settle(unpack(blobs, len(prefer)))[1])
    return {shard: rows_lost(blobs).tolist() for shard, blobs in sorted(found.items())}


@pytest.mark.parametrize("buckets", [1, 2, 5, 64])
@pytest.mark.parametrize("order", list(itertools.permutations(SHARDS)))
def test_best_of_equals_stays_whatever_the_buckets_and_the_order_of_arrival(
    buckets: int, order: tuple[int, ...]
) -> None:
    shards = {shard: SHARDS[shard] for shard in order}
    # u3 has the best score of (a, x). Of (b, x), u1 and u6 tie: sha256(u6) = 71ea.. comes before sha256(u1) = bb82..
    assert lost_rows(shards, prefer=BEST, buckets=buckets) == {0: [0, 1, 2], 7: [2, 3]}


def test_without_a_preference_the_order_of_uids_decides() -> None:
    # sha256 begins: u3 011e, u9 553f, u2 6ca2, u6 71ea, u0 9dc0, u1 bb82, u8 c899
    assert lost_rows(SHARDS, prefer=(), buckets=3) == {0: [0, 1, 2], 7: [0, 2]}


def test_equal_uids_leave_the_first_row_of_the_first_shard() -> None:
    same = [("u", "a", "x", None)] * 2
    assert lost_rows({4: same, 2: same}, prefer=(), buckets=1) == {2: [1], 4: [0, 1]}


def test_a_lower_value_wins_when_it_is_preferred() -> None:
    lowest = (Preference("score", descending=False),)
    shards = {0: [("u0", "a", "x", None), ("u1", "a", "x", 0.2), ("u2", "a", "x", 0.1)]}
    assert lost_rows(shards, prefer=lowest, buckets=1) == {0: [0, 1]}


def test_a_null_in_the_key_has_no_equals() -> None:
    keyed = key_rows(table(SHARDS[1]), ["url"], shard=1)
    assert keyed["row"].tolist() == [0]


def test_values_do_not_run_into_each_other() -> None:
    rows = [("u0", "ab", "c", 1.0), ("u1", "a", "bc", 1.0)]
    assert lost_rows({0: rows}, prefer=(), buckets=1) == {}


def test_only_the_rows_that_take_part_lose_or_win() -> None:
    keyed = key_rows(table(SHARDS[0]), ["url", "text"], shard=0, rows=np.array([1, 2]))
    first, lost = settle(keyed)
    assert sorted(first["row"].tolist()) == [1, 2] and len(lost) == 0


def test_empty_shards_make_no_blobs() -> None:
    keyed = key_rows(table(SHARDS[0]).slice(0, 0), ["url", "text"], prefer=BEST, shard=0)
    assert list(by_bucket(keyed, 3)) == [] and list(by_shard(keyed)) == []
    assert rows_lost([]).tolist() == []


@pytest.mark.parametrize(("rows", "buckets"), [(0, 1), (1, 1), (4_000_000, 1), (4_000_001, 2), (10**9, 250)])
def test_buckets_hold_four_million_rows(rows: int, buckets: int) -> None:
    assert bucket_count(rows) == buckets
