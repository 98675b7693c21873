"""Faces drawn for the test: boxes in DataComp's form, and none where no face is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from beam_jobs.world.drawing import draw
from beam_jobs.world.pictures import SKINS, draw_face
from beam_jobs.world.scenes import scene
from filters.faces import Faces
from filters.loading import load_model
from filters.registry import check_files, make_scorer
from filters.scorer import Batch
from schemas.refusal import Refusal


def portraits() -> list[Image.Image]:
    """Sixteen scenes with a face in front of each."""
    images = []
    for number in range(16):
        image = Image.fromarray(draw(scene("portrait", 1, number), 256))
        images.append(draw_face(image, (90 + 3 * number, 100), 25 + 3 * (number % 5), SKINS[number % 4]))
    return images


def facts(images: list[Image.Image]) -> list[dict[str, Any]]:
    scorer = Faces()
    model = load_model(scorer, "cpu").model
    with ThreadPoolExecutor(2) as pool:
        prepared = list(pool.map(lambda image: scorer.prepare(image, model), images))
    found = scorer.score(Batch(pa.table({"uid": [""] * len(images)}), prepared), model).columns
    assert found.schema == scorer.schema
    return list(found.to_pylist())


def test_a_box_is_in_shares_of_the_picture() -> None:
    image = draw_face(Image.new("RGB", (400, 200), (120, 150, 180)), (100, 100), 40, SKINS[0])
    draw_face(image, (300, 100), 30, SKINS[2])
    both, none, tiny = facts([image, Image.new("RGB", (64, 64)), Image.new("RGB", (9, 9))])
    assert both["face_count"] == 2 and len(both["face_bboxes"]) == 2
    left, top, right, bottom = sorted(both["face_bboxes"])[0]
    # A face from 72 to 128 across and from 70, under the hair, to 138 down, of 400 x 200.
    assert (left, top, right, bottom) == pytest.approx((0.18, 0.35, 0.32, 0.69), abs=0.05)
    assert both["face_area"] == pytest.approx((right - left) * (bottom - top))
    assert both["face_confidence"] > 0.8
    expected = {"face_bboxes": [], "face_count": 0, "face_area": 0.0, "face_confidence": None}
    assert none == expected and tiny == expected


def test_portraits_are_told_from_scenes() -> None:
    """Drawn ones; of 200 each, precision is 1.00 and recall 0.95."""
    scenes = [Image.fromarray(draw(scene("plain", 1, number), 256)) for number in range(16)]
    found = facts([*portraits(), *scenes])
    assert sum(row["face_count"] > 0 for row in found[:16]) >= 15
    assert sum(row["face_count"] > 0 for row in found[16:]) <= 1


def test_a_larger_picture_is_reduced_and_its_boxes_are_the_same() -> None:
    small = draw_face(Image.new("RGB", (300, 300), (120, 150, 180)), (150, 150), 50, SKINS[1])
    large = small.resize((1200, 1200), Image.Resampling.BICUBIC)
    one, other = facts([small, large])
    assert one["face_count"] == other["face_count"] == 1
    assert one["face_bboxes"][0] == pytest.approx(other["face_bboxes"][0], abs=0.03)


def test_what_found_them_is_told() -> None:
    scorer = Faces()
    told = scorer.provenance(scorer.load())
    assert told["computed_by"]["weights_sha256"].startswith("8f2383e4dd3cfbb4")
    assert str(Path(__file__).parents[2]) not in str(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 1}, "confidence must be between 0 and 1; given 1"),
        ({"max_side": 10}, "max_side must be at least 64; given 10"),
        ({"file": "absent.onnx"}, "the file 'absent.onnx' cannot be read"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        check_files([make_scorer({"faces": options})])
