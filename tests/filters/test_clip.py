"""CLIP scores against open_clip itself, on a small model with random weights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from filters.clip import Clip
from filters.clip_towers import rows_that_fit
from filters.clip_weights import ClipWeights, find_weights, needs_quick_gelu
from filters.loading import load_model
from filters.scorer import Batch, Scores
from schemas.refusal import Refusal

TEXTS = [
    "a red circle",
    "",
    "two blue squares and a green triangle on a white background",
    "Kreis 🙂 猫",
    "word " * 200,
    "a",
    "three small yellow stars",
    "an <end_of_text> in the middle of it",
]


def pictures() -> list[Image.Image]:
    """Drawn pictures of several sizes, shapes and modes."""
    sizes = [(64, 64), (200, 90), (48, 48), (33, 120), (256, 256), (50, 49), (80, 80), (17, 300)]
    drawn = []
    for index, size in enumerate(sizes):
        image = Image.new("RGB", size, (30 * index, 200 - 20 * index, 90))
        draw = ImageDraw.Draw(image)
        draw.ellipse((3, 5, size[0] - 6, size[1] // 2), fill=(250, 10 * index, 0))
        draw.line((0, 0, *size), fill=(0, 0, 255), width=3)
        drawn.append(image)
    return [*drawn[:6], drawn[6].convert("L"), drawn[7].convert("P")]


def score(scorer: Clip, texts: list[str] = TEXTS) -> Scores:
    model = load_model(scorer, "cpu").model
    prepared = [scorer.prepare(image, model) for image in pictures()[: len(texts)]]
    return scorer.score(Batch(pa.table({"uid": texts, "text": texts}), prepared), model)


def bare(model_name: str, texts: list[str] = TEXTS, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """What open_clip's own calls give: embeddings of the pictures and of the whole, uncut texts."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(model_name, **options)
    model.eval()
    tokens = open_clip.get_tokenizer(model_name)(texts)
    with torch.inference_mode():
        images = torch.stack([preprocess(each) for each in pictures()[: len(texts)]])
        return model.encode_image(images, normalize=True).numpy(), model.encode_text(tokens, normalize=True).numpy()


def test_similarity_and_embeddings_are_open_clips(clip_folder: Path) -> None:
    scores = score(Clip(model=str(clip_folder)))
    images, texts = bare(f"local-dir:{clip_folder}")
    assert scores.columns.schema == pa.schema([("clip_similarity", pa.float32())])
    np.testing.assert_allclose(scores.columns["clip_similarity"].to_numpy(), (images * texts).sum(axis=1), atol=1e-3)
    np.testing.assert_allclose(scores.image_embeddings, images, rtol=0, atol=1e-5)
    np.testing.assert_allclose(scores.text_embeddings, texts, rtol=0, atol=1e-5)
    assert np.ptp(texts, axis=0).max() > 1e-3, "the model tells no text from another: nothing was tested"


@pytest.mark.parametrize(
    ("text_cfg", "is_cut"),
    [
        ({}, True),
        ({"pool_type": "eos", "eos_id": 49407}, True),
        ({"custom_text": True}, True),
        ({"custom_text": True, "pool_type": "last"}, False),
        ({"custom_text": True, "no_causal_mask": True}, False),
        ({"custom_text": True, "embed_cls": True}, False),
    ],
    ids=lambda each: str(each),
)
def test_texts_are_cut_only_where_nothing_changes(
    make_clip: Callable[..., Path], text_cfg: dict[str, Any], is_cut: bool
) -> None:
    folder = make_clip(**text_cfg)
    scorer = Clip(model=f"local-dir:{folder}")
    scores = score(scorer)
    assert load_model(scorer, "cpu").model.facts()["text_cut"] is is_cut
    _, texts = bare(f"local-dir:{folder}")
    np.testing.assert_allclose(scores.text_embeddings, texts, rtol=0, atol=1e-5)


def test_one_text_alone_and_one_among_others_have_the_same_embedding(clip_folder: Path) -> None:
    scorer = Clip(model=str(clip_folder))
    together = score(scorer).text_embeddings
    assert together is not None
    for index, text in enumerate(TEXTS):
        alone = load_model(scorer, "cpu").model.encode_texts([text])
        np.testing.assert_allclose(alone[0], together[index], rtol=0, atol=1e-5)


def test_preprocessing_is_open_clips_to_the_last_bit(clip_folder: Path) -> None:
    import torch
    from open_clip import create_model_and_transforms

    model = load_model(Clip(model=str(clip_folder)), "cpu").model
    _, _, preprocess = create_model_and_transforms(f"local-dir:{clip_folder}")
    expected = torch.stack([preprocess(each) for each in pictures()]).numpy()
    assert np.array_equal(model.floats([model.pixels(each) for each in pictures()]).numpy(), expected)


def test_what_was_computed_is_told(clip_folder: Path) -> None:
    scorer = Clip(model=str(clip_folder), alias="small")
    told = scorer.provenance(load_model(scorer, "cpu").model)
    assert told["label"] == "small"
    assert told["options"]["model"] == str(clip_folder)
    assert told["computed_by"]["precision"] == "fp32"
    assert told["computed_by"]["device"] == "cpu"
    assert told["computed_by"]["preprocessing"]["size"] == [48, 48]
    assert told["computed_by"]["preprocessing"]["interpolation"] == "bicubic"
    assert len(told["computed_by"]["weights_sha256"]) == 64
    assert list(scorer.outputs) == ["small_similarity"]


