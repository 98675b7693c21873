"""Texts made of a sample by a recipe's definitions: each step, each draw, and the same ones for the same seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from captioners.made_texts import make_texts
from schemas.recaption import parse_recaption
from schemas.recipe_text import Place, read_yaml
from schemas.refusal import Refusal

SAMPLE = {
    "text": "A dog on a beach",
    "alts": ["A dog", "Beach day"],
    "long": "A brown dog runs. The sea is calm.\nA ball lies there.",
    "several": "second",
    "several_captions": ["first.", "second", "third"],
    "several_similarities": [0.1, 0.5, 0.3],
    "none": None,
}
KNOWN = {
    **dict.fromkeys(("text", "long", "none", "several"), "string"),
    "alts": "list<string>",
}


FORMS = "recaption.texts[0]: expected one of `of`, `p_original`, `one_of`, `template`"


def section(texts: str, **more: Any) -> Any:
    captioners = [{"label": "several", "prompt": "p", "decoding": {"n": 3, "temperature": 1.0}}]
    return parse_recaption(
        {"captioners": captioners, "texts": read_yaml(texts, "mine.yaml"), **more}, Place("mine.yaml", ("recaption",))
    )


def made(texts: str, uid: str = "u", epoch: int = 0, seed: int = 0, **options: Any) -> dict[str, Any]:
    parsed = section(texts)
    kinds = parsed.text_kinds(KNOWN)
    return dict(make_texts(parsed.texts, SAMPLE, kinds=kinds, seed=seed, uid=uid, epoch=epoch, **options))


@pytest.mark.parametrize(
    ("of", "steps", "expected"),
    [
        ("long", "[split]", ["A brown dog runs", "The sea is calm", "A ball lies there"]),
        ("long", "[first_sentence]", "A brown dog runs."),
        ("long", "[cut_at_full_stop]", "A brown dog runs"),
        ("long", "[{shear: text}]", "A brown dog runs. The"),
        ("long", "[{truncate: 2}]", "A brown"),
        ("alts", "[{join: '; '}]", "A dog; Beach day"),
        ("alts", "[first]", "A dog"),
        ("[text, alts, text]", "[unique]", ["A dog on a beach", "A dog", "Beach day"]),
        ("several", "[]", ["first.", "second", "third"]),
        ("several", "[most_similar]", "second"),
        ("none", "[split]", None),
    ],
)
def test_steps(of: str, steps: str, expected: Any) -> None:
    assert made(f"[{{as: made, of: {of}, steps: {steps}}}]") == {"made": expected}


def test_what_is_missing_has_a_stand_in() -> None:
    assert made("[{as: made, of: none, otherwise: text}]") == {"made": "A dog on a beach"}


def test_a_chain_may_want_another_source_to_be_there() -> None:
    texts = "[{as: a, of: long, steps: [first_sentence], where: none, otherwise: text}, {as: b, of: text, where: long}]"
    assert made(texts) == {"a": "A dog on a beach", "b": "A dog on a beach"}


def test_templates_take_the_chosen_caption_and_nothing_where_one_is_missing() -> None:
    texts = "[{as: one, template: '{text}: {several}'}, {as: other, template: '{text} {none}'}]"
    assert made(texts) == {"one": "A dog on a beach: second", "other": None}


def test_texts_made_above_are_sources() -> None:
    texts = "[{as: parts, of: long, steps: [split]}, {as: two, of: parts, steps: [{sample: 2}, {join: ' / '}]}]"
    parts = made(texts)["two"].split(" / ")
    assert len(set(parts)) == 2 and set(parts) < {"A brown dog runs", "The sea is calm", "A ball lies there"}


def test_flairs_merges_are_of_one_to_three_parts() -> None:
    texts = "[{as: made, of: long, steps: [split, {merge: {count: 8, most: 3, consecutive: 0.5}}]}]"
    several = [made(texts, uid=str(number))["made"] for number in range(50)]
    assert {len(each) for each in several} == {8}
    assert {len(text.split(". ")) for each in several for text in each} == {1, 2, 3}


def test_p_original_is_the_probability_of_the_original() -> None:
    texts = "[{as: made, p_original: 0.8, other: long}]"
    drawn = Counter(made(texts, uid=str(number))["made"] == "A dog on a beach" for number in range(2000))
    assert 1550 < drawn[True] < 1650


def test_a_draw_is_among_those_that_are_there() -> None:
    assert made("[{as: made, p_original: 0.0, other: none}]") == {"made": "A dog on a beach"}
    texts = "[{as: made, one_of: [text, none, alts], weights: [1, 2, 1]}]"
    drawn = Counter(made(texts, uid=str(number))["made"] for number in range(400))
    assert set(drawn) == {"A dog on a beach", "A dog", "Beach day"}
    assert 160 < drawn["A dog on a beach"] < 240


def test_draws_change_with_seed_uid_and_epoch_and_with_nothing_else() -> None:
    texts = "[{as: made, of: long, steps: [split, pick]}]"
    assert made(texts) == made(texts)
    for name in ("uid", "epoch", "seed"):
        assert len({made(texts, **{name: value})["made"] for value in range(20)}) == 3


def test_nouns_stay_longest() -> None:
    tags = {"A": "DT", "dog": "NN", "on": "IN", "a": "DT", "beach": "NN"}
    texts = "[{as: made, of: text, steps: [{syntax: 2}]}]"
    assert made(texts, tagger=lambda words: [tags[word] for word in words]) == {"made": "dog beach"}
    with pytest.raises(ValueError, match="needs a tagger"):
        made(texts)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("[{as: A, of: text}]", "recaption.texts[0].as: expected a name of lower-case letters"),
        ("[{as: a}]", FORMS),
        ("[{as: a, of: text, template: x}]", FORMS),
        (
            "[{as: a, p_original: 2, other: long}]",
            "recaption.texts[0].p_original: expected the probability of the original text, from 0 to 1; given 2",
        ),
        ("[{as: a, p: 0.5, other: long}]", FORMS),
        ("[{as: a, of: text, steps: [{cut: 3}]}]", "recaption.texts[0].steps[0]: unknown step 'cut'; known: split,"),
        ("[{as: a, of: text, steps: [first, most_similar]}]", "recaption.texts[0].steps[1]: most_similar must"),
        ("[{as: a, of: text}, {as: a, of: text}]", "recaption.texts[1]: the text 'a' is made twice"),
        ("[{as: a, of: text, steps: [{sample: 0}]}]", "recaption.texts[0].steps[0].sample: expected a"),
        ("[{as: a, template: no braces}]", "recaption.texts[0].template: expected at least one source in braces"),
    ],
)  # fmt: skip
def test_wrong_definitions_are_refused(texts: str, message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        section(texts)
    assert str(refusal.value).startswith(f"mine.yaml: {message}")


def test_a_source_that_nothing_makes_is_refused() -> None:
    with pytest.raises(Refusal, match=r"recaption\.texts\[0\]: no text 'width' to make it of; known: text, long, none"):
        section("[{as: a, of: width}]").text_kinds({**KNOWN, "width": "int32"})
