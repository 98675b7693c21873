from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.matching.contests import (
    BINS,
    Cut,
    bin_count,
    bins,
    divide,
    enter,
    find_cuts,
    over_all,
    places,
    settle_all,
    settle_bucket,
    settle_cut,
)
from beam_jobs.matching.unique import layout
from schemas.recipe import parse_recipe
from schemas.recipe_steps import Mix, Sample, Top

# sha256 begins: u3 011e, u9 553f, u5 5850, u2 6ca2, u6 71ea, u0 9dc0, u1 bb82, u8 c899, u7 e818, u4 e9c9
SCORES = [0.5, 0.9, None, 0.5, -0.1, 0.5, float("nan"), 0.7, 0.0, -0.0]
GROUPS = ["a", "a", "a", "b", "b", None, None, "b", None, "a"]
TABLE = pa.table({"uid": [f"u{n}" for n in range(10)], "score": pa.array(SCORES, pa.float32()), "cluster": GROUPS})
ALL = np.arange(10)


def top(text: str) -> Top | Sample:
    step = parse_recipe(f"name: a\nselect: [{{{text}}}]", "a.yaml").select[0]
    assert isinstance(step, (Top, Sample))
    return step


def mix(text: str) -> Mix:
    step = parse_recipe(f"name: a\nselect: [{{mix: [{text}]}}]", "a.yaml").select[0]
    assert isinstance(step, Mix)
    return step


def losers_over_all(contest: Top | Sample | Mix, shards: int) -> list[int]:
    entered = [enter(contest, TABLE, shard=0, rows=ALL[start::shards]) for start in range(shards)]
    lost = [row for _, out in entered for row in out["row"].tolist()]
    counts = np.zeros(bin_count(contest), dtype=np.int64)
    for keyed, _ in entered:
        np.add.at(counts, bins(keyed), 1)
    cut = find_cuts(counts, contest)
    compared = [divide(keyed, cut) for keyed, _ in entered]
    lost += [row for _, out in compared for row in out["row"].tolist()]
    lost += settle_cut([open_.tobytes() for open_, _ in compared], cut, contest)["row"].tolist()
    return sorted(lost)


