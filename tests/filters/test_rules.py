from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from filters.rules import PASSES, columns_read, first_failing, judge
from schemas.recipe import parse_recipe
from schemas.recipe_steps import Balance, Rule, Step
from schemas.refusal import Refusal

TABLE = pa.table(
    {
        "similarity": pa.array([0.3, 0.1, None, float("nan"), 0.9, 0.05], pa.float32()),
        "text": ["a red square", "a red square", "a red square", "a red square", "abc", None],
    }
)


def steps(text: str) -> tuple[Step, ...]:
    return parse_recipe(f"name: a\nselect: [{text}]", "a.yaml").select


def rules(text: str) -> list[Rule]:
    return [step for step in steps(text) if isinstance(step, Rule)]


def test_keep_keeps_only_what_is_true_and_drop_drops_only_what_is_true() -> None:
    keep = rules("{keep: similarity >= 0.3, reason: below}")
    assert judge(TABLE, keep).to_pylist() == [None, "below", "below", "below", None, "below"]
    drop = rules("{drop: similarity < 0.3, reason: below}")
    assert judge(TABLE, drop).to_pylist() == [None, "below", None, None, None, "below"]
    assert judge(TABLE, rules("{drop: length(text) < 5, reason: short}")).to_pylist() == [None] * 4 + ["short", None]
    assert judge(TABLE, rules("{keep: length(text) >= 5, reason: short}")).to_pylist() == [None] * 4 + ["short"] * 2


def test_the_first_rule_that_fails_is_the_reason() -> None:
    both = "{keep: length(text) >= 5, reason: short}, {keep: similarity >= 0.2, reason: below}"
    assert judge(TABLE, rules(both)).to_pylist() == [None, "below", "below", "below", "short", "short"]
    turned = "{keep: similarity >= 0.2, reason: below}, {keep: length(text) >= 5, reason: short}"
    assert judge(TABLE, rules(turned)).to_pylist() == [None, "below", "below", "below", "short", "below"]


def test_positions_of_rules_are_given_as_numbers() -> None:
    both = rules("{keep: length(text) >= 5, reason: short}, {keep: similarity >= 0.2, reason: below}")
    failed = first_failing(TABLE, both)
    assert failed.dtype == np.int16
    assert failed.tolist() == [PASSES, 1, 1, 1, 0, 0]


def test_no_rules_and_no_rows_fail_nothing() -> None:
    assert judge(TABLE, []).to_pylist() == [None] * 6
    assert judge(TABLE.slice(0, 0), rules("{keep: similarity >= 0.2, reason: below}")).to_pylist() == []


def test_batches_and_chunks_are_judged_alike() -> None:
    both = rules("{keep: length(text) >= 5, reason: short}, {keep: similarity >= 0.2, reason: below}")
    expected = [None, "below", "below", "below", "short", "short"]
    chunked = pa.concat_tables([TABLE.slice(0, 2), TABLE.slice(2)])
    assert judge(chunked, both).to_pylist() == expected
    assert judge(TABLE.to_batches()[0], both).to_pylist() == expected


def test_columns_read_are_those_of_rules_and_contests_once() -> None:
    found = steps(
        "{keep: width > 1 and length(text) > 2, reason: a}, {unique: [url, text], prefer: [-similarity, width]}, "
        "{top_k: 5, by: [-aesthetic], per: [cluster]}"
    )
    assert columns_read(found) == ("width", "text", "url", "similarity", "cluster", "aesthetic")


def test_a_malformed_rule_is_refused_at_its_place() -> None:
    with pytest.raises(Refusal) as caught:
        columns_read(steps("{keep: width >, reason: a}"))
    assert str(caught.value).startswith("a.yaml: select[0].keep: cannot parse 'width >'")


# Drawn with seed 0: u0 .753, u1 .968, u2 .986, u3 .923, u4 .679, u5 .287; with seed 1: .143 .794 .799 .483 .459 .265
DRAWN = pa.table(
    {"uid": [f"u{n}" for n in range(6)], "count": [10, 10, 100, 1, 20, 40], "rate": [0.7, 0.97, 0.9, 1.0, 0.9, None]}
)


@pytest.mark.parametrize(
    ("step", "stays"),
    [
        ("{balance: rate}", [1, 3, 4]),
        ("{balance: rate, seed: 1}", [0, 1, 2, 3, 4]),  # an unknown rate is no chance
        ("{balance: '10.0 / greatest(count, 10)'}", [0, 1, 3]),  # 1, 1, 0.1, 1, 0.5, 0.25
        ("{balance: '10.0 / greatest(count, 10)', seed: 1}", [0, 1, 3, 4]),
        ("{balance: '12.0 / greatest(count, 12)'}", [0, 1, 3, 5]),  # 0.6 for u4, 0.3 for u5
    ],
)
def test_a_row_stays_with_its_probability(step: str, stays: list[int]) -> None:
    (balance,) = steps(step)
    assert isinstance(balance, Balance)
    failed = first_failing(DRAWN, [balance])
    assert np.flatnonzero(failed == PASSES).tolist() == stays


def test_so_many_rows_stay_as_their_probability_says() -> None:
    (balance,) = steps("{balance: p}")
    rows = pa.table({"uid": [f"{n:032x}" for n in range(20_000)], "p": np.repeat([0.02, 0.5], 10_000)})
    assert isinstance(balance, Balance)
    stays = first_failing(rows, [balance]) == PASSES
    # Four standard deviations: 14 and 50 rows.
    assert abs(int(stays[:10_000].sum()) - 200) < 56 and abs(int(stays[10_000:].sum()) - 5_000) < 200
