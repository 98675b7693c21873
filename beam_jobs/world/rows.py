"""What stands behind each image reference of the embedded web, as a pure function of a seed and a row's number.

In: seed and number. Out: a `Row`: which scene, stored how, under which alt-text, and what must become of it.
Shares are exact in every 200 rows (what becomes of the picture) and every 100 rows (what its alt says), so a world
of 200 pairs holds every trap. Nothing is remembered between rows, so a world of any size streams.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from beam_jobs.world.captions import STYLES, boilerplate, caption, file_name, plain_caption, vague
from beam_jobs.world.languages import LANGUAGES, translated
from beam_jobs.world.scenes import Scene, altered, scene, seed_of

FATES: Mapping[str, int] = {  # per 200 rows
    "fresh": 140,  # a picture not seen before
    "copy": 8,  # the same bytes under another URL
    "re_encoded": 12,  # the same picture in another format or quality
    "resized": 10,  # the same picture at another size, and encoded anew
    "again": 3,  # a URL already used, with another text
    "repeat": 3,  # a URL and text already used
    "rotated": 2,  # stored turned, with an EXIF orientation that turns it back
    "missing_file": 6,
    "svg": 2,
    "html": 2,  # a web page under the name of an image
    "cut_short": 2,  # the first half of a JPEG file
    "pixel": 3,  # a transparent image of 1 x 1
    "data_url": 2,
    "javascript": 1,
    "no_source": 2,
    "broken_url": 1,
    "no_bytes": 1,
}
BOMB = "bomb"  # a picture of too many pixels: one a world, in the place of the first missing file
EXPECTED: Mapping[str, str] = {  # every other fate ends `ok`
    "missing_file": "http_404",
    "svg": "svg",
    "html": "not_an_image",
    "cut_short": "truncated",
    "pixel": "too_small",
    "data_url": "unsupported_scheme",
    "javascript": "unsupported_scheme",
    "no_source": "no_image_url",
    "broken_url": "invalid_url",
    "no_bytes": "empty_body",
    BOMB: "too_many_pixels",
}
LABELS: Mapping[str, int] = {  # per 100 rows
    "good": 50,
    "vague": 8,
    "wrong": 12,
    "empty": 6,
    "missing": 4,
    "boilerplate": 6,
    "file_name": 4,
    "non_english": 10,
}
FORMATS: Mapping[str, int] = {"JPEG": 11, "PNG": 4, "WEBP": 3, "GIF": 2}  # of 20
LONGER_SIDES = (96, 112, 128, 160, 160, 192, 224, 256, 256, 300, 320, 360, 400, 480, 512, 640)
SMALL_LONGER_SIDES = (96, 104, 112, 120, 128)
ORIENTATIONS = (3, 6, 8)


@dataclass(frozen=True)
class Stored:
    """How a picture is stored. `longer` is the length of its longer side."""

    longer: int
    format: str
    quality: int
    orientation: int = 1


@dataclass(frozen=True)
class Alt:
    """An alt-text and what it is worth. `detail` tells how a wrong one is wrong, or the style of a good one."""

    label: str
    text: str
    language: str
    detail: str


@dataclass(frozen=True)
class Row:
    """One image reference. `original` is the number of the row that drew this scene first; `place`, of the URL used."""

    number: int
    fate: str
    scene: Scene
    stored: Stored
    alt: Alt
    original: int
    place: int

    @property
    def expected(self) -> str:
        """`ok`, or the failure class that a download must end in."""
        return EXPECTED.get(self.fate, "ok")


@lru_cache(maxsize=4096)
def row(seed: int, number: int, *, small: bool = False) -> Row:
    """The row of a number."""
    fate = _fate(seed, number)
    rng = random.Random(seed_of("row", seed, number))
    stored = stored_somehow(rng, small=small)
    first = _earlier(seed, number, rng) if fate in ("copy", "re_encoded", "resized", "again", "repeat") else None
    if first is None:
        shown = scene("world", seed, number, split="held_out")
        fate = "fresh" if fate in ("copy", "re_encoded", "resized", "again", "repeat") else fate
        if fate in ("rotated", "cut_short"):
            stored = replace(stored, format="JPEG", longer=max(stored.longer, 96 if small else 224))
        if fate == "rotated":
            stored = replace(stored, orientation=rng.choice(ORIENTATIONS))
        return Row(number, fate, shown, stored, _alt(seed, number, shown), original=number, place=number)
    earlier = row(seed, first, small=small)
    alt = earlier.alt if fate == "repeat" else _alt(seed, number, earlier.scene)
    place = first if fate in ("again", "repeat") else number
    if fate in ("copy", "again", "repeat"):
        stored = earlier.stored
    elif fate == "re_encoded":
        stored = replace(_unlike(stored, earlier.stored, rng), longer=earlier.stored.longer)
    else:
        sides = SMALL_LONGER_SIDES if small else LONGER_SIDES
        stored = replace(stored, longer=rng.choice([side for side in sides if side != earlier.stored.longer]))
    return Row(number, fate, earlier.scene, stored, alt, original=first, place=place)


def quiet_row(seed: int, number: int, *, small: bool = False) -> Row:
    """A row of a page that opted out: a picture of its own with a good alt-text."""
    rng = random.Random(seed_of("quiet row", seed, number))
    shown = scene("quiet world", seed, number, split="held_out")
    style = rng.choice(STYLES)
    alt = Alt("good", caption(shown, rng, style), "en", style)
    return Row(number, "fresh", shown, stored_somehow(rng, small=small), alt, original=number, place=number)


def true_caption(shown: Scene) -> str:
    """What a perfect captioner would say."""
    return plain_caption(shown)


def _fate(seed: int, number: int) -> str:
    block, place = divmod(number, sum(FATES.values()))
    return _deck("fates", seed, block)[place]


@lru_cache(maxsize=1024)
def _deck(kind: str, seed: int, block: int) -> tuple[str, ...]:
    """The shuffled names of one block."""
    shares = FATES if kind == "fates" else LABELS
    cards = [name for name, count in shares.items() for _ in range(count)]
    random.Random(seed_of(kind, seed, block)).shuffle(cards)
    if kind == "fates" and block == 0:
        cards[cards.index("missing_file")] = BOMB
    return tuple(cards)


def _earlier(seed: int, number: int, rng: random.Random) -> int | None:
    """The number of some earlier fresh row, or None when twenty guesses find none."""
    for _ in range(20):
        guess = rng.randrange(number) if number else 0
        if guess < number and _fate(seed, guess) == "fresh":
            return guess
    return None


def stored_somehow(rng: random.Random, *, small: bool) -> Stored:
    """A size, a format and a quality."""
    formats = [name for name, count in FORMATS.items() for _ in range(count)]
    longer = rng.choice(SMALL_LONGER_SIDES if small else LONGER_SIDES)
    return Stored(longer=longer, format=rng.choice(formats), quality=rng.randint(60, 95))


def _unlike(stored: Stored, earlier: Stored, rng: random.Random) -> Stored:
    """Another format than the earlier one's, or JPEG again at a lower quality."""
    if earlier.format == "JPEG" and rng.random() < 0.5:
        return replace(earlier, quality=earlier.quality - rng.randint(10, 25))
    return replace(stored, format=rng.choice([name for name in FORMATS if name != earlier.format]))


