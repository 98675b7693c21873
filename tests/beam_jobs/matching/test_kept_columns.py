"""Bins and weights of kept rows: edges and means of all of them, however they lie in shards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.matching.kept_columns import (
    Summary,
    columns_needed,
    facts_of,
    fields_of,
    make_columns,
    open_bins,
    summarize,
    values_in,
)
from schemas.recipe import parse_recipe
from schemas.recipe_columns import Made

VALUES = [0.0, 0.1, None, 0.8, 0.4, float("nan"), 0.35, 0.8, 0.2, 0.5]
TABLE = pa.table({"uid": [f"u{n}" for n in range(10)], "score": pa.array(VALUES, pa.float64()), "width": range(10)})


def entries(text: str) -> tuple[Made, ...]:
    return parse_recipe(f"name: a\ncolumns: [{text}]", "a.yaml").columns


def made(table: pa.Table, columns: Sequence[Made], shards: int) -> tuple[dict[str, object], dict[str, list[object]]]:
    """The facts, and the columns of all rows in order."""
    parts = [table.slice(start) if start == shards - 1 else table.slice(start, 1) for start in range(shards)]
    total: dict[str, Summary] = {}
    for part in reversed(parts):
        for name, summary in summarize(part, columns).items():
            total[name] = total.get(name, Summary()) + summary
    opened = {
        name: np.concatenate([values_in(part, name, wanted) for part in reversed(parts)])
        for name, wanted in open_bins(total, columns).items()
    }
    facts = facts_of(columns, total, opened)
    tables = [pa.table(make_columns(part, columns, facts)) for part in parts]
    return dict(facts), pa.concat_tables(tables).to_pydict()


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_bins_of_equal_width_run_from_the_lowest_to_the_highest_value(shards: int) -> None:
    columns = entries("{bins: 4, of: score, as: grade}")
    facts, found = made(TABLE, columns, shards)
    assert facts == {"grade": {"edges": pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])}}
    # A value on an edge is in the bin above it, the highest one in the last bin.
    assert found["grade"] == [0, 0, None, 3, 2, None, 1, 3, 1, 2]
    assert found["grade_low"][3] == pytest.approx(0.6) and found["grade_high"][0] == pytest.approx(0.2)
    assert found["grade_low"][2] is None and found["grade_high"][5] is None
    assert [field.name for field in fields_of(columns)] == ["grade", "grade_low", "grade_high"]


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_bins_of_equal_count_begin_at_values_of_the_rows(shards: int) -> None:
    facts, found = made(TABLE, entries("{bins: 3, of: score, as: third, cut: equal_count}"), shards)
    # Of 0 0.1 0.2 0.35 0.4 0.5 0.8 0.8 those at places floor(8/3) and floor(16/3).
    assert facts == {"third": {"edges": [0.0, 0.2, 0.5, 0.8]}}
    assert found["third"] == [0, 0, None, 2, 1, None, 1, 2, 1, 2]


def test_places_are_exact_among_many_values() -> None:
    values = np.random.default_rng(0).normal(size=20_001).astype(np.float32)
    table = pa.table({"uid": [str(n) for n in range(len(values))], "score": values})
    facts, _ = made(table, entries("{bins: 7, of: score, as: seventh, cut: equal_count}"), 3)
    ordered = np.sort(values.astype(np.float64))
    expected = [ordered[0], *(ordered[20_001 * n // 7] for n in range(1, 7)), ordered[-1]]
    assert facts == {"seventh": {"edges": expected}}


def test_given_edges_hold_whatever_the_rows_are() -> None:
    facts, found = made(TABLE, entries("{bins: 2, of: score, as: half, edges: [0.1, 0.4, 0.5]}"), 1)
    assert facts == {"half": {"edges": [0.1, 0.4, 0.5]}}
    assert found["half"] == [0, 0, None, 1, 1, None, 0, 1, 0, 1]


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_a_weight_may_read_means_of_all_kept_rows(shards: int) -> None:
    weight = "case when score > average then 1.0 else exp(2.0 * (score - average)) end"
    text = f"{{weight: '{weight}', as: weight, means: {{average: score}}}}"
    facts, found = made(TABLE, entries(text), shards)
    mean = (0.0 + 0.1 + 0.8 + 0.4 + 0.35 + 0.8 + 0.2 + 0.5) / 8
    assert facts == {"weight": {"means": {"average": pytest.approx(mean, rel=1e-15)}}}
    expected: list[float | None] = [
        None if value is None or math.isnan(value) else min(1.0, math.exp(2 * (value - mean))) for value in VALUES
    ]
    assert [value if value is None else round(float(str(value)), 12) for value in found["weight"]] == [
        value if value is None else round(value, 12) for value in expected
    ]
    assert columns_needed(entries(text)) == ("score",)


def test_a_mean_does_not_depend_on_the_order_of_shards() -> None:
    values = [1e16, 1.0, -1e16, 1.0] * 3
    table = pa.table({"uid": [str(n) for n in range(12)], "score": values})
    columns = entries("{weight: score - average, as: w, means: {average: score}}")
    assert [made(table, columns, shards)[0] for shards in (1, 3, 12)] == [{"w": {"means": {"average": 0.5}}}] * 3


def test_of_no_rows_nothing_is_known() -> None:
    columns = entries(
        "{bins: 2, of: score, as: a, cut: equal_count}, {bins: 2, of: score, as: b}, "
        "{weight: score - m, as: w, means: {m: score}}"
    )
    facts, found = made(TABLE.slice(2, 1), columns, 1)
    assert facts == {"a": {"edges": None}, "b": {"edges": None}, "w": {"means": {"m": None}}}
    assert all(values == [None] for values in found.values())
