from __future__ import annotations

import pytest

from schemas.recipe import parse_recipe
from schemas.refusal import Refusal


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("bins", "columns[0]: expected a mapping of keys to values; given 'bins'"),
        ("{of: a, as: b}", "columns[0]: expected one of bins, weight; given keys: of, as"),
        ("{bins: 1, of: a, as: b}", "columns[0].bins: expected a whole number from 2 to 1024; given 1"),
        ("{bins: 2, as: b}", "columns[0]: expected `of`: the name of a column"),
        ("{bins: 2, of: a}", "columns[0]: expected `as`: the name of a column"),
        ("{bins: 2, of: a, as: B}", "columns[0].as: expected the name of a column; given 'B'"),
        ("{bins: 2, of: a, as: b, cut: log}", "columns[0].cut: expected one of equal_width, equal_count; given 'log'"),
        (
            "{bins: 2, of: a, as: b, edges: [0, 1]}",
            "columns[0].edges: expected 3 rising numbers, the edges of 2 bins; given [0, 1]",
        ),
        (
            "{bins: 2, of: a, as: b, edges: [0, 1, 1]}",
            "columns[0].edges: expected 3 rising numbers, the edges of 2 bins; given [0, 1, 1]",
        ),
        ("{bins: 2, of: a, as: b, edges: [0, x, 1]}", "columns[0].edges[1]: expected a number; given 'x'"),
        (
            "{bins: 2, of: a, as: b, cut: equal_count, edges: [0, 1, 2]}",
            "columns[0]: expected `cut` or `edges`, not both: edges are the cut",
        ),
        ("{weight: a * 2, as: w, mean: a}", "columns[0]: unknown key 'mean'; known: weight, as, means"),
        ("{weight: 2, as: w}", "columns[0].weight: expected a text; given 2"),
        ("{weight: a, as: w}, {weight: b, as: w}", "columns[1]: the column 'w' is made twice"),
        ("{bins: 2, of: a, as: w}, {weight: b, as: w_low}", "columns[1]: the column 'w_low' is made twice"),
    ],
)
def test_an_entry_that_is_wrong_is_refused_at_its_place(entry: str, expected: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_recipe(f"name: a\ncolumns: [{entry}]", "a.yaml")
    assert str(caught.value) == f"a.yaml: {expected}"


def test_an_entry_says_what_it_is_made_of() -> None:
    text = "name: a\ncolumns: [{bins: 2, of: a, as: b}, {weight: a - m, as: w, means: {m: a}}]"
    assert parse_recipe(text, "a.yaml").section("select")["columns"] == [
        {"bins": 2, "of": "a", "as": "b", "cut": "equal_width"},
        {"weight": "a - m", "as": "w", "means": {"m": "a"}},
    ]
