"""A CLIP model in memory: pictures to pixels, pixels and texts to embeddings of unit length.

In: weights that `clip_weights` found, a device, a precision. Out: NumPy arrays (float32), equal to what open_clip's
`encode_image` and `encode_text` give for the same pictures and texts. The only module of scorers that needs torch.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from filters.clip_weights import ClipWeights, needed_libraries, needs_quick_gelu
from filters.text_cut import TextCut, find_text_cut
from schemas.open_clip_import import import_open_clip
from schemas.refusal import Refusal

# Texts of about equal length go through the tower together: on a CPU small groups cost nothing.
_TEXTS_PER_GROUP = 16
_REASON_LENGTH = 300
# Rows of a forward pass where the recipe says nothing: more gain nothing on a CPU, and little on a GPU.
ROWS_ON_A_CPU, MOST_ROWS = 64, 512
_ROWS_TRIED = 32
_SHARE_OF_MEMORY = 0.5
# On a CPU with one thread torch multiplies and convolves fewer rows in another way than with several, so that their
# last bits would differ: what is fewer is filled up.
_LEAST_IMAGES = 16
# What open_clip and torch raise of weights that are absent, damaged, of another model, or more than weights.
_UNREADABLE = (RuntimeError, ValueError, AssertionError, OSError, KeyError, pickle.UnpicklingError)
_LOCAL = "local-dir:"
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")


@dataclass(frozen=True)
class _Preprocessing:
    """open_clip's preprocessing in two parts: per picture in threads, and per batch beside the model.

    `to_pixels` gives uint8 arrays; scaling and normalising them as one batch gives the same floats as open_clip's
    last two steps. Where its steps are not those known here, `mean` is None and `to_pixels` gives floats.
    """

    to_pixels: Any
    mean: Any = None
    std: Any = None
    facts: Any = None


class ClipTowers:
    """Use by one thread at a time, except `pixels`."""

    def __init__(
        self, model: Any, tokenizer: Any, *, device: Any, precision: str, preprocessing: _Preprocessing, weights: Any
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._device = device
        self.precision = precision
        self._preprocessing = preprocessing
        self._weights = weights
        self._cut = self._checked_cut()
        self.rows_per_batch = self._rows_that_fit()

    @cached_property
    def dimension(self) -> int:
        """The length of an embedding."""
        return int(self.encode_texts([""]).shape[1])

    def _rows_that_fit(self) -> int:
        """How many rows a forward pass takes when nobody says: by the memory of one, of a GPU's free memory."""
        if self._device.type != "cuda":
            return ROWS_ON_A_CPU
        import torch

        pixels = self.pixels(Image.new("RGB", (64, 64)))
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        self.encode_images([pixels] * _ROWS_TRIED)
        taken = torch.cuda.max_memory_allocated(self._device) - before
        free, _ = torch.cuda.mem_get_info(self._device)
        return rows_that_fit(taken / _ROWS_TRIED, free)

    @property
    def logit_scale(self) -> float:
        """What the model multiplies cosines by."""
        return float(self.model.logit_scale.detach().float().exp())

    def pixels(self, image: Image.Image) -> np.ndarray:
        """One picture as the model's preprocessing crops and scales it. Safe in several threads."""
        return np.asarray(self._preprocessing.to_pixels(image))

    def encode_images(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        missing = max(0, _LEAST_IMAGES - len(pixels)) if self._device.type == "cpu" else 0
        with self.running():
            encoded = _unit(self.model.encode_image(self.floats([*pixels, *[pixels[-1]] * missing])))
        return encoded[: len(pixels)]

    def floats(self, pixels: Sequence[np.ndarray]) -> Any:
        """A batch as the image tower takes it: what open_clip's preprocessing would have made of the pictures."""
        import torch

        batch = torch.from_numpy(np.stack(pixels)).to(self._device, non_blocking=True)
        if self._preprocessing.mean is None:
            return batch
        batch = batch.permute(0, 3, 1, 2).contiguous().float().div_(255)
        return batch.sub_(self._preprocessing.mean).div_(self._preprocessing.std)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:

        tokens = self.tokenizer(list(texts))
        with self.running():
            if self._cut is None:
                return _unit(self.model.encode_text(tokens.to(self._device)))
            return self._encode_cut(self._cut, tokens)

    def facts(self) -> dict[str, Any]:
        """What decides the embeddings beside the recipe, as JSON."""
        import open_clip
        import torch

        return {
            "open_clip": open_clip.__version__,
            "torch": torch.__version__,
            "device": self._device.type,
            "precision": self.precision,
            "preprocessing": self._preprocessing.facts,
            "text_cut": self._cut is not None,
            "weights_sha256": self._weights,
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """The context in which the towers run: no gradients, in their precision.

        Autocast keeps its casts of weights within a context only of parameters that could have gradients, and outside
        of inference mode. Casting them again for each group of texts would cost more than bf16 gains.
        """
        import torch

        if self.precision == "fp32":
            with torch.inference_mode():
                yield
            return
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        with torch.no_grad(), torch.autocast(self._device.type, dtype=dtype):
            yield

    def _encode_cut(self, cut: TextCut, tokens: Any) -> np.ndarray:
        import torch

        ends = cut.ends(tokens)
        order = torch.argsort(ends, stable=True)
        on_cpu = self._device.type == "cpu"
        rows = _TEXTS_PER_GROUP if on_cpu else len(order)
        parts = []
        for group in torch.split(order, rows):
            whole = torch.cat([group, group[-1:].repeat(rows - len(group))]) if on_cpu else group
            encoded = _unit(cut.encode(tokens[whole, : int(ends[group].max())].to(self._device)))
            parts.append(encoded[: len(group)])
        embeddings = np.empty((len(order), parts[0].shape[1]), dtype=np.float32)
        embeddings[order.numpy()] = np.concatenate(parts)
        return embeddings

    def _checked_cut(self) -> TextCut | None:
        """The cut, if it gives this very model's embeddings of two texts of different length."""
        import torch

        cut = find_text_cut(self.model)
        if cut is None:
            return None
        tokens = self.tokenizer(["a", "two red circles and a small blue square above them"])
        with torch.inference_mode():
            whole = _unit(self.model.encode_text(tokens.to(self._device)))
            parts = self._encode_cut(cut, tokens)
        return cut if np.allclose(whole, parts, rtol=0, atol=1e-5) else None


def load_towers(weights: ClipWeights, *, device: str, precision: str) -> ClipTowers:
    """The model ready for inference, its weights read as weights only."""
    open_clip = import_open_clip(wanted_by="scorer 'clip'", needs=needed_libraries(weights))
    place = _device(device)
    if precision == "auto":
        precision = "fp32" if place.type == "cpu" else "fp16"
    model, tokenizer = _make(open_clip, weights)
    return ClipTowers(
        model.to(place).eval().requires_grad_(precision != "fp32"),
        tokenizer,
        device=place,
        precision=precision,
        preprocessing=_preprocessing(open_clip, model, place),
        weights=_weights_digest(weights),
    )


def rows_that_fit(bytes_a_row: float, free: int) -> int:
    """The largest power of two, up to MOST_ROWS, whose rows take no more than half of the memory that is free."""
    rows = MOST_ROWS
    while rows > 1 and rows * bytes_a_row > free * _SHARE_OF_MEMORY:
        rows //= 2
    return rows


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise Refusal(f"device {name!r} is none that torch knows; use auto, cpu or cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise Refusal(f"device {name!r} was asked for, and torch finds no GPU")
    return place


def _make(open_clip: Any, weights: ClipWeights) -> tuple[Any, Any]:
    """Model and tokenizer, or a Refusal in one line."""
    from safetensors import SafetensorError

    try:
        return _make_model(open_clip, weights), open_clip.get_tokenizer(weights.model)
    except (*_UNREADABLE, SafetensorError) as error:
        named = weights.model + (f" with {weights.pretrained!r}" if weights.pretrained else "")
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        if weights.is_published:
            raise Refusal(f"scorer 'clip': {named} could not be fetched: {reason}") from error
        raise Refusal(f"scorer 'clip': {named} could not be loaded: {reason}") from error


def _make_model(open_clip: Any, weights: ClipWeights) -> Any:
    import torch

    if weights.is_random:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return open_clip.create_model(weights.model, pretrained=None, pretrained_text=False)
    return open_clip.create_model(
        weights.model,
        pretrained=weights.pretrained,
        force_quick_gelu=needs_quick_gelu(weights),
        require_pretrained=True,
        weights_only=True,
    )


def _preprocessing(open_clip: Any, model: Any, device: Any) -> _Preprocessing:
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose

    settings = open_clip.get_model_preprocess_cfg(model)
    whole = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    facts = {key: list(value) if isinstance(value, tuple) else value for key, value in sorted(settings.items())}
    *first, to_tensor, normalize = whole.transforms
    if (type(to_tensor).__name__, type(normalize).__name__) != ("MaybeToTensor", "Normalize"):
        return _Preprocessing(lambda image: whole(image).numpy(), facts=facts)
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        for values in (normalize.mean, normalize.std)
    )
    return _Preprocessing(Compose(first), mean, std, facts)


def _unit(embeddings: Any) -> np.ndarray:
    import torch.nn.functional as F

    unit: np.ndarray = F.normalize(embeddings.detach().float(), dim=-1).cpu().numpy()
    return unit


def _weights_digest(weights: ClipWeights) -> str | None:
    """SHA-256 of the user's own checkpoint, or of all in the model's folder; None for published and random ones."""
    if weights.model.startswith(_LOCAL):
        folder = Path(weights.model.removeprefix(_LOCAL))
        files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    elif weights.pretrained is not None and Path(weights.pretrained).is_file():
        files = [Path(weights.pretrained)]
    else:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
