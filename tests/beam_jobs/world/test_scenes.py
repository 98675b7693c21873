import random

import pytest

from beam_jobs.world.captions import STYLES, caption, plain_caption
from beam_jobs.world.drawing import draw, size_of
from beam_jobs.world.languages import LANGUAGES, translated
from beam_jobs.world.scenes import Group, Scene, altered, contrast, scene, seed_of, split_of

TWO_HEARTS = Scene(
    groups=(
        Group(count=2, colour="red", shape="heart", texture="striped", size="large", place="left"),
        Group(count=1, colour="blue", shape="arrow", texture="plain", size="medium", place="right"),
    ),
    background="white",
    backdrop="plain",
    aspect=1.0,
    variant=7,
)


def test_a_seed_always_means_the_same_scene() -> None:
    assert seed_of("scene", 1) == 3901546923801672770
    assert scene(3) == scene(3)
    assert scene(3) != scene(4)


def test_a_quarter_of_the_descriptions_is_held_out() -> None:
    held_out = sum(split_of(scene("share", n)) == "held_out" for n in range(4000))
    assert 900 <= held_out <= 1100
    assert all(split_of(scene("split", n, split="held_out")) == "held_out" for n in range(50))
    assert all(split_of(scene("split", n, split="train")) == "train" for n in range(50))


def test_the_split_regards_only_what_can_be_said() -> None:
    from dataclasses import replace

    for number in range(20):
        original = scene("described", number)
        assert split_of(replace(original, variant=original.variant + 1, aspect=0.75)) == split_of(original)


def test_an_altered_scene_differs_in_one_attribute_of_one_group() -> None:
    rng = random.Random(0)
    for attribute in ("colour", "count", "shape"):
        for number in range(50):
            original = scene("altered", number)
            changed = altered(original, attribute, rng)
            differing = [
                (getattr(one, name), getattr(other, name))
                for one, other in zip(original.groups, changed.groups, strict=True)
                for name in ("count", "colour", "shape", "texture", "size", "place")
                if getattr(one, name) != getattr(other, name)
            ]
            assert len(differing) == 1
            assert (changed.background, changed.variant) == (original.background, original.variant)


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(ValueError, match="colour, count or shape, not 'mood'"):
        altered(TWO_HEARTS, "mood", random.Random(0))


def test_objects_stand_out_from_their_background() -> None:
    scenes = [scene("contrast", n) for n in range(300)]
    assert min(contrast(group.colour, one.background) for one in scenes for group in one.groups) >= 100


def test_a_drawing_shows_the_colours_where_the_scene_says() -> None:
    pixels = draw(TWO_HEARTS, 200).astype(int)
    assert pixels.shape == (200, 200, 3)
    reddish = (pixels[:, :, 0] > 180) & (pixels[:, :, 1] < 90) & (pixels[:, :, 2] < 90)
    bluish = (pixels[:, :, 2] > 150) & (pixels[:, :, 0] < 90)
    assert reddish[:, :100].sum() > 1500
    assert reddish[:, 100:].sum() == 0
    assert bluish[:, 100:].sum() > 500
    assert bluish[:, :100].sum() == 0
    assert (pixels[0, 0] >= 230).all()


def test_two_sizes_are_one_picture() -> None:
    import cv2
    import numpy as np

    for number in range(20):
        one = scene("sizes", number)
        large, small = draw(one, 400), draw(one, 200)
        assert size_of(one, 200) == (small.shape[1], small.shape[0])
        shrunk = cv2.resize(large, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
        assert np.abs(shrunk.astype(int) - small).mean() < 8


@pytest.mark.parametrize(
    ("group", "objects"),
    [
        (Group(count=5, colour="black", shape="circle", texture="plain", size="medium", place="scattered"), 5),
        (Group(count=3, colour="red", shape="ring", texture="plain", size="large", place="scattered"), 3),
        (Group(count=4, colour="blue", shape="moon", texture="plain", size="small", place="top"), 4),
        (Group(count=2, colour="green", shape="diamond", texture="plain", size="large", place="middle"), 2),
    ],
)
def test_as_many_objects_are_drawn_as_counted(group: Group, objects: int) -> None:
    import cv2
    import numpy as np

    for variant in range(20):
        one = Scene(groups=(group,), background="white", backdrop="plain", aspect=4 / 3, variant=variant)
        far = np.abs(draw(one, 400).astype(int) - draw(one, 400)[0, 0].astype(int)).max(axis=2) > 60
        found, _ = cv2.connectedComponents(far.astype(np.uint8))
        assert found - 1 == objects


def test_the_canonical_caption_names_everything() -> None:
    expected = "two large striped red hearts on the left and one blue arrow on the right on a plain white background"
    assert plain_caption(TWO_HEARTS) == expected


def test_captions_of_every_style_name_count_colour_and_shape() -> None:
    for style in STYLES:
        for seed in range(30):
            said = caption(TWO_HEARTS, random.Random(seed), style).lower()
            assert "red heart" in said
            assert "two" in said or "2" in said
            assert "blue arrow" in said
    with pytest.raises(ValueError, match="style must be one of label, sentence, keywords, long, title"):
        caption(TWO_HEARTS, random.Random(0), "haiku")


def test_captions_in_other_languages() -> None:
    said = {language: translated(TWO_HEARTS, language, random.Random(3)) for language in LANGUAGES}
    assert "deux cœurs de couleur rouge et une flèche de couleur bleue" in said["fr"].lower()
    assert "zwei Herzen in Rot und ein Pfeil in Blau".lower() in said["de"].lower()
    assert "dos corazones de color rojo y una flecha de color azul" in said["es"].lower()
    assert "due cuori di colore rosso e una freccia di colore blu" in said["it"].lower()
    assert "赤色のハート2個と青色の矢印1個" in said["ja"]