def _alt(seed: int, number: int, shown: Scene) -> Alt:
    block, place = divmod(number, sum(LABELS.values()))
    label = _deck("labels", seed, block)[place]
    rng = random.Random(seed_of("alt", seed, number))
    if label == "good":
        style = rng.choice(STYLES)
        return Alt(label, caption(shown, rng, style), "en", style)
    if label == "wrong":
        return _wrong(seed, number, shown, rng)
    if label == "non_english":
        language = rng.choice(tuple(LANGUAGES))
        return Alt(label, translated(shown, language, rng), language, "")
    said = {"vague": vague, "boilerplate": boilerplate, "file_name": file_name}
    text = said[label](rng) if label in said else ""
    return Alt(label, text, "" if label in ("empty", "missing", "file_name") else "en", "")


def _wrong(seed: int, number: int, shown: Scene, rng: random.Random) -> Alt:
    """A caption of another scene, or, one time in six, of this one with one attribute changed."""
    if rng.random() < 1 / 6:
        attribute = rng.choice(("colour", "count", "shape"))
        return Alt("wrong", caption(altered(shown, attribute, rng), rng), "en", attribute)
    other = scene("elsewhere", seed, number, split="held_out")
    while _same_groups(other, shown):
        other = scene("elsewhere", seed, number, rng.random(), split="held_out")
    return Alt("wrong", caption(other, rng), "en", "other_scene")


def _same_groups(one: Scene, other: Scene) -> bool:
    said = [{(group.count, group.colour, group.shape) for group in each.groups} for each in (one, other)]
    return bool(said[0] & said[1])
