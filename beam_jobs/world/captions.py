"""What is said of a scene: English captions in several styles, and texts that say little or nothing.

In: a `Scene` and a seeded `random.Random`. Out: a string. `caption` is true of its scene and names every group's
count, colour and shape; `vague` and `boilerplate` would fit any picture; `file_name` is what a camera or a content
system leaves in an alt. Other languages are in `languages.py`.
"""

from __future__ import annotations

import random

from beam_jobs.world.scenes import Group, Scene

STYLES = ("label", "sentence", "keywords", "long", "title")

NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
SHAPE_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "circle": (("circle", "circles"), ("circle", "circles"), ("disc", "discs")),
    "square": (("square", "squares"),),
    "triangle": (("triangle", "triangles"),),
    "star": (("star", "stars"),),
    "heart": (("heart", "hearts"),),
    "cross": (("cross", "crosses"), ("cross", "crosses"), ("plus sign", "plus signs")),
    "ring": (("ring", "rings"), ("ring", "rings"), ("hoop", "hoops")),
    "moon": (("moon", "moons"), ("moon", "moons"), ("crescent", "crescents")),
    "diamond": (("diamond", "diamonds"), ("diamond", "diamonds"), ("rhombus", "rhombuses")),
    "arrow": (("arrow", "arrows"),),
}
COLOUR_WORDS = {"purple": ("purple", "purple", "violet")}
TEXTURE_WORDS = {"striped": ("striped",), "spotted": ("spotted", "dotted"), "checked": ("checked", "chequered")}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big")}
PLACE_WORDS = {
    "left": ("on the left", "at the left"),
    "right": ("on the right", "at the right"),
    "top": ("at the top",),
    "bottom": ("at the bottom",),
    "middle": ("in the middle", "in the centre"),
    "scattered": ("all over the picture", "scattered around"),
}
BACKDROP_WORDS = {
    "plain": "a plain {} background",
    "gradient": "a {} background that fades into the dark",
    "grainy": "grainy {} paper",
}
OPENINGS = ("A picture of", "An image of", "A drawing of", "This shows", "Illustration of", "Here you see")

VAGUE = (
    "a picture", "picture", "image", "an image", "photo", "a nice picture", "beautiful", "nice colours", "shapes",
    "some shapes", "geometric shapes on a background", "abstract art", "colourful design", "decoration", "pattern",
    "a drawing", "our new work", "something I made yesterday", "see below", "see caption", "untitled", "illustration",
    "graphic", "design element", "an example of what we do", "simple shapes", "look at this", "my favourite one",
    "just a test", "one more from the series", "art", "detail", "view", "figure", "first attempt", "work in progress",
)  # fmt: skip
BOILERPLATE = (
    "logo", "click to enlarge", "image not available", "advertisement", "share on social media", "read more",
    "loading...", "placeholder", "thumbnail", "all rights reserved", "buy now - free shipping", "next", "previous page",
    "header image", "banner", "icon", "close window", "sign up for our newsletter", "zoom", "photo of the day",
)  # fmt: skip


def caption(scene: Scene, rng: random.Random, style: str | None = None) -> str:
    """A true caption that names count, colour and shape of every group. Style: one of STYLES, or drawn."""
    style = style or rng.choice(STYLES)
    if style == "label":
        return " and ".join(_phrase(group, rng, detail=0.25) for group in scene.groups)
    if style == "title":
        words = " and ".join(_phrase(group, rng, detail=0.3) for group in scene.groups)
        return rng.choice(("{}", "{} - print", "{} | poster", "{} by the studio")).format(words.title())
    if style == "keywords":
        return _keywords(scene, rng)
    if style == "sentence":
        return _sentence(scene, rng)
    if style == "long":
        return _long(scene, rng)
    raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")


def plain_caption(scene: Scene) -> str:
    """The one canonical caption of a scene: every group with all its attributes, and the background."""
    groups = []
    for group in scene.groups:
        size = "" if group.size == "medium" else group.size
        texture = "" if group.texture == "plain" else group.texture
        words = [NUMBERS[group.count], size, texture, group.colour, _noun(group, SHAPE_WORDS[group.shape][0])]
        groups.append(" ".join([*filter(None, words), PLACE_WORDS[group.place][0]]))
    return " and ".join(groups) + " on " + BACKDROP_WORDS[scene.backdrop].format(scene.background)


