"""What a caption says of a picture of the embedded world, and whether it is so.

In: an English caption, in any words that `captions.py` has; the scene that it should describe. Out: the groups that
it names (count, colour, shape), and which of them are right. Backgrounds, places, sizes and textures play no part; a
shape that is named again without a colour ("the stars are striped") is no further group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from beam_jobs.world.captions import COLOUR_WORDS, NUMBERS, SHAPE_WORDS
from beam_jobs.world.scenes import COLOURS, Scene

_GROUNDS = frozenset({"background", "paper"})
_ARTICLES = ("a", "an", "single")


def _words(word: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", word.lower())


# By the last word of a noun: the noun's words before it, the shape, and whether it is one.
_NOUNS: dict[str, list[tuple[tuple[str, ...], str, bool]]] = {}
for _shape, _forms in SHAPE_WORDS.items():
    for _one, _many in dict.fromkeys(_forms):
        for _said, _single in ((_one, True), (_many, False)):
            _NOUNS.setdefault(_words(_said)[-1], []).append((tuple(_words(_said)[:-1]), _shape, _single))
_COLOURS = {word: colour for colour in COLOURS for word in COLOUR_WORDS.get(colour, (colour,))}
_COUNTS = {
    **{word: number for number, word in NUMBERS.items()},
    **{str(number): number for number in NUMBERS},
    **dict.fromkeys(_ARTICLES, 1),
}


@dataclass(frozen=True)
class SaidGroup:
    """Like objects that a caption names; None of what it leaves out."""

    count: int | None
    colour: str | None
    shape: str


@dataclass(frozen=True)
class CaptionTruth:
    """What is right of a caption: all shapes and no others, so of their colours and counts; and all of it together."""

    shapes: bool
    colours: bool
    counts: bool
    groups: bool


def said_groups(caption: str) -> list[SaidGroup]:
    """The groups that a caption names, in its order."""
    words = _words(caption)
    found: list[SaidGroup] = []
    start = 0
    for place in range(len(words)):
        noun = _noun(words, place)
        if noun is None:
            continue
        length, shape, is_one = noun
        before = words[start : place + 1 - length]
        start = place + 1
        colour = _last_colour(before, words[place + 1 - length :])
        count = next((_COUNTS[word] for word in reversed(before) if word in _COUNTS), 1 if is_one else None)
        if colour is None and any(other.shape == shape for other in found):
            continue
        found.append(SaidGroup(count, colour, shape))
    return found


def caption_truth(caption: str, shown: Scene) -> CaptionTruth:
    """What of a caption is so. Groups may come in any order; an object's count, colour and shape belong together."""
    said = said_groups(caption)
    true = [SaidGroup(group.count, group.colour, group.shape) for group in shown.groups]
    return CaptionTruth(
        shapes=_same((one.shape for one in said), (one.shape for one in true)),
        colours=_same((f"{one.colour} {one.shape}" for one in said), (f"{one.colour} {one.shape}" for one in true)),
        counts=_same((f"{one.count} {one.shape}" for one in said), (f"{one.count} {one.shape}" for one in true)),
        groups=_same(map(repr, said), map(repr, true)),
    )


def _noun(words: list[str], place: int) -> tuple[int, str, bool] | None:
    """The longest noun that ends at a place: how many words it has, its shape, whether it is one."""
    fitting = [
        (len(before) + 1, shape, is_one)
        for before, shape, is_one in _NOUNS.get(words[place], [])
        if tuple(words[max(0, place - len(before)) : place]) == before
    ]
    return max(fitting, default=None)


def _last_colour(before: list[str], following: list[str]) -> str | None:
    """The last colour of the words before a noun; a background's colour is none of it."""
    whole = [*before, *following]
    for place in range(len(before) - 1, -1, -1):
        if before[place] in _COLOURS and not _GROUNDS & set(whole[place + 1 : place + 2]):
            return _COLOURS[before[place]]
    return None


def _same(said: Iterable[str], true: Iterable[str]) -> bool:
    return sorted(said) == sorted(true)
