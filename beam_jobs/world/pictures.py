"""Pictures drawn with what is true of them: text, faces, screenshots and charts, blur, plain and dark ones, and lures.

In: how many, a seed. Out: pictures of several kinds in turn, the same for the same seed, each with a caption and what
is known of it. A fact that is not said is not known: nobody says whether a flat scene is a graphic.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from beam_jobs.world.drawing import draw
from beam_jobs.world.scenes import Scene, scene, seed_of

SIDE = 256
LINES = ("Summer sale", "BREAKING NEWS", "happy birthday", "50% off today", "Visit our shop", "City marathon")
SKINS = ((240, 200, 175), (224, 172, 140), (165, 115, 80), (110, 75, 50))
_HAIR = (60, 40, 30)


@dataclass(frozen=True)
class KnownPicture:
    """`facts`: text, told (the caption stands in the picture), face, graphic, blurred, plain, dark; to true or false.

    colour: of the objects, where all have one.
    """

    image: Image.Image
    caption: str
    facts: Mapping[str, bool]
    colour: str = ""


def known_pictures(count: int, seed: int) -> Iterator[KnownPicture]:
    """`count` pictures, the kinds in turn."""
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        yield kind(random.Random(seed_of("picture", seed, number)), (seed, number))


def texture(rng: random.Random) -> Image.Image:
    """Noise whose strength falls with its frequency, as that of photographs does, in shaded colours."""
    source = np.random.default_rng(rng.getrandbits(48))
    height, width = SIDE * 3 // 4, SIDE
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height)))
    frequency[0, 0] = 1
    planes = [np.fft.ifft2(np.fft.fft2(source.normal(size=(height, width))) / frequency**1.2).real for _ in range(3)]
    mixed = planes[0][..., None] * 0.8 + np.stack(planes, axis=-1) * 0.4
    return Image.fromarray(np.clip(128 + 55 * (mixed - mixed.mean()) / mixed.std(), 0, 255).astype(np.uint8))


def write_line(image: Image.Image, line: str, rng: random.Random, *, pixels: int) -> Image.Image:
    """A line of text across the picture, in black or white, whichever stands out."""
    ground = np.asarray(image.resize((1, 1))).sum()
    ink = (0, 0, 0) if ground > 380 else (255, 255, 255)
    place = (10, rng.randint(5, image.height - pixels - 10))
    ImageDraw.Draw(image).text(place, line, fill=ink, font=ImageFont.load_default(pixels))
    return image


def draw_face(image: Image.Image, centre: tuple[int, int], radius: int, skin: tuple[int, int, int]) -> Image.Image:
    """A frontal face with hair, eyes, brows, nose and mouth."""
    pen, (x, y) = ImageDraw.Draw(image), centre
    shade = tuple(value * 8 // 9 for value in skin)

    def disc(dx: float, dy: float, across: float, down: float, fill: Any) -> None:
        left, top = x + radius * (dx - across), y + radius * (dy - down)
        pen.ellipse((left, top, left + 2 * radius * across, top + 2 * radius * down), fill=fill)

    disc(0, -0.25, 0.85, 0.9, _HAIR)
    disc(0, 0.1, 0.7, 0.85, skin)
    for side in (-1, 1):
        disc(side * 0.32, -0.12, 0.16, 0.08, (250, 250, 250))
        disc(side * 0.32, -0.12, 0.08, 0.08, (40, 30, 20))
        first, last = x + radius * (side * 0.32 - 0.18), x + radius * (side * 0.32 + 0.18)
        pen.line([first, y - radius * 0.3, last, y - radius * 0.32], fill=_HAIR, width=max(2, radius // 16))
    pen.polygon([(x, y), (x - radius * 0.12, y + radius * 0.28), (x + radius * 0.12, y + radius * 0.28)], fill=shade)
    disc(0, 0.5, 0.28, 0.08, (180, 70, 70))
    return image


def _shown(seed: tuple[int, int]) -> tuple[Scene, Image.Image]:
    shown = scene("known", *seed)
    return shown, Image.fromarray(draw(shown, SIDE))


def _scene(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    shown, image = _shown(seed)
    colour = shown.groups[0].colour if len(shown.groups) == 1 else ""
    facts = {"text": False, "told": False, "face": False, "plain": False, "dark": False}
    return KnownPicture(image, "some drawn shapes", facts, colour)


def _texture(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    facts = dict.fromkeys(("text", "told", "face", "graphic", "blurred", "plain", "dark"), False)
    return KnownPicture(texture(rng), "a wall in the sun", facts)


def _blurred(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    image = texture(rng).filter(ImageFilter.GaussianBlur(rng.uniform(3, 8)))
    return KnownPicture(image, "a wall in the sun", {"blurred": True, "graphic": False, "face": False, "text": False})


def _poster(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    line = rng.choice(LINES)
    ground = texture(rng) if rng.random() < 0.5 else _shown(seed)[1]
    told = rng.random() < 0.5
    image = write_line(ground, line, rng, pixels=rng.randint(14, 26))
    return KnownPicture(image, line if told else "on the way home", {"text": True, "told": told, "face": False})


def _portrait(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    radius = rng.randint(20, 50)
    ground = texture(rng) if rng.random() < 0.5 else _shown(seed)[1]
    centre = (rng.randint(60, ground.width - 60), rng.randint(60, ground.height - 60))
    return KnownPicture(draw_face(ground, centre, radius, rng.choice(SKINS)), "my sister", {"face": True})


def _screenshot(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    """A window with a bar, lines of text and a button."""
    ground, ink = rng.choice(((255, "black"), (246, "black"), (33, "white")))
    image = Image.new("RGB", (SIDE, SIDE * 3 // 4), (ground, ground, ground))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, SIDE, 18), fill=tuple(rng.randint(20, 140) for _ in range(3)))
    for line in range(rng.randint(3, 6)):
        words = f"Row {rng.randint(1, 99)} of the table: {line}"
        pen.text((12, 30 + 20 * line), words, fill=ink, font=ImageFont.load_default(12))
    pen.rectangle((170, 160, 240, 182), fill=(0, 120, 215))
    return KnownPicture(image, "how to do it", {"graphic": True, "text": True, "told": False, "face": False})


def _chart(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(image)
    pen.line((30, 10, 30, 230, 250, 230), fill="black", width=2)
    for bar in range(5):
        colour = tuple(rng.randint(30, 220) for _ in range(3))
        pen.rectangle((45 + 40 * bar, 230 - rng.randint(10, 200), 70 + 40 * bar, 229), fill=colour)
    return KnownPicture(image, "sales by year", {"graphic": True, "face": False, "plain": False})


def _plain(rng: random.Random, seed: tuple[int, int]) -> KnownPicture:
    dark = rng.random() < 0.5
    colour = np.array([rng.randint(0, 9) if dark else rng.randint(60, 250) for _ in range(3)])
    noise = np.random.default_rng(rng.getrandbits(48)).integers(-2, 3, (SIDE, SIDE, 3))
    image = Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8))
    return KnownPicture(image, "the sky", {"plain": True, "dark": dark, "text": False, "face": False})


_KINDS: tuple[Callable[[random.Random, tuple[int, int]], KnownPicture], ...] = (
    *(_scene, _texture, _poster, _portrait, _screenshot, _chart, _blurred, _plain),
)