def vague(rng: random.Random) -> str:
    """A text that is wrong of no picture and tells none from another."""
    return rng.choice(VAGUE)


def boilerplate(rng: random.Random) -> str:
    """A text that belongs to the page, not to the picture."""
    return rng.choice(BOILERPLATE)


def file_name(rng: random.Random) -> str:
    """A file name left as alt-text."""
    number = rng.randint(1, 9999)
    patterns = (
        f"IMG_{number:04d}.JPG",
        f"DSC{number:05d}.jpg",
        f"image{number}.png",
        f"untitled-{number}.jpeg",
        f"Screenshot 2024-0{number % 9 + 1}-1{number % 10}.png",
        f"img_{number}_large.webp",
        f"{number:08x}.jpg",
    )
    return rng.choice(patterns)


def _noun(group: Group, words: tuple[str, str]) -> str:
    return words[0] if group.count == 1 else words[1]


def _phrase(group: Group, rng: random.Random, *, detail: float) -> str:
    """Count, colour and shape; size and texture each with probability `detail`."""
    if group.count == 1:
        number = rng.choice(("a", "a", "one", "one", "a single"))
    else:
        number = NUMBERS[group.count] if rng.random() < 0.85 else str(group.count)
    adjectives = []
    if group.size in SIZE_WORDS and rng.random() < detail:
        adjectives.append(rng.choice(SIZE_WORDS[group.size]))
    if group.texture in TEXTURE_WORDS and rng.random() < detail:
        adjectives.append(rng.choice(TEXTURE_WORDS[group.texture]))
    adjectives.append(rng.choice(COLOUR_WORDS.get(group.colour, (group.colour,))))
    words = " ".join([*adjectives, _noun(group, rng.choice(SHAPE_WORDS[group.shape]))])
    if number == "a" and words[0] in "aeiou":
        number = "an"
    return f"{number} {words}"


def _sentence(scene: Scene, rng: random.Random) -> str:
    parts = []
    for group in scene.groups:
        phrase = _phrase(group, rng, detail=0.6)
        parts.append(f"{phrase} {rng.choice(PLACE_WORDS[group.place])}" if rng.random() < 0.6 else phrase)
    said = " and ".join(parts)
    if rng.random() < 0.6:
        article = "an" if scene.background[0] in "aeiou" else "a"
        said += f" on {article} {scene.background} background"
    if rng.random() < 0.3:
        verb = "is" if scene.groups[0].count == 1 else "are"
        return f"There {verb} {said}."
    return f"{rng.choice(OPENINGS)} {said}."


def _keywords(scene: Scene, rng: random.Random) -> str:
    words = []
    for group in scene.groups:
        noun = _noun(group, rng.choice(SHAPE_WORDS[group.shape]))
        words.append(f"{NUMBERS[group.count]} {group.colour} {noun}")
        if group.texture in TEXTURE_WORDS:
            words.append(rng.choice(TEXTURE_WORDS[group.texture]))
        if group.size in SIZE_WORDS:
            words.append(rng.choice(SIZE_WORDS[group.size]))
    tail = [f"{scene.background} background", *(["gradient"] if scene.backdrop == "gradient" else [])]
    return ", ".join(words + tail[: rng.randint(0, 2)])


def _long(scene: Scene, rng: random.Random) -> str:
    first = scene.groups[0]
    verb = "is" if first.count == 1 else "are"
    said = [f"{_phrase(first, rng, detail=1.0)} {verb} {rng.choice(PLACE_WORDS[first.place])}"]
    for group in scene.groups[1:]:
        said.append(f"{_phrase(group, rng, detail=1.0)} {rng.choice(PLACE_WORDS[group.place])}")
    body = rng.choice((", with ", ", next to ", "; besides them, ")).join(said)
    ground = BACKDROP_WORDS[scene.backdrop].format(scene.background)
    opening = rng.choice(("In this picture ", "In the drawing ", "On the card "))
    return f"{opening}{body}. Everything lies on {ground}."
