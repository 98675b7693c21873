"""How much work a scorer's model is: operations a pair, from the shape of its towers.

In: a scorer. Out: multiplications and additions of one forward pass over picture and text, and the width of its
embeddings; None where it has no model that open_clip describes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filters.scorer import Scorer

# The shipped one; its work is measured as it is.
TINY, TINY_WIDTH = "tiny", 128
# Layers, width and what a layer widens to, of timm's vision transformers.
_TIMM = re.compile(r"vit_([a-z0-9]+)_patch(\d+)_siglip.*")
_TIMM_SHAPES = {"base": (12, 768, 4.0), "large": (24, 1024, 4.0), "so400m": (27, 1152, 4304 / 1152)}
_NAME = re.compile(r"[A-Za-z0-9_.+-]+(/[0-9]+)?")


def transformer_flops(*, layers: int, width: int, tokens: int, mlp_ratio: float = 4.0) -> float:
    """One pass of a transformer over `tokens`: projections, the two layers between them, and attention."""
    return layers * (tokens * width * width * (8 + 4 * mlp_ratio) + 4 * tokens * tokens * width)


def tower_flops(shape: Mapping[str, Any]) -> float | None:
    """Picture and text of one open_clip configuration; None for towers that are not plain transformers."""
    vision, text = {**shape["vision_cfg"], **_timm(shape["vision_cfg"])}, shape["text_cfg"]
    if not isinstance(vision.get("layers"), int) or "layers" not in text:
        return None
    patch, width = vision["patch_size"], vision["width"]
    patches = (vision["image_size"] // patch) ** 2
    ratio = vision.get("mlp_ratio", 4.0)
    image = transformer_flops(layers=vision["layers"], width=width, tokens=patches + 1, mlp_ratio=ratio)
    image += 2 * patches * 3 * patch * patch * width
    words = transformer_flops(layers=text["layers"], width=text["width"], tokens=text.get("context_length", 77))
    return float(image + words)


def _timm(vision: Mapping[str, Any]) -> dict[str, Any]:
    """Layers, width and patch of a tower that is named by timm's name; nothing of one that is no such transformer."""
    found = _TIMM.fullmatch(vision.get("timm_model_name", ""))
    if found is None or found[1] not in _TIMM_SHAPES:
        return {}
    layers, width, ratio = _TIMM_SHAPES[found[1]]
    return {"layers": layers, "width": width, "mlp_ratio": ratio, "patch_size": int(found[2])}


def model_of(scorer: Scorer) -> str | None:
    """The name of a scorer's open_clip model, where it has one that is not the shipped one."""
    model = getattr(scorer, "model", None)
    return model if isinstance(model, str) and model != TINY else None


def model_flops(model: str) -> float | None:
    """Operations a pair of an open_clip model."""
    shape = _shape(model)
    return None if shape is None else tower_flops(shape)


def embedding_width(scorer: Scorer) -> int | None:
    """Numbers in an embedding that the scorer stores; None where it stores none or they are not known."""
    model = getattr(scorer, "model", None)
    if not scorer.embeds or not isinstance(model, str):
        return None
    if model == TINY:
        return TINY_WIDTH
    shape = _shape(model)
    return None if shape is None else int(shape["embed_dim"])


def _shape(model: str) -> Mapping[str, Any] | None:
    """open_clip's own description of a model, read without loading open_clip."""
    found = find_spec("open_clip")
    if found is None or not found.submodule_search_locations or not _NAME.fullmatch(model):
        return None
    file = Path(found.submodule_search_locations[0]) / "model_configs" / f"{model.replace('/', '-')}.json"
    if not file.exists():
        return None
    shape: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return shape
