"""What the tiny MLLM learns from must be true: labels that lie where the objects are, answers that fit the scene."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from beam_jobs.world.conversations import long_answer, seen_turn, short_answer, text_turn
from beam_jobs.world.dense_lessons import ATTRIBUTES, make_dense_lessons, patch_labels
from beam_jobs.world.drawing import draw, draw_and_place
from beam_jobs.world.scenes import COLOURS, SHAPES, Group, Scene, scene, split_of

TWO_STARS = Group(count=2, colour="red", shape="star", texture="plain", size="small", place="right")
A_MOON = Group(count=1, colour="black", shape="moon", texture="striped", size="large", place="left")
SCENE = Scene((TWO_STARS, A_MOON), background="light blue", backdrop="grainy", aspect=1.0, variant=5)
NAMES = list(ATTRIBUTES)


def _of(labels: NDArray[np.int8], name: str) -> NDArray[np.int8]:
    return labels[..., NAMES.index(name)]


def test_every_object_has_one_centre_that_bears_its_groups_attributes() -> None:
    _, placed = draw_and_place(SCENE, 120)
    labels = patch_labels(SCENE, placed, grid=12)
    centres = labels[_of(labels, "centre") == 1]
    said = sorted((SHAPES[row[1]], list(COLOURS)[row[2]], int(row[3]) + 1) for row in centres)
    assert said == [("moon", "black", 1), ("star", "red", 2), ("star", "red", 2)]
    assert {int(value) for value in _of(labels, "background")} == {4}
    assert {int(value) for value in _of(labels, "backdrop")} == {2}


def test_patches_that_show_an_object_have_its_colour() -> None:
    squares = replace(TWO_STARS, shape="square", size="large")
    plain = Scene((squares,), background="light blue", backdrop="plain", aspect=4 / 3, variant=7)
    picture, placed = draw_and_place(plain, 240)
    labels = patch_labels(plain, placed, grid=12).reshape(12, 12, -1)
    height, width = picture.shape[:2]
    for row, column in zip(*np.nonzero(_of(labels, "centre")), strict=True):
        patch = picture[
            row * height // 12 : (row + 1) * height // 12, column * width // 12 : (column + 1) * width // 12
        ]
        red, green, blue = patch.reshape(-1, 3).mean(axis=0)
        assert red > 1.5 * max(green, blue), (row, column)
    empty = _of(labels, "shape") == len(SHAPES)
    assert 0.75 < empty.mean() < 0.99


def test_placing_changes_no_picture() -> None:
    assert np.array_equal(draw(SCENE, 100), draw_and_place(SCENE, 100)[0])


def test_lessons_are_of_the_asked_split_and_repeat() -> None:
    one, again = (make_dense_lessons(6, seed=3, pixels=96, patch=8) for _ in range(2))
    assert {split_of(shown) for shown in one.scenes} == {"train"}
    assert np.array_equal(one.pictures, again.pictures) and np.array_equal(one.labels, again.labels)
    held = make_dense_lessons(2, seed=3, pixels=96, patch=8, split="held_out")
    assert {split_of(shown) for shown in held.scenes} == {"held_out"}


def test_answers_name_groups_from_left_to_right() -> None:
    assert short_answer(SCENE) == "One black moon and two red stars on a light blue background."
    assert long_answer(SCENE) == (
        "This picture shows one black moon and two red stars. The moon is large and striped and stands on the left. "
        "The stars are small and plain and stand on the right. The background is grainy light blue paper."
    )


def test_questions_on_texts_alone_bring_no_picture() -> None:
    rng = random.Random(1)
    for number in range(60):
        shown = scene("turns", number)
        assert seen_turn(shown, rng).seen
        turn = text_turn(shown, rng)
        assert not turn.seen
        if turn.answer.startswith("{"):
            assert json.loads(turn.answer)["score"] in (5, 95)
        else:
            assert turn.answer in ("Yes", "No", short_answer(shown))
