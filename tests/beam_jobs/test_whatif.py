"""Another threshold is answered from the columns, as a whole run with it would be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.overview import counts
from beam_jobs.whatif import steps_with
from schemas.recipe import parse_recipe

RunArguments = Callable[[Path], list[str]]

RECIPE = parse_recipe(
    """
name: r
select:
  - keep: a >= 1
    reason: small
  - keep: b >= 1 AND a < 9
    reason: odd
""",
    "r",
)


def test_the_rule_stands_in_for_the_one_over_the_same_columns() -> None:
    found = [step.to_json() for step in steps_with(RECIPE.select, "a >= {x}", "5")]
    assert found == [{"keep": "a >= 5", "reason": "whatif"}, {"keep": "b >= 1 AND a < 9", "reason": "odd"}]


def test_a_rule_over_other_columns_comes_last() -> None:
    found = [step.to_json() for step in steps_with(RECIPE.select, "c < {x}", "0.5")]
    assert found[2] == {"keep": "c < 0.5", "reason": "whatif"}


def test_it_answers_what_a_run_with_that_threshold_answers(
    undisturbed: Path, small_shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threshold = re.search(r"clip_similarity >= ([0-9.]+)", small_shards.read_text())
    assert threshold
    arguments = ["whatif", f"--work={undisturbed}", f"--recipe={small_shards}", "--rule=clip_similarity >= {x}"]
    tars = sorted((undisturbed / "images").glob("*.tar"))
    for tar in tars:
        tar.rename(tar.with_suffix(".away"))
    try:
        assert main([*arguments, f"--values=-1,{threshold[1]},1.01"]) == 0
    finally:
        for tar in tars:
            tar.with_suffix(".away").rename(tar)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:4]]
    kept = next(c["reasons"]["kept"] for c in counts(str(undisturbed)) if c["stage"] == "select/small")
    assert [line[0] for line in lines] == ["-1", threshold[1], "1.01"]
    assert int(lines[0][1]) > kept == int(lines[1][1]) > int(lines[2][1]) == 0
    assert (undisturbed / "report/small/whatif.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        ("clip_similarity >= 0.3", "0.3", "--rule: expected an expression with {x} in it"),
        ("clip_similarity >= {x}", "low", "--values: expected numbers parted by commas; given 'low'"),
        ("beauty >= {x}", "0.3", "select reads no column 'beauty'"),
    ],
)
def test_a_wrong_question_is_refused(
    rule: str,
    values: str,
    expected: str,
    undisturbed: Path,
    small_shards: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["whatif", f"--work={undisturbed}", f"--recipe={small_shards}"]
    assert main([*arguments, f"--rule={rule}", f"--values={values}"]) == 2
    assert expected in capsys.readouterr().err
