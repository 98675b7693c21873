"""A small network over embeddings, read from a file of weights: linear layers, batch norms, one activation between.

In: a .safetensors, .npz, .pth, .pt or .bin file whose tensors are named as torch names them (`layers.0.weight`,
`layers.0.bias` ...). Out: its layers as NumPy arrays, or a Refusal that names file and tensor. Files are read as
weights only: nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filters.scorer import require
from schemas.refusal import Refusal

SUFFIXES = (".safetensors", ".npz", ".pth", ".pt", ".bin")
ACTIVATIONS = ("none", "relu", "gelu", "tanh")
OUTPUTS = ("none", "sigmoid", "softmax")
_EPSILON = 1e-5
_LEAST_SPREAD = 1e-7
_UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Layer:
    """rows @ weight.T + bias, or, for a weight of one dimension, rows * weight + bias. `is_next`: the layer stands
    right behind another in a `Sequential`, so that no activation is between them."""

    name: str
    weight: np.ndarray
    bias: np.ndarray
    is_next: bool


@dataclass(frozen=True)
class Head:
    """Layers in order; `activation` stands before each linear one but the first."""

    layers: tuple[Layer, ...]
    activation: str
    output: str

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        values = rows.astype(np.float32)
        seen = False
        for layer in self.layers:
            if layer.weight.ndim == 1:
                values = values * layer.weight + layer.bias
                continue
            if seen and not layer.is_next:
                values = _activate(values, self.activation)
            values, seen = values @ layer.weight.T + layer.bias, True
        return _finish(values, self.output)


def file_digest(path: str, *, wanted_by: str) -> str:
    """SHA-256 of a file of weights."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise Refusal(f"{wanted_by}: the file {path!r} cannot be read: {error.strerror}") from error


def read_head(path: str, *, activation: str, output: str, wanted_by: str) -> Head:
    """The network that a file holds."""
    if not Path(path).is_file():
        raise Refusal(f"{wanted_by}: there is no file {path!r}")
    return Head(_layers(_tensors(path, wanted_by), path, wanted_by), activation, output)


def check_head(head: Head, *, length: int | None, outputs: int, path: str, wanted_by: str) -> None:
    """Raises Refusal unless the network takes embeddings of this length (None: not known) and gives so many numbers."""
    linear = [layer for layer in head.layers if layer.weight.ndim == 2]
    takes = head.layers[0].weight.shape[-1]
    if length is not None and takes != length:
        raise Refusal(f"{wanted_by}: {path!r} takes embeddings of length {takes}; those given have {length}")
    gives = linear[-1].weight.shape[0]
    if gives != outputs:
        raise Refusal(f"{wanted_by}: {path!r} gives {gives} numbers, and `names` has {outputs}")


def _tensors(path: str, wanted_by: str) -> dict[str, np.ndarray]:
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise Refusal(f"{wanted_by}: expected a file of weights ({', '.join(SUFFIXES)}); given {path!r}")
    from safetensors import SafetensorError

    try:
        found = _READERS.get(suffix, _read_torch)(path)
    except (*_UNREADABLE, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Refusal(f"{wanted_by}: {path!r} cannot be read as weights: {reason}") from error
    return {name: np.asarray(each) for name, each in found.items()}


def _read_torch(path: str) -> dict[str, Any]:
    torch = require("torch", install="torch", wanted_by="a head")
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping):
        raise ValueError("it holds no mapping of names to tensors")
    return {str(name): each.float().numpy() for name, each in loaded.items() if isinstance(each, torch.Tensor)}


def _read_safetensors(path: str) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _read_npz(path: str) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


_READERS = {".safetensors": _read_safetensors, ".npz": _read_npz}


def _layers(tensors: Mapping[str, np.ndarray], path: str, wanted_by: str) -> tuple[Layer, ...]:
    """The layers in the order of their names, numbers as numbers; each must fit the one before.

    What standardises by `mean` and `variance` comes first: files need not keep the order of a network.
    """
    layers: list[Layer] = []
    names = sorted({name.rpartition(".")[0] for name in tensors}, key=_by_number)
    for name in sorted(names, key=lambda each: f"{each}.variance".lstrip(".") not in tensors):
        parts = {name_.rpartition(".")[2]: each for name_, each in tensors.items() if name_.rpartition(".")[0] == name}
        layer = _layer(name, parts, layers[-1].name if layers else "")
        if layer is None:
            raise Refusal(
                f"{wanted_by}: {path!r} holds {name or 'tensors'} with {sorted(parts)}, which is no layer known"
            )
        takes = layers[-1].weight.shape[0] if layers else layer.weight.shape[-1]
        if layer.weight.shape[-1] != takes:
            raise Refusal(
                f"{wanted_by}: in {path!r} {layer.name or 'weight'} takes {layer.weight.shape[-1]} numbers and is "
                f"given {takes}"
            )
        layers.append(layer)
    if not any(layer.weight.ndim == 2 for layer in layers):
        raise Refusal(f"{wanted_by}: {path!r} holds no linear layer")
    return tuple(layers)


def _layer(name: str, parts: Mapping[str, np.ndarray], before: str) -> Layer | None:
    given = {part: each.astype(np.float32) for part, each in parts.items() if part != "num_batches_tracked"}
    weight = given.get("weight")
    if "mean" in given and "variance" in given:
        scale = 1 / np.maximum(np.sqrt(given["variance"].ravel()), _LEAST_SPREAD)
        return Layer(name, scale, -given["mean"].ravel() * scale, False)
    if "running_mean" in given and "running_var" in given:
        ones = np.ones_like(given["running_mean"])
        scale = (ones if weight is None else weight) / np.sqrt(given["running_var"] + _EPSILON)
        return Layer(name, scale, given.get("bias", 0 * ones) - given["running_mean"] * scale, False)
    if weight is None or weight.ndim != 2 or not set(given) <= {"weight", "bias"}:
        return None
    bias = given.get("bias", np.zeros(len(weight), np.float32))
    return Layer(name, weight, bias, _follows(before, name)) if bias.shape == weight.shape[:1] else None


def _by_number(name: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name))


def _follows(before: str, name: str) -> bool:
    """Whether two members of one `Sequential` are numbered one after the other."""
    first, last = before.rpartition("."), name.rpartition(".")
    return first[0] == last[0] and first[2].isdigit() and last[2].isdigit() and int(last[2]) == int(first[2]) + 1


def _activate(values: np.ndarray, kind: str) -> np.ndarray:
    if kind == "relu":
        return np.maximum(values, 0)
    if kind == "tanh":
        return np.tanh(values)
    if kind == "gelu":
        from scipy.special import erf

        return np.asarray(values * 0.5 * (1 + erf(values / np.sqrt(2))), dtype=np.float32)
    return values


def _finish(values: np.ndarray, kind: str) -> np.ndarray:
    if kind == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))), dtype=np.float32)
    if kind == "softmax":
        raised = np.exp(values - values.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)
    return values
