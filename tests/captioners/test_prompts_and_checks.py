"""Prompts filled from samples, and what is known of the captions that come back."""

from __future__ import annotations

from typing import Any

import pytest

from captioners.checks import COLUMNS, Said, check_captions, echo, is_refusal, repetition
from captioners.prompts import Prompt, find_prompt, parse_prompts, shipped_prompts
from schemas.refusal import Refusal


def test_the_published_prompt_of_recap_datacomp_is_there_to_the_letter() -> None:
    prompt = find_prompt("recap_datacomp", {})
    assert prompt.id == "recap_datacomp@1"
    assert prompt.text == ("Please generate a detailed caption of this image. Please be as descriptive as possible.")
    assert prompt.evidence


def test_every_shipped_prompt_says_where_its_words_are_from() -> None:
    for prompt in shipped_prompts().values():
        ours = prompt.source.startswith("nobody")
        assert ours or (prompt.evidence is None) != (prompt.approximate is None), prompt.name


def test_values_stand_in_their_places_and_nothing_in_them_is_filled_again() -> None:
    fuse = find_prompt("fuse_realsyn", {})
    assert fuse.placeholders == ("alt", "caption", "tags")
    assert not fuse.image
    filled = fuse.fill({"alt": "my {caption} {0.__class__}", "caption": "a ring", "page_title": "x"})
    assert filled.endswith(
        "Raw caption:<my {caption} {0.__class__}>, synthetic caption:<a ring>, and highly relevant detection tags:<>"
    )


def test_a_long_value_is_cut() -> None:
    prompt = Prompt("p", 1, "{before}!", "ours")
    assert prompt.fill({"before": "a" * 100_000}) == "a" * 4000 + "!"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "recipe.yaml: expected prompts by name; given []"),
        ({"p": "text"}, "recipe.yaml: prompt 'p': expected its options; given 'text'"),
        ({"p": {"version": 1}}, "recipe.yaml: prompt 'p' lacks text, source"),
        ({"p": {"version": "1", "text": "t", "source": "s"}}, "prompt 'p': version must be int; given '1'"),
        ({"p": {"version": 1, "text": "t", "source": "s", "temper": 1}}, "prompt 'p': unknown option 'temper'; known:"),
        ({"p": {"version": 1, "text": "{alts}", "source": "s"}}, "prompt 'p': unknown placeholder 'alts'; known:"),
    ],
)
def test_wrong_prompts_are_refused_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_prompts(given, where="recipe.yaml")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_unknown_prompt_is_refused_with_those_that_exist() -> None:
    with pytest.raises(Refusal, match=r"unknown prompt 'recap'; known: alip, altogether, .*, mine"):
        find_prompt("recap", parse_prompts({"mine": {"version": 1, "text": "t", "source": "s"}}, where="r"))


@pytest.mark.parametrize(
    "caption",
    [
        "I'm sorry, but I can't help with that.",
        "Sorry, I cannot describe this.",
        "I am unable to view images.",
        "As an AI language model, I do not see pictures.",
        "I don’t see an image attached.",
        "Please provide the image you want described.",
        "Unfortunately, no image was provided.",
    ],
)
def test_refusals_are_known(caption: str) -> None:
    assert is_refusal(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "A sign that says sorry, we are closed.",
        "A man who cannot see holds a cane.",
        "The poster reads: I love you.",
        "A robot, an AI assistant, stands on a stage.",
        "Two red rings on a plain white background",
        "",
    ],
)
def test_captions_are_no_refusals(caption: str) -> None:
    assert not is_refusal(caption)


def test_an_echo_is_the_share_of_words_said_before() -> None:
    prompt = "Please generate a detailed caption of this image."
    assert echo("please generate a detailed caption of this image", prompt) == 1.0
    assert echo("A detailed caption of this image: two rings", prompt) == pytest.approx(6 / 8)
    assert echo("A caption of two rings", prompt) == 0.0
    assert echo("red ring", "Red ring!") == 1.0
    assert echo("red ring", "a red ring") == 0.0
    assert echo("", prompt) == 0.0


def test_a_loop_is_the_share_of_words_in_it() -> None:
    assert repetition("a cat on a mat on a mat on a mat") == pytest.approx(9 / 11)
    assert repetition("very very very good") == pytest.approx(3 / 4)
    assert repetition("a red ring and a blue ring and a green ring") == 0.0
    assert repetition("") == 0.0


def test_columns_hold_one_row_a_caption() -> None:
    said = [
        Said("Two red rings, all ov", "Describe.", "two red rings all over", "length"),
        Said("", "Describe.", "", "stop"),
    ]
    table = check_captions(said)
    assert table.schema.names == list(COLUMNS)
    assert table.to_pylist() == [
        {
            "caption_is_refusal": False,
            "caption_echo_of_prompt": 0.0,
            "caption_echo_of_original": pytest.approx(0.8),
            "caption_repetition": 0.0,
            "caption_is_cut": True,
            "caption_words": 5,
            "caption_characters": 21,
        },
        {
            "caption_is_refusal": False,
            "caption_echo_of_prompt": 0.0,
            "caption_echo_of_original": 0.0,
            "caption_repetition": 0.0,
            "caption_is_cut": False,
            "caption_words": 0,
            "caption_characters": 0,
        },
    ]
