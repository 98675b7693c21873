"""What a recipe is given: filled in where it stands, and refused unless it is just what the recipe asks for."""

from __future__ import annotations

import pytest

from schemas.recipe import parse_recipe
from schemas.recipe_given import parse_given
from schemas.recipe_steps import Listed
from schemas.refusal import Refusal

RECIPE = """
name: a
given:
  blocked: hosts to leave out, one a line
  head: weights of the linear head
preselect:
  - drop_listed: {by: domain, file: given:blocked}
score:
  - head: {weights: [given:head]}
"""


def test_what_is_given_stands_where_the_recipe_names_it() -> None:
    text = RECIPE
    recipe = parse_recipe(text, "a.yaml", {"blocked": "s3://lists/b.txt", "head": "h.pt"})
    (step,) = recipe.preselect
    assert isinstance(step, Listed) and step.file == "s3://lists/b.txt"
    assert recipe.score == ({"head": {"weights": ["h.pt"]}},)
    unfilled = parse_recipe(text, "a.yaml")
    assert unfilled.score == ({"head": {"weights": ["given:head"]}},)
    assert unfilled.to_json()["given"] == {
        "blocked": "hosts to leave out, one a line",
        "head": "weights of the linear head",
    }


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("name: a", {"x": "y"}, "a.yaml: --given: unknown name 'x'; this recipe is given: nothing"),
        (
            "name: a\ngiven: {list: uids}\npreselect: [drop_listed: {by: uid, file: given:list}]",
            {},
            "a.yaml: --given list=VALUE is missing: uids",
        ),
        (
            "name: a\ngiven: {list: uids}\npreselect: [drop_listed: {by: uid, file: given:lists}]",
            None,
            "a.yaml: preselect[0].drop_listed.file: 'given:lists' is not declared in the recipe's section `given`; "
            "declared: list",
        ),
        ("name: a\ngiven: {list: uids}", None, "a.yaml: given: 'list' is declared and nowhere used; write given:list"),
        ("name: a\ngiven: {List: uids}", None, "a.yaml: given: expected a name of lower-case letters"),
        ("name: a\ngiven: {list: 3}", None, "a.yaml: given.list: expected a text; given 3"),
    ],
)
def test_what_is_not_asked_for_or_not_given_is_refused(text: str, given: dict[str, str] | None, expected: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_recipe(text, "a.yaml", given)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("argument", ["list", "=x", "list=", "List=x"])
def test_an_argument_is_a_name_and_a_value(argument: str) -> None:
    with pytest.raises(Refusal, match="--given: expected NAME=VALUE; given"):
        parse_given([argument])


def test_a_name_is_given_once() -> None:
    assert parse_given(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(Refusal, match="--given: 'a' is given twice"):
        parse_given(["a=1", "a=2"])
