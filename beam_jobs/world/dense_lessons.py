"""What the tiny multimodal LLM's eyes learn from: small pictures, and what every patch of them shows.

In: a seed and a count. Out: pictures as uint8, and for each patch of a grid the attributes of the group whose object
lies there, as small numbers; a patch that shows no object says so. Only descriptions of the `train` split are shown,
unless another is asked for.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_jobs.world.drawing import Placed, draw_and_place
from beam_jobs.world.lessons import degraded
from beam_jobs.world.scenes import (
    BACKDROPS,
    BACKGROUNDS,
    COLOURS,
    MOST,
    PLACES,
    SHAPES,
    SIZES,
    TEXTURES,
    Group,
    Scene,
    Split,
    scene,
    seed_of,
)

# What is said of a patch, and how many answers there are; the last of each is that it shows no object.
ATTRIBUTES = {
    "centre": 2,
    "shape": len(SHAPES) + 1,
    "colour": len(COLOURS) + 1,
    "count": MOST + 1,
    "texture": len(TEXTURES) + 1,
    "size": len(SIZES) + 1,
    "place": len(PLACES) + 1,
    "background": len(BACKGROUNDS),
    "backdrop": len(BACKDROPS),
}
LEAST_SIDE, MOST_SIDE = 96, 224


@dataclass(frozen=True)
class DenseLessons:
    """Scenes; pictures of n x pixels x pixels x 3; labels of n x patches x len(ATTRIBUTES), row by row of the grid."""

    scenes: tuple[Scene, ...]
    pictures: NDArray[np.uint8]
    labels: NDArray[np.int8]


def make_dense_lessons(
    count: int, *, seed: int, pixels: int, patch: int, split: Split = "train", said: bool = False
) -> DenseLessons:
    """Draws `count` pictures, each at some size, through JPEG, then squashed to `pixels`."""
    grid = pixels // patch
    scenes = []
    pictures = np.empty((count, pixels, pixels, 3), dtype=np.uint8)
    labels = np.empty((count, grid * grid, len(ATTRIBUTES)), dtype=np.int8)
    for number in range(count):
        rng = random.Random(seed_of("dense lesson", seed, number))
        shown = scene("dense lesson", seed, number, split=split)
        picture, placed = draw_and_place(shown, rng.randint(LEAST_SIDE, MOST_SIDE))
        pictures[number] = degraded(picture, rng, pixels=pixels)
        labels[number] = patch_labels(shown, placed, grid=grid)
        scenes.append(shown)
        if said and number % 5000 == 4999:
            print(f"drawn {number + 1} pictures", flush=True)
    return DenseLessons(tuple(scenes), pictures, labels)


def patch_labels(shown: Scene, placed: list[Placed], *, grid: int) -> NDArray[np.int8]:
    """What each patch of a grid x grid shows, in the order of ATTRIBUTES."""
    nothing = [answers - 1 for answers in ATTRIBUTES.values()]
    nothing[0] = 0
    nothing[-2:] = [list(BACKGROUNDS).index(shown.background), BACKDROPS.index(shown.backdrop)]
    labels = np.tile(np.array(nothing, dtype=np.int8), (grid, grid, 1))
    middles = (np.arange(grid) + 0.5) / grid
    # The radius is one of shorter sides; the squashed picture's sides are both 1.
    across, down = min(1.0, 1 / shown.aspect), min(1.0, shown.aspect)
    for one in placed:
        said = _numbers(shown.groups[one.group])
        near = ((middles[None, :] - one.x) / across) ** 2 + ((middles[:, None] - one.y) / down) ** 2
        labels[near <= one.radius**2, 1 : 1 + len(said)] = said
        centre = min(grid - 1, int(one.y * grid)), min(grid - 1, int(one.x * grid))
        labels[centre][: 1 + len(said)] = [1, *said]
    return labels.reshape(grid * grid, len(ATTRIBUTES))


def _numbers(group: Group) -> list[int]:
    return [
        SHAPES.index(group.shape),
        list(COLOURS).index(group.colour),
        group.count - 1,
        TEXTURES.index(group.texture),
        SIZES.index(group.size),
        PLACES.index(group.place),
    ]
