"""What a scoring process imports: transformers and timm only once a model has need of them, and then they work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

PROJECT = Path(__file__).parents[2]
# A process of its own: what this one has imported would tell nothing. Prints one line of JSON a model.
SCORE = """
import json, sys
from filters.clip import Clip
from filters.loading import load_model
from schemas.open_clip_import import import_open_clip

WATCHED = ("timm", "transformers")
def told(scorer):
    towers = load_model(scorer, "cpu").model
    rows = towers.encode_texts(["a red circle", "two blue squares"])
    print(json.dumps({"imported": [name for name in WATCHED if name in sys.modules],
                      "dimension": rows.shape[1], "lengths": (rows * rows).sum(axis=1).round(4).tolist(),
                      "image": type(towers.model.visual).__name__, "text": type(towers.model).__name__}))

for folder, needs in zip(sys.argv[1:], ([], ["transformers"])):
    open_clip = import_open_clip(wanted_by="a test", needs=needs)
    import torch
    from safetensors.torch import save_file
    torch.manual_seed(0)
    made = open_clip.create_model("local-dir:" + folder, pretrained_text=False)
    weights = {name: each.contiguous() for name, each in made.state_dict().items()}
    save_file(weights, folder + "/open_clip_model.safetensors")
    # What it imports, and nobody needs, takes longest of all.
    WATCHED = ("timm", "transformers") if needs else ("timm", "transformers", "torch._dynamo")
    told(Clip(model=folder))
print(type(made.text.transformer).__module__)
told(Clip())
"""
WORDS = ["[PAD]", "[UNK]", "a", "red", "circle", "two", "blue", "squares"]


IMAGES = {"image_size": 48, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXTS = {"context_length": 8, "width": 32, "heads": 2, "layers": 1}


def write_config(folder: Path, *, images: dict[str, Any], texts: dict[str, Any]) -> None:
    folder.mkdir()
    config = {"embed_dim": 16, "vision_cfg": images, "text_cfg": texts}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A CLIP whose text tower is a small BERT, in a folder without weights."""
    tower = tmp_path / "bert"
    tower.mkdir()
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = {"model_type": "bert", "vocab_size": len(WORDS), "max_position_embeddings": 64, "pad_token_id": 0, **sizes}
    (tower / "config.json").write_text(json.dumps(config))
    texts = {
        "hf_model_name": str(tower),
        "hf_tokenizer_name": str(tower),
        "hf_proj_type": "mlp",
        "hf_pooler_type": "mean_pooler",
        "context_length": 8,
    }
    model = tmp_path / "with bert"
    write_config(model, images=IMAGES, texts=texts)
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(model / "tokenizer.json"))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (model / "tokenizer_config.json").write_text(json.dumps(special))
    return model


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A CLIP of open_clip's own towers, in a folder without weights."""
    write_config(tmp_path / "plain", images=IMAGES, texts=TEXTS)
    return tmp_path / "plain"


def test_a_library_is_imported_for_a_model_that_needs_it_and_for_no_other(plain: Path, bert: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCORE, str(plain), str(bert)], cwd=PROJECT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    own, with_bert, module, tiny = run.stdout.splitlines()
    common = {"dimension": 16, "lengths": [1.0, 1.0], "image": "VisionTransformer"}
    assert json.loads(own) == {"imported": [], "text": "CLIP", **common}
    assert json.loads(with_bert) == {"imported": ["transformers"], "text": "CustomTextCLIP", **common}
    assert module == "transformers.models.bert.modeling_bert"
    assert json.loads(tiny) == {
        "imported": ["timm", "transformers"],
        "dimension": 128,
        "lengths": [1.0, 1.0],
        "image": "TimmModel",
        "text": "CLIP",
    }
