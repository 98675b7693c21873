"""A small open_clip model with random weights, in a folder as open_clip saves it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODEL_CFG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}
PREPROCESS_CFG = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def make_clip_folder(folder: Path, **text_cfg: Any) -> Path:
    """Writes such a folder; `text_cfg` changes the text tower, `custom_text` its class."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    custom = text_cfg.pop("custom_text", False)
    config = {**MODEL_CFG, "text_cfg": {**MODEL_CFG["text_cfg"], **text_cfg}, "custom_text": custom}
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": PREPROCESS_CFG}))
    torch.manual_seed(7)
    model = open_clip.create_model(f"local-dir:{folder}")
    weights = {name: each.contiguous() for name, each in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip_folder(tmp_path_factory.mktemp("clip") / "model")


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    return lambda **text_cfg: make_clip_folder(tmp_path / "model", **text_cfg)
