"""Pictures whose text is painted over before CLIP sees them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from filters.clip import Clip
from filters.clip_without_text import ClipWithoutText, without_text
from filters.loading import load_model
from filters.ocr import Line
from filters.registry import make_scorer
from filters.scorer import Batch


def poster() -> Image.Image:
    """A red disc on grey, with words above it."""
    image = Image.new("RGB", (240, 200), (168, 170, 174))
    pen = ImageDraw.Draw(image)
    pen.ellipse((90, 90, 170, 170), fill=(214, 32, 40))
    pen.text((20, 20), "GREEN SQUARES", fill="black", font=ImageFont.load_default(24))
    return image


def test_lines_take_the_colour_around_them() -> None:
    image = Image.new("RGB", (60, 40), (10, 200, 30))
    ImageDraw.Draw(image).rectangle((20, 10, 39, 19), fill=(255, 255, 255))
    line = Line(np.array([[20, 10], [39, 10], [39, 19], [20, 19]], np.float32), "x", 1.0)
    assert without_text(image, [line]).getcolors() == [(2400, (10, 200, 30))]
    assert without_text(image, []) is image
    whole = Line(np.array([[0, 0], [59, 0], [59, 39], [0, 39]], np.float32), "x", 1.0)
    assert len(without_text(image.convert("L"), [whole]).getcolors() or ()) == 1


def test_the_similarity_is_that_of_the_picture_without_its_words() -> None:
    clip, masked = Clip(), ClipWithoutText()
    plain, towers = load_model(clip, "cpu").model, load_model(masked, "cpu").model
    image, empty = poster(), Image.new("RGB", (240, 200), (168, 170, 174))
    ImageDraw.Draw(empty).ellipse((90, 90, 170, 170), fill=(214, 32, 40))
    batch = Batch(
        pa.table({"uid": ["a", "b"], "text": ["a red circle"] * 2}),
        [masked.prepare(each, towers) for each in (image, empty)],
    )
    found = masked.score(batch, towers)
    assert found.columns.schema == pa.schema([("clip_without_text_similarity", pa.float32())])
    assert found.image_embeddings is None
    with_words, without = (
        plain.encode_images([plain.pixels(image), plain.pixels(empty)]) @ plain.encode_texts(["a red circle"])[0]
    )
    masked_one, untouched = found.columns["clip_without_text_similarity"].to_pylist()
    assert abs(untouched - without) < 1e-5
    assert abs(masked_one - without) < 0.05 < abs(with_words - without)


def test_what_read_the_text_is_told() -> None:
    scorer = make_scorer({"clip_without_text": {"as": "tmars"}})
    assert list(scorer.outputs) == ["tmars_similarity"] and not scorer.embeds
    told = scorer.provenance(load_model(scorer, "cpu").model)["computed_by"]
    assert told["precision"] == "fp32" and told["reader"]["detector"].startswith("PP-OCR")