@pytest.mark.parametrize("shards", [1, 2, 3, 10])
@pytest.mark.parametrize(
    ("contest", "lost"),
    [
        # Of 0.9 (u1), 0.7 (u7), 0.5 (u3, u5, u0), 0 (u9, u8), -0.1 (u4), none (u2, u6):
        ("top_k: 1, by: [-score]", [0, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("top_k: 3, by: [-score]", [0, 2, 4, 5, 6, 8, 9]),
        ("top_k: 6, by: [-score]", [2, 4, 6, 8]),
        ("top_k: 9, by: [-score]", [6]),
        ("top_k: 10, by: [-score]", []),
        ("top_k: 99, by: [-score]", []),
        ("top_k: 2, by: [score]", [0, 1, 2, 3, 5, 6, 7, 8]),
        ("top_fraction: 0.3, by: [-score]", [0, 2, 4, 5, 6, 8, 9]),
        ("top_fraction: 0.05, by: [-score]", list(range(10))),
        ("top_fraction: 1, by: [-score]", []),
        # By value: as good as the row behind the last place. Place 2 (from 0) has 0.5, as u3, u5 and u0 have.
        ("top_k: 2, by: [-score], cut: value", [2, 4, 6, 8, 9]),
        ("top_k: 3, by: [-score], cut: value", [2, 4, 6, 8, 9]),
        ("top_k: 5, by: [-score], cut: value", [2, 4, 6]),
        ("top_fraction: 0.3, by: [-score], cut: value", [2, 4, 6, 8, 9]),
        ("top_k: 8, by: [-score], cut: value", []),
        ("top_k: 10, by: [-score], cut: value", []),
    ],
)
def test_the_best_of_all_rows_stay_and_ties_fall_to_the_order_of_uids(
    contest: str, lost: list[int], shards: int
) -> None:
    assert losers_over_all(top(contest), shards) == lost


@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize(
    ("contest", "lost"),
    [
        # a: u1 0.9, u0 0.5, u9 0, u2 none. b: u7 0.7, u3 0.5, u4 -0.1. no cluster: u5 0.5, u8 0, u6 none.
        ("top_k: 1, by: [-score], per: [cluster]", [0, 2, 3, 4, 6, 8, 9]),
        ("top_k: 2, by: [-score], per: [cluster]", [2, 4, 6, 9]),
        ("top_fraction: 0.5, by: [-score], per: [cluster]", [2, 3, 4, 6, 8, 9]),
        ("top_k: 1, by: [-score], per: [cluster], cut: value", [2, 4, 6, 9]),
        ("top_k: 3, by: [-score], per: [cluster], cut: value", []),
    ],
)
def test_the_best_of_each_group_stay(contest: str, lost: list[int], shards: int) -> None:
    step = top(contest)
    entered = [enter(step, TABLE, shard=0, rows=ALL[start::shards]) for start in range(shards)]
    found = [row for _, out in entered for row in out["row"].tolist()]
    found += settle_bucket(step, [keyed.tobytes() for keyed, _ in entered])["row"].tolist()
    assert sorted(found) == lost


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(
    ("contest", "lost"),
    [
        # sha256 of "0:u<n>" begins: u3 110e, u8 3cc7, u7 409e, u5 414c, u2 4846, u6 54f0 ...
        ("sample: 3", [0, 1, 2, 4, 5, 6, 9]),
        ("sample: 0.5", [0, 1, 4, 6, 9]),
        ("sample: 10", []),
        # sha256 of "7:u<n>" begins: u6 0270, u4 04f3, u1 07b9, u8 3804 ...
        ("sample: 3, seed: 7", [0, 2, 3, 5, 7, 8, 9]),
    ],
)
def test_a_sample_is_drawn_by_seed_and_uid_and_nests(contest: str, lost: list[int], shards: int) -> None:
    assert losers_over_all(top(contest), shards) == lost


def test_only_a_top_over_all_rows_cannot_be_parted_into_buckets() -> None:
    assert over_all(top("top_k: 1, by: [score]"))
    assert not over_all(top("top_k: 1, by: [score], per: [cluster]"))


def test_a_fraction_is_taken_as_written() -> None:
    assert places(top("top_fraction: 0.29, by: [score]"), 100) == 29
    assert places(top("top_fraction: 0.3, by: [score]"), 10) == 3
    assert places(top("top_fraction: 1e-3, by: [score]"), 2999) == 2


def test_bins_have_the_order_of_values() -> None:
    values = [-np.inf, -2.0, -1.0, -0.5, -0.0, 0.0, 1e-300, 0.25, 0.26, 1.0, 2.0, np.inf]
    keyed = np.zeros(len(values), dtype=layout(1))
    keyed["by_0"] = values
    found = bins(keyed)
    assert found.tolist() == sorted(found.tolist())
    assert found[4] == found[5] and found[7] < found[8]
    assert found[0] >= 0
    assert found[-1] < BINS


def test_no_rows_leave_no_places() -> None:
    assert find_cuts(np.zeros(BINS, dtype=np.int64), top("top_k: 5, by: [score]")) == (Cut(0, 0),)


HALVES = "{share: 0.5, where: cluster = 'a'}, {share: 0.5, where: cluster = 'b'}"


@pytest.mark.parametrize("shards", [1, 3, 10])
@pytest.mark.parametrize(
    ("parts", "lost"),
    [
        # In the order of seed 0: u2 u1 u0 u9 of a, u3 u7 u4 of b, u8 u5 u6 of none.
        (HALVES, [5, 6, 8, 9]),
        ("{share: 0.25, where: cluster = 'a'}, {share: 0.75, where: cluster = 'b'}", [0, 1, 5, 6, 8, 9]),
        ("{share: 0.6, where: cluster is not null}, {share: 0.4, where: uid > ''}", [0, 4, 9]),
        ("{share: 0.5, where: cluster = 'a'}, {share: 0.5, where: cluster = 'c'}", list(range(10))),
    ],
)
def test_a_mix_keeps_as_many_rows_as_its_shares_allow(parts: str, lost: list[int], shards: int) -> None:
    contest = mix(parts)
    assert losers_over_all(contest, shards) == lost
    entered, out = enter(contest, TABLE, shard=0, rows=ALL)
    assert sorted([*out["row"].tolist(), *settle_all(contest, entered)[1]["row"].tolist()]) == lost
