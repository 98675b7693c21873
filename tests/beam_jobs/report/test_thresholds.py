"""Where rules cut, read off their texts."""

from __future__ import annotations

import pytest

from beam_jobs.report.thresholds import cuts_of, steps_of


@pytest.mark.parametrize(
    ("expression", "cuts"),
    [
        ("clip_similarity >= 0.3", [("clip_similarity", ">=", 0.3)]),
        ("0.28 <= sim", [("sim", ">=", 0.28)]),
        ("entropy > 2.5 and entropy <= 7.75", [("entropy", ">", 2.5), ("entropy", "<=", 7.75)]),
        ("words between 3 and 20", [("words", ">=", 3.0), ("words", "<=", 20.0)]),
        ("width >= 200 AND height>=-1e2", [("width", ">=", 200.0), ("height", ">=", -100.0)]),
        ("greatest(width, height) / least(width, height) <= 3", []),
        ("width / height < 3", []),
        ("width < 3 * height", []),
        ("language = 'x > 3'", []),
        ("length(text) > 5", []),
    ],
)
def test_plain_comparisons_of_a_keep_rule(expression: str, cuts: list[tuple[str, str, float]]) -> None:
    found = cuts_of({"select": [{"keep": expression, "reason": "r"}]})
    assert [(cut.column, cut.operator, cut.value) for cut in found] == cuts


def test_a_drop_rule_keeps_the_other_side() -> None:
    [cut] = cuts_of({"preselect": [{"drop": "text_length < 5", "reason": "short"}]})
    assert (cut.column, cut.operator, cut.value, cut.keeps_high) == ("text_length", ">=", 5.0, True)
    assert cut.step.reason == "short"


def test_a_top_fraction_cuts_where_only_the_run_knows() -> None:
    [cut] = cuts_of({"select": [{"top_fraction": 0.3, "by": ["-score", "width"]}]})
    assert (cut.column, cut.operator, cut.value) == ("score", ">=", None)
    assert cuts_of({"select": [{"top_k": 5, "by": ["score"], "per": ["cluster"]}]}) == ()


def test_steps_as_they_are_written_and_what_they_read() -> None:
    recipe = {
        "preselect": [{"unique": ["url", "text"], "prefer": ["-width"]}],
        "select": [
            {"keep": "least(width, height) >= 64", "reason": "small"},
            {"keep": "no ( such > language", "reason": "odd"},
            {"top_k": 7, "by": ["-score", "width"], "reason": "not_best"},
            {"sample": 0.1, "seed": 3},
        ],
    }
    assert [(step.section, step.written, step.reason, step.reads) for step in steps_of(recipe)] == [
        ("preselect", "unique: [url, text], prefer: [-width]", "duplicate", ("url", "text")),
        ("select", "keep: least(width, height) >= 64", "small", ("width", "height")),
        ("select", "keep: no ( such > language", "odd", ()),
        ("select", "top_k: 7, by: [-score, width]", "not_best", ("score",)),
        ("select", "sample: 0.1", "not_sampled", ()),
    ]


def test_lists_draws_and_mixes_as_they_are_written() -> None:
    parts = [{"share": 0.9, "where": "language = 'en'"}, {"share": 0.1, "where": "language <> 'en'"}]
    recipe = {
        "preselect": [{"drop_listed": {"by": "domain", "of": "page_url", "sha256": "ab"}}],
        "select": [{"balance": "rate / 2", "seed": 1}, {"mix": parts, "seed": 0, "reason": "too_many"}],
    }
    assert [(step.written, step.reason, step.reads) for step in steps_of(recipe)] == [
        ("drop_listed: domain", "listed", ("page_url",)),
        ("balance: rate / 2", "not_drawn", ("rate",)),
        ("mix: 0.9 where language = 'en', 0.1 where language <> 'en'", "too_many", ()),
    ]
    assert cuts_of(recipe) == ()