def test_half_precision_stays_close(clip_folder: Path) -> None:
    exact = score(Clip(model=str(clip_folder))).columns["clip_similarity"].to_numpy()
    brief = score(Clip(model=str(clip_folder), precision="bf16")).columns["clip_similarity"].to_numpy()
    assert 0 < np.abs(exact - brief).max() < 0.03


def test_a_batch_takes_half_of_what_memory_is_free(clip_folder: Path) -> None:
    assert [rows_that_fit(1 << 20, free) for free in (4 << 30, 512 << 20, 64 << 20, 1 << 20)] == [512, 256, 32, 1]
    towers = load_model(Clip(model=str(clip_folder)), "cpu").model
    assert Clip(model=str(clip_folder)).rows_for(towers) == 64
    assert Clip(model=str(clip_folder), batch_size=7).rows_for(towers) == 7


def test_without_embeddings_the_similarity_is_the_same(clip_folder: Path) -> None:
    scores = score(Clip(model=str(clip_folder), embeddings=False))
    assert scores.image_embeddings is None and scores.text_embeddings is None
    assert scores.columns.equals(score(Clip(model=str(clip_folder))).columns)


def test_scorers_that_differ_in_label_alone_share_a_model(clip_folder: Path) -> None:
    one = load_model(Clip(model=str(clip_folder)), "cpu")
    assert load_model(Clip(model=str(clip_folder), alias="again"), "cpu") is one
    assert load_model(Clip(model=str(clip_folder), batch_size=8), "cpu") is not one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "ViT-B-33", "pretrained": "openai"}, "no model 'ViT-B-33'; close to it: ViT-B-32"),
        ({"model": "ViT-B-32", "pretrained": "opnai"}, "neither a file nor weights .*; close to it: openai"),
        ({"model": "ViT-B-32"}, "needs `pretrained`: a checkpoint's path or one of .*laion2b_s34b_b79k"),
        ({"model": "tiny", "pretrained": "openai"}, "'tiny' brings its own weights"),
        ({"model": "local-dir:/nowhere"}, "'/nowhere' holds no open_clip_config.json"),
        ({"precision": "fp8"}, "unknown precision 'fp8'; known: auto, bf16, fp16, fp32"),
        ({"batch_size": 0}, "batch_size must be at least 1; given 0"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message) as refused:
        Clip(**options)
    assert "\n" not in str(refused.value)


def test_a_text_tower_of_transformers_is_refused_where_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(Refusal, match=r"needs 'transformers', .* pip install 'pairmill\[captions\]'"):
        Clip(model="xlm-roberta-base-ViT-B-32", pretrained="laion5b_s13b_b90k")


def test_published_weights_are_known_by_name_and_tag() -> None:
    assert find_weights("ViT-B/32", "laion2b-s34b-b79k") == ClipWeights("ViT-B-32", "laion2b-s34b-b79k")
    assert needs_quick_gelu(find_weights("ViT-B-32", "openai"))
    assert not needs_quick_gelu(find_weights("ViT-B-32-quickgelu", "openai"))
    assert not needs_quick_gelu(find_weights("ViT-B-32", "laion2b_s34b_b79k"))


def test_published_weights_are_those_of_open_clip() -> None:
    import open_clip

    from filters.clip_weights import published_tags

    listed = {(model, tag) for model, tags in published_tags().items() for tag in tags}
    assert listed == set(open_clip.list_pretrained())


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_a_checkpoint_that_is_no_checkpoint_is_refused_in_one_line(
    clip_folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "open_clip_config.json").write_bytes((clip_folder / "open_clip_config.json").read_bytes())
    (tmp_path / name).write_bytes(b"certainly no weights")
    with pytest.raises(Refusal, match=r"scorer 'clip': local-dir:.* could not be loaded: ") as refused:
        Clip(model=str(tmp_path)).load("cpu")
    assert "\n" not in str(refused.value)


def test_weights_of_another_model_are_refused_in_one_line(make_clip: Callable[..., Path], clip_folder: Path) -> None:
    folder = make_clip(width=32)
    (folder / "open_clip_model.safetensors").write_bytes((clip_folder / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(Refusal, match=r"scorer 'clip': local-dir:.* could not be loaded: ") as refused:
        Clip(model=str(folder)).load("cpu")
    assert "\n" not in str(refused.value)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(clip_folder: Path, tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "open_clip_config.json").write_bytes((clip_folder / "open_clip_config.json").read_bytes())
    torch.save({"logit_scale": _Touch(tmp_path / "ran")}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(Refusal, match="could not be loaded"):
        Clip(model=str(folder)).load("cpu")
    assert not (tmp_path / "ran").exists()


class _Touch:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_folder_without_weights_is_refused_rather_than_scored_at_random(clip_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_bytes((clip_folder / "open_clip_config.json").read_bytes())
    with pytest.raises(Refusal, match="could not be loaded: Required pretrained weights"):
        Clip(model=str(tmp_path)).load("cpu")


def test_naming_and_checking_scorers_imports_no_model_library() -> None:
    code = (
        "import sys; from filters.registry import describe, make_scorers; describe(); describe('clip');"
        "make_scorers(['image_facts', 'text_facts', {'clip': {'model': 'ViT-B-32', 'pretrained': 'openai'}}]);"
        "print([name for name in ('torch', 'open_clip', 'transformers', 'apache_beam') if name in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


def test_few_rows_have_the_same_bits_on_one_thread_and_on_two() -> None:
    import torch

    threads = torch.get_num_threads()
    scored = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            scored.append(score(Clip(model="tiny")))
    finally:
        torch.set_num_threads(threads)
    one, two = scored
    assert one.columns.equals(two.columns)
    assert np.array_equal(one.image_embeddings, two.image_embeddings)
    assert np.array_equal(one.text_embeddings, two.text_embeddings)
