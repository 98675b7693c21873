"""Captions read back into the groups that they name."""

from __future__ import annotations

import random

import pytest

from beam_jobs.world.caption_truth import CaptionTruth, SaidGroup, caption_truth, said_groups
from beam_jobs.world.captions import STYLES, boilerplate, caption, plain_caption, vague
from beam_jobs.world.scenes import Group, Scene, altered, scene

TWO = Scene(
    groups=(
        Group(3, "red", "star", "striped", "small", "left"),
        Group(1, "white", "cross", "plain", "large", "right"),
    ),
    background="navy",
    backdrop="plain",
    aspect=1.0,
    variant=0,
)


@pytest.mark.parametrize(
    ("said", "groups"),
    [
        ("Three small striped red stars and a white plus sign", [(3, "red", "star"), (1, "white", "cross")]),
        ("3 violet rhombuses on a white background", [(3, "purple", "diamond")]),
        ("stars on grainy white paper", [(None, None, "star")]),
        ("On a white background, two hoops", [(2, None, "ring")]),
        ("Crescent", [(1, None, "moon")]),
        (
            "This picture shows three red stars. The stars are small and striped and stand on the left.",
            [(3, "red", "star")],
        ),
        ("two red stars and two blue stars", [(2, "red", "star"), (2, "blue", "star")]),
        ("a nice picture", []),
        ("", []),
    ],
)
def test_groups_are_read(said: str, groups: list[tuple[int | None, str | None, str]]) -> None:
    assert said_groups(said) == [SaidGroup(*group) for group in groups]


def test_what_is_right_is_told_part_by_part() -> None:
    assert caption_truth("a white cross and three red stars", TWO) == CaptionTruth(True, True, True, True)
    assert caption_truth("a white cross and two red stars", TWO) == CaptionTruth(True, True, False, False)
    assert caption_truth("a red cross and three white stars", TWO) == CaptionTruth(True, False, True, False)
    assert caption_truth("three white crosses and one red star", TWO) == CaptionTruth(True, True, False, False)
    assert caption_truth("three red stars", TWO) == CaptionTruth(False, False, False, False)
    assert caption_truth("three red stars, a white cross and a blue ring", TWO).shapes is False


@pytest.mark.parametrize("style", STYLES)
def test_every_caption_of_the_world_is_true_of_its_scene_alone(style: str) -> None:
    for number in range(400):
        rng = random.Random(number)
        shown = scene("truth", style, number)
        said = caption(shown, rng, style)
        assert caption_truth(said, shown).groups, (said, shown)
        changed = altered(shown, rng.choice(("colour", "count", "shape")), rng)
        assert not caption_truth(said, changed).groups, (said, changed)


def test_the_plain_caption_is_read_and_vague_texts_name_nothing() -> None:
    for number in range(300):
        shown = scene("plain", number)
        assert caption_truth(plain_caption(shown), shown).groups
        rng = random.Random(number)
        assert not said_groups(vague(rng)) and not said_groups(boilerplate(rng))
