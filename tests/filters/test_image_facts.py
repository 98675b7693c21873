"""Facts of pictures whose every pixel is known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from filters.image_facts import FACTS, ImageFacts
from filters.image_facts import image_facts as facts_of_image
from filters.scorer import Batch
from schemas.refusal import Refusal


def image_facts(pixels: np.ndarray) -> dict[str, float]:
    return facts_of_image(Image.fromarray(pixels))


def plain(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((20, 30, 3), (red, green, blue), dtype=np.uint8)


def test_grey_picture_has_brightness_and_nothing_else() -> None:
    assert image_facts(plain(100, 100, 100)) == {
        "brightness": 100.0,
        "contrast": 0.0,
        "entropy": 0.0,
        "sharpness": 0.0,
        "colourfulness": 0.0,
        "saturation": 0.0,
        "uniform_share": 1.0,
        "dark_share": 0.0,
        "bright_share": 0.0,
    }


def test_red_picture_is_colourful_and_saturated() -> None:
    facts = image_facts(plain(255, 0, 0))
    # Luma 0.299 * 255 = 76.245; distance of (255, 127.5) from grey 285.10, times 0.3.
    assert facts["brightness"] == 76.0
    assert facts["colourfulness"] == pytest.approx(85.5296, abs=1e-3)
    assert facts["saturation"] == 1.0
    assert facts["uniform_share"] == 1.0


def test_half_black_half_white() -> None:
    picture = plain(0, 0, 0)
    picture[:, 15:] = 255
    facts = image_facts(picture)
    assert facts["brightness"] == 127.5
    assert facts["contrast"] == 127.5
    assert facts["entropy"] == 1.0
    assert facts["uniform_share"] == 0.5
    assert facts["dark_share"] == 0.5
    assert facts["bright_share"] == 0.5
    # 18 x 28 inner pixels; the two columns at the edge hold +255 and -255: 2 * 255^2 / 28.
    assert facts["sharpness"] == pytest.approx(4644.6429, abs=1e-3)


def test_single_bright_pixel_gives_a_laplacian_of_five_pixels() -> None:
    picture = np.zeros((9, 9, 3), dtype=np.uint8)
    picture[4, 4] = 100
    # 49 inner pixels: -400 once, +100 four times: mean 0, variance 200000 / 49.
    assert image_facts(picture)["sharpness"] == pytest.approx(4081.6327, abs=1e-3)


def test_every_level_once_has_eight_bits() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    facts = image_facts(ramp)
    assert facts["entropy"] == 8.0
    assert facts["brightness"] == 127.5
    assert facts["uniform_share"] == 9 / 256
    assert facts["dark_share"] == 16 / 256


def test_near_uniform_allows_noise_of_four_levels_but_not_of_twenty() -> None:
    noise = np.random.default_rng(0)
    quiet = (128 + noise.integers(-4, 5, (40, 40, 1))).astype(np.uint8).repeat(3, axis=2)
    loud = (128 + noise.integers(-20, 21, (40, 40, 1))).astype(np.uint8).repeat(3, axis=2)
    assert image_facts(quiet)["uniform_share"] == 1.0
    assert image_facts(loud)["uniform_share"] < 0.3


def test_picture_of_two_pixels_has_no_laplacian() -> None:
    assert image_facts(np.zeros((1, 2, 3), dtype=np.uint8))["sharpness"] == 0.0


def test_scorer_gives_its_columns_and_reduces_large_pictures() -> None:
    scorer = ImageFacts(max_side=64)
    large = Image.fromarray(np.tile(np.array([[0, 255], [255, 0]], dtype=np.uint8), (64, 64)))
    # Blocks of 2 x 2 average to one grey.
    prepared = scorer.prepare(large, None)
    assert prepared["contrast"] == 0.0
    assert prepared["brightness"] in (127.0, 128.0)
    scores = scorer.score(Batch(pa.table({"uid": ["a"]}), [prepared]), None)
    assert scores.columns.schema == scorer.schema
    assert scores.columns.column_names == list(FACTS)
    assert scores.image_embeddings is None


def test_other_modes_are_read_as_colours() -> None:
    scorer = ImageFacts()
    palette = Image.new("RGB", (8, 8), (0, 0, 255)).convert("P")
    assert scorer.prepare(palette, None)["saturation"] == 1.0
    assert scorer.prepare(Image.new("L", (8, 8), 50), None)["brightness"] == 50.0


def test_useless_size_is_refused() -> None:
    with pytest.raises(Refusal, match="max_side must be at least 16; given 4"):
        ImageFacts(max_side=4)
