"""What the tiny CLIP learns from: pairs of scenes that differ in one attribute, as small pictures and fresh texts.

In: a seed and a number of pairs. Out: a uint8 array of pictures, rows 2p and 2p+1 being pair p, and for any row as
many texts as one wants. Only descriptions of the `train` split are shown. One text in ten says nothing of its
picture (vague, boilerplate, a file name, or a caption of another scene in another language), so that the model puts
such texts between right and wrong ones.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_jobs.world.captions import boilerplate, caption, file_name, vague
from beam_jobs.world.drawing import Pixels, draw
from beam_jobs.world.languages import LANGUAGES, translated
from beam_jobs.world.scenes import Scene, altered, scene, seed_of, split_of

ATTRIBUTES = ("colour", "count", "shape")
ALTERED = ("colour", "count", "count", "shape", "shape")  # harder ones more often
UNINFORMATIVE_SHARE = 0.1


@dataclass(frozen=True)
class Lessons:
    """Scenes, their pictures of `pixels` x `pixels`, and what each picture's groups are, as a number."""

    scenes: tuple[Scene, ...]
    pictures: NDArray[np.uint8]
    cores: NDArray[np.int64]  # equal where count, colour and shape of all groups are equal


def make_lessons(*, pairs: int, seed: int, pixels: int) -> Lessons:
    """Draws the pairs, each as a page might show it: at some size, through JPEG, then squashed to `pixels`."""
    scenes: list[Scene] = []
    pictures = np.empty((2 * pairs, pixels, pixels, 3), dtype=np.uint8)
    for number in range(pairs):
        rng = random.Random(seed_of("lesson", seed, number))
        for one in _pair(seed, number, rng):
            pictures[len(scenes)] = degraded(draw(one, rng.randint(96, 224)), rng, pixels=pixels)
            scenes.append(one)
    cores = np.array([core(one) for one in scenes], dtype=np.int64)
    return Lessons(scenes=tuple(scenes), pictures=pictures, cores=cores)


def lesson_text(shown: Scene, seed: int, row: int, epoch: int) -> tuple[str, bool]:
    """The text of a row in an epoch, and whether it tells anything of the picture."""
    rng = random.Random(seed_of("lesson text", seed, row, epoch))
    if rng.random() >= UNINFORMATIVE_SHARE:
        return caption(shown, rng), True
    kind = rng.random()
    if kind < 0.4:
        return vague(rng), False
    if kind < 0.6:
        return (boilerplate if rng.random() < 0.5 else file_name)(rng), False
    other = scene("foreign lesson", seed, row, epoch, split="train")
    return translated(other, rng.choice(tuple(LANGUAGES)), rng), False


def core(shown: Scene) -> int:
    """A number of the scene's counts, colours and shapes, in any order."""
    said = sorted((group.count, group.colour, group.shape) for group in shown.groups)
    return seed_of("core", said) >> 1


def degraded(picture: Pixels, rng: random.Random, *, pixels: int) -> Pixels:
    """The picture through JPEG (mostly) and a resize to a square, as open_clip's own preprocessing does it."""
    from PIL import Image

    image = Image.fromarray(picture)
    if rng.random() < 0.6:
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=rng.randint(50, 95))
        image = Image.open(stored)
    return np.asarray(image.resize((pixels, pixels), Image.Resampling.BICUBIC))


def _pair(seed: int, number: int, rng: random.Random) -> tuple[Scene, Scene]:
    """A scene of the train split and an altered one, of the train split too."""
    for attempt in range(1000):
        first = scene("lesson", seed, number, attempt, split="train")
        second = altered(first, rng.choice(ALTERED), rng)
        if split_of(second) == "train":
            return first, second
    raise AssertionError("a thousand scenes without a neighbour of the train split")
