"""Where a captioner's model lies, and what stands for it in digests and tables.

In: what a recipe calls the model: `tiny` (the shipped one), a folder in Hugging Face's format, or
`hf-hub:OWNER/NAME`. Out: a ModelPlace, or a Refusal. A folder must hold config.json, weights in safetensors, and a
chat template: nothing is unpickled, no code of a model is run, and nothing is fetched for a folder. A folder's id is
made of its files, so that other weights under the same name are another model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from schemas.refusal import Refusal

TINY = "tiny"
TINY_FOLDER = Path(__file__).parent / "models" / "tiny_mllm"
HUB = "hf-hub:"
_ID_DIGITS = 12
_BLOCK = 1 << 20
_NO_PART = (".md", ".gitattributes", ".gitignore")


@dataclass(frozen=True)
class ModelPlace:
    """location: a folder's path, or a hub's name."""

    location: str
    is_local: bool


def find_model(model: str) -> ModelPlace:
    """Where a model is; opens nothing."""
    if model in (TINY, TINY_FOLDER.name):
        return ModelPlace(str(TINY_FOLDER), is_local=True)
    if model.startswith(HUB):
        return ModelPlace(model.removeprefix(HUB), is_local=False)
    return ModelPlace(model, is_local=True)


def check_model(model: str, *, wanted_by: str) -> ModelPlace:
    """The place of a model that can be loaded, as far as its folder tells. Raises Refusal."""
    place = find_model(model)
    if not place.is_local:
        if place.location.count("/") != 1 or not all(place.location.split("/")):
            raise Refusal(f"{wanted_by}: expected '{HUB}OWNER/NAME'; given {model!r}")
        return place
    folder = Path(place.location)
    choices = f"a model is {TINY!r}, a folder, or '{HUB}OWNER/NAME'"
    if not folder.is_dir():
        raise Refusal(f"{wanted_by}: there is no model folder {place.location!r}; {choices}")
    if not (folder / "config.json").is_file():
        raise Refusal(f"{wanted_by}: the model folder {place.location!r} lacks config.json; {choices}")
    if not any(folder.glob("*.safetensors")):
        raise Refusal(f"{wanted_by}: the model folder {place.location!r} has no weights in safetensors")
    if not _has_chat_template(folder):
        raise Refusal(
            f"{wanted_by}: the model folder {place.location!r} has no chat template "
            "(chat_template.jinja, or `chat_template` in tokenizer_config.json)"
        )
    return place


def model_id(model: str) -> str:
    """What stands for the model: `folder@digest` of a folder's files, a hub's name as it is."""
    place = find_model(model)
    if not place.is_local:
        return place.location
    return folder_id(place.location)


def folder_id(location: str) -> str:
    """A folder's name and the digest of its files."""
    folder = Path(location).resolve()
    parts = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in _parts(folder))
    return f"{folder.name}@{_digest(folder, parts)[:_ID_DIGITS]}"


def _parts(folder: Path) -> Iterator[Path]:
    """The files that make the model what it is, by name."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.suffix not in _NO_PART:
            yield path


@lru_cache(maxsize=64)
def _digest(folder: Path, parts: tuple[tuple[str, int, int], ...]) -> str:
    """SHA-256 over names and contents; parts: names, sizes and times, so that a changed folder is read again."""
    whole = hashlib.sha256()
    for name, _, _ in parts:
        part = hashlib.sha256()
        with open(folder / name, "rb") as file:
            while block := file.read(_BLOCK):
                part.update(block)
        whole.update(f"{name}\x1f{part.hexdigest()}\n".encode())
    return whole.hexdigest()


def _has_chat_template(folder: Path) -> bool:
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    for name in ("tokenizer_config.json", "processor_config.json"):
        path = folder / name
        if os.path.isfile(path) and json.loads(path.read_text(encoding="utf-8")).get("chat_template"):
            return True
    return False
