"""PDQ against the hashes that its authors publish."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from filters.pdq import Pdq, pdq
from filters.scorer import Batch


def bits_apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_published_hashes_are_met(shared_folder: Path) -> None:
    with (shared_folder / "near_duplicates" / "pdq" / "pdq_expected_hashes.tsv").open() as file:
        expected = {row["file"].split("/")[-1]: row for row in csv.DictReader(file, delimiter="\t")}
    apart = {}
    for name in ("square-128x128.jpg", "square-256x256.jpg", "shrink-a-lot.jpg", "shrink-a-little.jpg", "aaa-orig.jpg"):
        with Image.open(shared_folder / "near_duplicates" / expected[name]["file"]) as image:
            digest, quality = pdq(image)
        apart[name] = bits_apart(digest, expected[name]["pdq_hash_hex"])
        assert quality == 100
    # Above 512 pixels the publisher's tool reduces the picture first, in its own way.
    assert apart == {
        "square-128x128.jpg": 0,
        "square-256x256.jpg": 0,
        "shrink-a-lot.jpg": 0,
        "shrink-a-little.jpg": 4,
        "aaa-orig.jpg": 6,
    }


def test_a_plain_picture_has_no_quality() -> None:
    assert pdq(Image.new("RGB", (100, 100), (10, 20, 30)))[1] == 0
    assert pdq(Image.new("RGB", (3, 100), (10, 20, 30))) == ("0" * 64, 0)


def clouds(seed: int) -> Image.Image:
    """Detail of all sizes, the larger the stronger, as pictures have it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((240, 300))
    for size in (3, 6, 12, 24, 48):
        coarse = Image.fromarray(rng.standard_normal((size, size)).astype(np.float32))
        total += np.asarray(coarse.resize((300, 240), Image.Resampling.BICUBIC)) / size**0.7
    return Image.fromarray(((total - total.min()) / np.ptp(total) * 255).astype(np.uint8)).convert("RGB")


def test_a_smaller_copy_differs_in_few_bits_and_another_picture_in_half() -> None:
    digest, quality = pdq(clouds(0))
    assert quality == 100
    assert bits_apart(digest, pdq(clouds(0).resize((150, 120)))[0]) <= 31
    assert bits_apart(digest, pdq(clouds(0).convert("L"))[0]) == 0
    assert 100 < bits_apart(digest, pdq(clouds(1))[0]) < 156


def test_columns_are_those_declared() -> None:
    import pyarrow as pa

    scorer = Pdq()
    prepared = [scorer.prepare(Image.new("L", (64, 64), 7), None)]
    scores = scorer.score(Batch(pa.table({"uid": ["a"]}), prepared), None)
    assert scores.columns.schema == scorer.schema
    assert scorer.outputs == {"pdq": pa.string(), "pdq_quality": pa.int32()}
