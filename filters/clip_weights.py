"""Which CLIP models and weights there are, told without importing open_clip or torch.

In: the `model` and `pretrained` of a recipe. Out: a checked `ClipWeights`, or a Refusal with the names that come
close. Names are read from open_clip's own files: one JSON per architecture, and the table of published weights.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filters.scorer import refuse_absent
from schemas.open_clip_import import DISTRIBUTION, TIMM, TRANSFORMERS
from schemas.refusal import Refusal

TINY = "tiny"
RANDOM = "random"
_TRANSFORMERS_EXTRA = "pairmill[captions]"
_TINY_FOLDER = Path(__file__).parent / "models" / "tiny_clip"
_CONFIG = "open_clip_config.json"
_QUICK_GELU = "-quickgelu"
_CLOSE = 5


@dataclass(frozen=True)
class ClipWeights:
    """A model that open_clip can make: `model` is its name or a `local-dir:` or `hf-hub:` address of a folder.

    `pretrained` is a tag, the path of a checkpoint, `random`, or None where the folder holds the weights.
    """

    model: str
    pretrained: str | None

    @property
    def is_random(self) -> bool:
        return self.pretrained == RANDOM

    @property
    def is_published(self) -> bool:
        """Whether loading may have to download."""
        return self.model.startswith("hf-hub:") or (
            self.pretrained is not None and not self.is_random and not os.path.isfile(self.pretrained)
        )


def find_weights(model: str, pretrained: str | None) -> ClipWeights:
    """The weights that a recipe asks for; Refusal where open_clip knows neither name, tag nor file."""
    folder = str(_TINY_FOLDER) if model == TINY else model.removeprefix("local-dir:")
    if model == TINY or model.startswith("local-dir:") or os.path.isdir(model):
        _refuse_pretrained(model, pretrained)
        if not os.path.isfile(os.path.join(folder, _CONFIG)):
            raise Refusal(f"scorer 'clip': the model folder {folder!r} holds no {_CONFIG}")
        _refuse_without_transformers(model, Path(folder) / _CONFIG)
        return ClipWeights(f"local-dir:{folder}", None)
    if model.startswith("hf-hub:"):
        _refuse_pretrained(model, pretrained)
        return ClipWeights(model, None)
    return _built_in(model, pretrained)


def embedding_length(weights: ClipWeights) -> int | None:
    """How long the model's embeddings are; None where only loading it tells."""
    described = _described(weights)
    return None if described is None else int(described["embed_dim"])


def needed_libraries(weights: ClipWeights) -> list[str]:
    """Of what open_clip makes towers of, those that it needs; all, where only loading the model tells."""
    described = _described(weights)
    if described is None:
        return [TRANSFORMERS, TIMM]
    has_foreign_text = described.get("text_cfg", {}).get("hf_model_name")
    has_foreign_image = described.get("vision_cfg", {}).get("timm_model_name")
    return [name for name, is_needed in ((TRANSFORMERS, has_foreign_text), (TIMM, has_foreign_image)) if is_needed]


def _described(weights: ClipWeights) -> Mapping[str, Any] | None:
    """The model's configuration; None where it has to be fetched."""
    if weights.model.startswith("hf-hub:"):
        return None
    folder = weights.model.removeprefix("local-dir:")
    return _read_config(Path(folder) / _CONFIG if folder != weights.model else _config_of(weights.model))


def _read_config(config: Path) -> Mapping[str, Any]:
    described = json.loads(config.read_text(encoding="utf-8"))
    found: Mapping[str, Any] = described.get("model_cfg", described)
    return found


def _refuse_pretrained(model: str, pretrained: str | None) -> None:
    if pretrained is not None:
        raise Refusal(
            f"scorer 'clip': the model {model!r} brings its own weights; leave out `pretrained`, given {pretrained!r}"
        )


