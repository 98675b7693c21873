"""Flat graphics and photograph-like pictures made for the test, and the measures behind the likelihood."""

from __future__ import annotations

import random
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageFont

from beam_jobs.world.pictures import texture
from filters.graphics import Graphics, graphic_facts
from filters.registry import make_scorer
from filters.scorer import Batch
from schemas.refusal import Refusal


def stored(image: Image.Image) -> Image.Image:
    """As download stores it: JPEG of quality 95."""
    file = BytesIO()
    image.save(file, "JPEG", quality=95)
    return Image.open(file)


def screenshot(number: int) -> Image.Image:
    """A window with a bar, lines of text and a button."""
    image = Image.new("RGB", (256, 192), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, 256, 18), fill=(40, 60 + 10 * number, 120))
    for line in range(6):
        words = f"Row {line * number} of the table: {line}"
        pen.text((12, 30 + 20 * line), words, fill="black", font=ImageFont.load_default(12))
    pen.rectangle((170, 150, 240, 175), fill=(0, 120, 215))
    return image


def chart(number: int) -> Image.Image:
    image = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(image)
    pen.line((30, 10, 30, 230, 250, 230), fill="black", width=2)
    for bar in range(5):
        height = (bar * 37 + number * 23) % 180 + 20
        pen.rectangle((45 + 40 * bar, 230 - height, 70 + 40 * bar, 229), fill=(200, 60, 40 + 30 * bar))
    return image


def likelihoods(images: list[Image.Image]) -> list[float]:
    scorer = Graphics()
    prepared = [scorer.prepare(image, None) for image in images]
    found = scorer.score(Batch(pa.table({"uid": [""] * len(images)}), prepared), None).columns
    assert found.schema == scorer.schema
    values: list[float] = found["graphic_likelihood"].to_pylist()
    return values


def test_graphics_are_told_from_what_is_like_a_photograph() -> None:
    graphics = [stored(make(number)) for make in (screenshot, chart) for number in range(5)]
    photographs = [stored(texture(random.Random(number))) for number in range(10)]
    assert min(likelihoods(graphics)) > 0.8
    assert max(likelihoods(photographs)) < 0.2


def test_the_measures_of_a_checked_board() -> None:
    """Squares of 16 pixels: luma changes at 15 of 127 places across, all edges are straight, there are two colours."""
    board = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((16, 16))).astype(np.uint8) * 255
    facts = graphic_facts(Image.fromarray(board).convert("RGB"))
    assert facts["flat_share"] == pytest.approx((120 / 127) ** 2)
    assert facts["straight_edges"] == 1.0
    assert facts["palette_share"] == 1.0
    assert facts["graphic_likelihood"] == pytest.approx(1 / (1 + np.exp(-(4.5 * (120 / 127) ** 2 + 4.3 + 9.5 - 10.8))))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 3), (2000, 5)])
def test_small_and_thin_pictures_have_numbers_too(size: tuple[int, int]) -> None:
    (value,) = likelihoods([Image.new("L", size, 77)])
    assert 0 <= value <= 1


@pytest.mark.parametrize(("options", "message"), [({"max_side": 5}, "max_side must be at least 64; given 5")])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        make_scorer({"graphics": options})
