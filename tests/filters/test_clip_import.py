"""What a scoring process imports: transformers only once a model has need of it, and then it works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

PROJECT = Path(__file__).parents[2]
# A process of its own: what this one has imported would tell nothing. Prints one line of JSON a step.
SCORE = """
import json, sys
from filters.clip import Clip
from filters.loading import load_model

def told(scorer, texts):
    towers = load_model(scorer, "cpu").model
    rows = towers.encode_texts(texts)
    print(json.dumps({"transformers": "transformers" in sys.modules, "dimension": rows.shape[1],
                      "lengths": (rows * rows).sum(axis=1).round(4).tolist(), "cosine": float(rows[0] @ rows[1])}))

told(Clip(), ["a red circle", "two blue squares"])
"""
THEN_ANOTHER = """
from schemas.open_clip_import import import_open_clip
folder = sys.argv[1]
open_clip = import_open_clip(wanted_by="a test", with_transformers=True)
import torch
from safetensors.torch import save_file
torch.manual_seed(0)
made = open_clip.create_model("local-dir:" + folder, pretrained_text=False)
weights = {name: each.contiguous() for name, each in made.state_dict().items()}
save_file(weights, folder + "/open_clip_model.safetensors")
told(Clip(model=folder), ["a red circle", "two blue squares"])
tower = made.eval().text
print(json.dumps({"tower": type(tower).__name__, "of": type(tower.transformer).__module__}))
"""
WORDS = ["[PAD]", "[UNK]", "a", "red", "circle", "two", "blue", "squares"]


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A CLIP whose text tower is a small BERT, in a folder without weights."""
    tower = tmp_path / "bert"
    tower.mkdir()
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = {"model_type": "bert", "vocab_size": len(WORDS), "max_position_embeddings": 64, "pad_token_id": 0, **sizes}
    (tower / "config.json").write_text(json.dumps(config))
    text_cfg = {
        "hf_model_name": str(tower),
        "hf_tokenizer_name": str(tower),
        "hf_proj_type": "mlp",
        "context_length": 8,
    }
    vision_cfg = {"image_size": 48, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    model_cfg = {"embed_dim": 16, "vision_cfg": vision_cfg, "text_cfg": {**text_cfg, "hf_pooler_type": "mean_pooler"}}
    model = tmp_path / "model"
    model.mkdir()
    (model / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}))
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(model / "tokenizer.json"))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (model / "tokenizer_config.json").write_text(json.dumps(special))
    return model


def test_transformers_is_imported_for_a_model_that_needs_it_and_for_no_other(bert: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCORE + THEN_ANOTHER, str(bert)], cwd=PROJECT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    tiny, other, made = map(json.loads, run.stdout.splitlines())
    assert tiny["transformers"] is False and tiny["lengths"] == [1.0, 1.0] and tiny["cosine"] < 0.99
    assert other["transformers"] is True and other["lengths"] == [1.0, 1.0] and other["dimension"] == 16
    assert made == {"tower": "HFTextEncoder", "of": "transformers.models.bert.modeling_bert"}