def _built_in(model: str, pretrained: str | None) -> ClipWeights:
    architectures = _architectures()
    name = model.replace("/", "-")
    if name not in architectures:
        raise Refusal(
            f"scorer 'clip': open_clip has no model {model!r}; {_nearest(name, architectures)}, "
            f"or {TINY!r}, 'local-dir:FOLDER', 'hf-hub:OWNER/NAME'"
        )
    _refuse_without_transformers(model, _config_of(name))
    tags = published_tags().get(name, {})
    if pretrained is None:
        raise Refusal(f"scorer 'clip': the model {model!r} needs `pretrained`: a checkpoint's path{_listed(tags)}")
    if pretrained == RANDOM or os.path.isfile(pretrained) or pretrained.lower().replace("-", "_") in tags:
        return ClipWeights(name, pretrained)
    raise Refusal(
        f"scorer 'clip': {pretrained!r} is neither a file nor weights that open_clip knows for {model!r}; "
        f"{_nearest(pretrained, tags)}"
    )


def _refuse_without_transformers(model: str, config: Path) -> None:
    """Some text towers and tokenisers are those of transformers, which comes with an extra."""
    text_cfg = _read_config(config).get("text_cfg", {})
    if text_cfg.get("hf_model_name") or text_cfg.get("hf_tokenizer_name"):
        refuse_absent("transformers", install=_TRANSFORMERS_EXTRA, wanted_by=f"scorer 'clip' with model {model!r}")


def _nearest(given: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(given.lower(), by_lower, n=_CLOSE, cutoff=0.5)
    if close:
        return "close to it: " + ", ".join(by_lower[name] for name in close)
    names = list(by_lower.values())
    more = f" and {len(names) - _CLOSE} more" if len(names) > _CLOSE else ""
    return "known: " + (", ".join(names[:_CLOSE]) or "none") + more


def _listed(tags: Iterable[str]) -> str:
    return f" or one of {', '.join(sorted(tags))}" if tags else ""


def needs_quick_gelu(weights: ClipWeights) -> bool:
    """Whether published weights want an activation that the architecture of this name does not have.

    open_clip only warns of it, and then computes other embeddings than those that the weights were trained for.
    """
    tag = (weights.pretrained or "").lower().replace("-", "_")
    return not weights.model.endswith(_QUICK_GELU) and published_tags().get(weights.model, {}).get(tag, False)


def _package_folder() -> Path:
    refuse_absent("open_clip", install=DISTRIBUTION, wanted_by="scorer 'clip'")
    spec = importlib.util.find_spec("open_clip")
    return Path(str(spec.origin if spec else None)).parent


def _config_of(architecture: str) -> Path:
    return _package_folder() / "model_configs" / f"{architecture}.json"


@cache
def _architectures() -> frozenset[str]:
    return frozenset(path.stem for path in _config_of("*").parent.glob("*.json"))


@cache
def published_tags() -> Mapping[str, Mapping[str, bool]]:
    """Model name to its tags, each with whether those weights were trained with QuickGELU activations."""
    source = (_package_folder() / "pretrained.py").read_text(encoding="utf-8")
    tables: dict[str, ast.expr] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            tables[statement.targets[0].id] = statement.value
    found: dict[str, dict[str, bool]] = {}
    for model, table in _items(tables["_PRETRAINED"]):
        tags = {tag: _is_quick_gelu(made) for tag, made in _items(_follow(table, tables))}
        found[model] = tags
        quick = {tag: True for tag, is_quick in tags.items() if is_quick}
        if quick:
            found[model + _QUICK_GELU] = quick
    return found


def _follow(value: ast.expr, tables: Mapping[str, ast.expr]) -> ast.expr:
    return tables[value.id] if isinstance(value, ast.Name) else value


def _items(table: ast.expr) -> list[tuple[str, ast.expr]]:
    """The entries of a dict display or of a call of `dict`, as written in a source file."""
    if isinstance(table, ast.Dict):
        pairs = [(key, value) for key, value in zip(table.keys, table.values, strict=True)]
        return [(str(key.value), value) for key, value in pairs if isinstance(key, ast.Constant)]
    if isinstance(table, ast.Call):
        return [(each.arg, each.value) for each in table.keywords if each.arg is not None]
    return []


def _is_quick_gelu(made: ast.expr) -> bool:
    keywords = made.keywords if isinstance(made, ast.Call) else []
    return any(
        each.arg == "quick_gelu" and isinstance(each.value, ast.Constant) and each.value.value is True
        for each in keywords
    )
