"""The shipped tiny CLIP, through open_clip's own `local-dir:` path, on scenes that it has not seen."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from beam_jobs.world.measures import auc, similarities
from beam_jobs.world.scenes import scene, split_of

MODEL = Path(__file__).parents[2] / "filters" / "models" / "tiny_clip"
STRICT, LENIENT = 0.55, 0.35  # the thresholds of the model card


@pytest.fixture(scope="module")
def found() -> Mapping[str, np.ndarray]:
    return similarities(MODEL, scenes=300, seed=1)


def test_the_folder_is_small() -> None:
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 10_000_000


def test_the_weights_are_half_precision_and_finite() -> None:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(MODEL / "open_clip_model.safetensors")
    assert {str(value.dtype) for value in tensors.values() if value.is_floating_point()} == {"torch.float16"}
    assert all(torch.isfinite(value).all() for value in tensors.values())


def test_the_measured_scenes_are_of_the_split_that_training_never_shows() -> None:
    assert {split_of(scene("measure", 1, number, split="held_out")) for number in range(300)} == {"held_out"}


def test_matched_and_mismatched_pairs_are_told_apart(found: Mapping[str, np.ndarray]) -> None:
    assert auc(found["right"], found["other_scene"]) >= 0.97


def test_one_wrong_attribute_is_noticed(found: Mapping[str, np.ndarray]) -> None:
    assert auc(found["right"], found["hard_colour"]) >= 0.95
    assert auc(found["right"], found["hard_count"]) >= 0.8
    assert auc(found["right"], found["hard_shape"]) >= 0.8


def test_texts_that_say_little_lie_between_right_and_wrong_ones(found: Mapping[str, np.ndarray]) -> None:
    means = {kind: float(values.mean()) for kind, values in found.items()}
    for kind in ("vague", "boilerplate", "non_english"):
        assert means["other_scene"] <= means[kind] < means["right"]


def test_the_strict_threshold_keeps_right_texts_and_no_others(found: Mapping[str, np.ndarray]) -> None:
    assert float((found["right"] >= STRICT).mean()) >= 0.97
    for kind in ("other_scene", "vague", "boilerplate", "non_english"):
        assert float((found[kind] < STRICT).mean()) >= 0.95


def test_the_lenient_threshold_drops_only_what_contradicts(found: Mapping[str, np.ndarray]) -> None:
    for kind in ("right", "vague", "boilerplate", "non_english"):
        assert float((found[kind] >= LENIENT).mean()) >= 0.97
    assert float((found["other_scene"] < LENIENT).mean()) >= 0.9


def test_a_measure_of_areas() -> None:
    assert auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0
    assert auc(np.array([1.0, 4.0]), np.array([2.0, 1.0])) == 0.625
    assert auc(np.array([1.0]), np.array([2.0])) == 0.0
