"""A model of SigLIP's kind: a text tower that looks both ways, a tokenizer of Hugging Face's, all in one folder."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from filters.clip import Clip
from filters.loading import load_model
from filters.scorer import Batch

WORDS = ("</s>", "<unk>", "a", "red", "blue", "green", "circle", "square", "star", "two", "three", "of", "the")
TEXTS = ["a red circle", "Two BLUE squares!", "", "the star of " * 30]
MODEL_CFG = {
    "embed_dim": 32,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 64,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 32,
        "heads": 2,
        "layers": 2,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
    },
}
PREPROCESS_CFG = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As open_clip and transformers save it, with random weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = tmp_path_factory.mktemp("siglip")
    (made / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}))
    words = Tokenizer(models.WordLevel({word: place + 1 for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    whole = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>", unk_token="<unk>")
    whole.save_pretrained(made)
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{made}")
    weights = {name: each.contiguous() for name, each in model.state_dict().items()}
    save_file(weights, made / "open_clip_model.safetensors")
    return made


def test_similarities_are_open_clips_and_nothing_is_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip
    import torch

    def refuse(*_: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    scorer = Clip(model=str(folder), alias="siglip")
    towers = load_model(scorer, "cpu").model
    images = [Image.new("RGB", (50, 30), (50 * row, 10, 200)) for row in range(4)]
    batch = Batch(pa.table({"uid": TEXTS, "text": TEXTS}), [scorer.prepare(image, towers) for image in images])
    scores = scorer.score(batch, towers)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    assert tokens[1].tolist() == [10, 5, 2] + [1] * 13
    with torch.inference_mode():
        pictures = model.eval().encode_image(torch.stack([preprocess(each) for each in images]), normalize=True).numpy()
        texts = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(scores.image_embeddings, pictures, rtol=0, atol=1e-5)
    np.testing.assert_allclose(scores.text_embeddings, texts, rtol=0, atol=1e-5)
    np.testing.assert_allclose(scores.columns["siglip_similarity"].to_numpy(), (pictures * texts).sum(1), atol=1e-3)
    told = scorer.provenance(towers)["computed_by"]
    assert told["preprocessing"]["resize_mode"] == "squash" and told["text_cut"] is False
    assert scorer.known_dimension == 32 == towers.dimension
