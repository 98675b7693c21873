"""Scenes of the embedded world: what a picture shows, as data, before anything is drawn or said.

In: a seed string. Out: frozen `Scene`s, the same for the same seed. A scene's `description` is all that can be
said of it; its `variant` is the seed of what cannot (exact places, tints, angles). Descriptions are split by a hash
into `train` and `held_out`, so a model trained on the one has never seen a description of the other.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "moon", "diamond", "arrow")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 32, 40),
    "orange": (245, 130, 24),
    "yellow": (250, 218, 40),
    "green": (40, 158, 62),
    "blue": (34, 84, 214),
    "purple": (128, 44, 168),
    "pink": (246, 132, 184),
    "brown": (120, 72, 36),
    "black": (20, 20, 22),
    "white": (250, 250, 250),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (246, 246, 244),
    "grey": (168, 170, 174),
    "dark grey": (72, 74, 80),
    "cream": (248, 236, 206),
    "light blue": (172, 214, 244),
    "navy": (22, 30, 78),
    "mint": (188, 236, 208),
    "beige": (214, 190, 150),
}
BACKDROPS = ("plain", "gradient", "grainy")
TEXTURES = ("plain", "striped", "spotted", "checked")
SIZES = ("small", "medium", "large")
PLACES = ("left", "right", "top", "bottom", "middle", "scattered")
OPPOSITE = (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top"))
ASPECTS = (1.0, 4 / 3, 3 / 4, 5 / 4)
MOST = 5  # objects of one group
HELD_OUT_SHARE = 0.25
LEAST_CONTRAST = 100.0  # distance in RGB between an object and its background

Split = Literal["train", "held_out"]


@dataclass(frozen=True)
class Group:
    """Like objects that stand together."""

    count: int
    colour: str
    shape: str
    texture: str
    size: str
    place: str


@dataclass(frozen=True)
class Scene:
    """One picture's content. The same scene drawn at two sizes is the same picture."""

    groups: tuple[Group, ...]
    background: str
    backdrop: str
    aspect: float
    variant: int

    @property
    def description(self) -> dict[str, Any]:
        """All that a caption may say, as JSON-like data."""
        return {
            "groups": [asdict(group) for group in self.groups],
            "background": self.background,
            "backdrop": self.backdrop,
        }


def seed_of(*parts: object) -> int:
    """A 64-bit seed from stated parts, the same on every machine and in every process."""
    stated = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(stated.encode()).digest()[:8], "big")


def contrast(colour: str, background: str) -> float:
    """How far an object's colour lies from a background's."""
    pairs = zip(COLOURS[colour], BACKGROUNDS[background], strict=True)
    return float(sum((one - other) ** 2 for one, other in pairs) ** 0.5)


VISIBLE = {ground: tuple(c for c in COLOURS if contrast(c, ground) >= LEAST_CONTRAST) for ground in BACKGROUNDS}


def split_of(scene: Scene) -> Split:
    """`held_out` for a quarter of all descriptions, chosen by their SHA-256; variant and aspect play no part."""
    canonical = json.dumps(scene.description, sort_keys=True, separators=(",", ":"))
    fraction = hashlib.sha256(canonical.encode()).digest()[0] / 256
    return "held_out" if fraction < HELD_OUT_SHARE else "train"


def scene(*seed: object, split: Split | None = None) -> Scene:
    """The scene of a seed, of the given split."""
    rng = random.Random(seed_of("scene", *seed))
    while True:
        drawn = _draw(rng)
        if split is None or split_of(drawn) == split:
            return drawn


def altered(original: Scene, attribute: str, rng: random.Random) -> Scene:
    """`original` with one attribute of one group changed: `colour`, `count` or `shape`. A hard mismatch."""
    index = rng.randrange(len(original.groups))
    group = original.groups[index]
    others = [other for place, other in enumerate(original.groups) if place != index]
    if attribute == "colour":
        taken = {group.colour, *(other.colour for other in others)}
        choices = [colour for colour in VISIBLE[original.background] if colour not in taken]
        changed = replace(group, colour=rng.choice(choices))
    elif attribute == "count":
        changed = replace(group, count=rng.choice([n for n in range(1, MOST + 1) if n != group.count]))
    elif attribute == "shape":
        taken = {group.shape, *(other.shape for other in others)}
        changed = replace(group, shape=rng.choice([shape for shape in SHAPES if shape not in taken]))
    else:
        raise ValueError(f"attribute must be colour, count or shape, not {attribute!r}")
    groups = (*original.groups[:index], changed, *original.groups[index + 1 :])
    return replace(original, groups=groups)


def _draw(rng: random.Random) -> Scene:
    background = rng.choice(tuple(BACKGROUNDS))
    if rng.random() < 0.6:
        groups: tuple[Group, ...] = (_group(rng, background, rng.choice(PLACES), MOST),)
    else:
        first_place, second_place = rng.choice(OPPOSITE)
        first = _group(rng, background, first_place, 4)
        second = _group(rng, background, second_place, 4)
        while second.shape == first.shape or second.colour == first.colour:
            second = _group(rng, background, second_place, 4)
        groups = (first, second)
    return Scene(
        groups=groups,
        background=background,
        backdrop=rng.choice(BACKDROPS),
        aspect=rng.choice(ASPECTS),
        variant=rng.getrandbits(48),
    )


def _group(rng: random.Random, background: str, place: str, most: int) -> Group:
    count = rng.randint(1, most)
    roomy = count <= (3 if place == "scattered" else 2)
    return Group(
        count=count,
        colour=rng.choice(VISIBLE[background]),
        shape=rng.choice(SHAPES),
        texture=rng.choice(TEXTURES) if rng.random() < 0.6 else "plain",
        size=rng.choice(SIZES if roomy else SIZES[:2]),
        place=place,
    )
