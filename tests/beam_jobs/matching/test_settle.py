"""Who survives: every rule with its expected survivor written out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from beam_jobs.matching.settle import settle


def copies(*rows: tuple[int, str, float, float]) -> pa.Table:
    ids, uids, first, second = zip(*rows, strict=True)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "uid": pa.array(uids),
            "by_0": pa.array(first, pa.float64()),
            "by_1": pa.array(second, pa.float64()),
        }
    )


def survivors(table: pa.Table, labels: list[int]) -> dict[int, tuple[str, int, str]]:
    made = settle(table, np.array(labels))
    return {row["id"]: (row["group"], row["size"], row["survivor"]) for row in made.to_pylist()}


def test_the_first_preference_decides() -> None:
    table = copies((1, "cc", -100, -9), (2, "bb", -400, -1), (3, "aa", -200, -5))
    assert survivors(table, [0, 0, 0]) == {1: ("aa", 3, "bb"), 2: ("aa", 3, "bb"), 3: ("aa", 3, "bb")}


def test_the_second_preference_decides_between_equals() -> None:
    table = copies((1, "cc", -400, -9), (2, "bb", -400, -1), (3, "aa", -200, -50))
    assert survivors(table, [0, 0, 0])[2] == ("aa", 3, "cc")


def test_ties_go_to_the_lowest_uid_whatever_the_order_of_rows() -> None:
    table = copies((3, "cc", -1, -1), (2, "bb", -1, -1), (1, "dd", -1, -1))
    expected = {1: ("bb", 3, "bb"), 2: ("bb", 3, "bb"), 3: ("bb", 3, "bb")}
    assert survivors(table, [5, 5, 5]) == expected
    assert survivors(table.take([2, 0, 1]), [5, 5, 5]) == expected


def test_an_unknown_preference_is_the_worst() -> None:
    table = copies((1, "aa", float("nan"), -1), (2, "bb", 7, -1))
    assert survivors(table, [0, 0])[1] == ("aa", 2, "bb")


def test_rows_alone_are_not_told_anything() -> None:
    table = copies((1, "aa", 0, 0), (2, "bb", 0, 0), (3, "cc", 0, 0), (4, "dd", 0, 0))
    assert survivors(table, [9, 8, 9, 7]) == {1: ("aa", 2, "aa"), 3: ("aa", 2, "aa")}


def test_rows_of_one_uid_stay_apart_by_their_place() -> None:
    table = copies((5, "aa", 0, 0), (4, "aa", 0, 0))
    made = settle(table, np.array([0, 0]))
    assert made["survivor_id"].to_pylist() == [4, 4]
