"""Captions from open_clip's CoCa: several a picture, sampled, as MobileCLIP's synthetic captions are
(arXiv:2311.17049: five, top_p 0.9, up to the end of the text and the first full stop).

In: a model that open_clip knows (`coca_ViT-L-14/TAG`, or a folder with open_clip_config.json), requests without
prompts. Out: answers. It draws as open_clip's own `generate` with `top_p` does, but each answer from a seed of its
own, with the picture seen once; without stops of the request, a full stop ends an answer.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioners.captioner import Answer, Request
from captioners.drawn_tokens import DrawnTokens
from captioners.in_memory import InMemory
from captioners.in_process import read_picture
from captioners.model_folders import folder_id
from schemas.needed import refuse_absent
from schemas.open_clip_import import import_open_clip
from schemas.reasons import Failed
from schemas.refusal import JobFailed, Refusal, unknown

WANTED_BY = "captioner coca"
LOCAL = "local-dir:"
STOPS = (".",)
_CONFIG = "open_clip_config.json"
# open_clip's own: an answer has at least so many tokens, its start among them.
_LEAST_TOKENS = 5


@dataclass(frozen=True)
class CocaWeights:
    """What open_clip is asked for. pretrained: a tag or a checkpoint's path; None where the folder holds weights."""

    model: str
    pretrained: str | None

    @property
    def folder(self) -> str | None:
        return self.model.removeprefix(LOCAL) if self.model.startswith(LOCAL) else None


def find_coca(model: str) -> CocaWeights:
    """The weights of `NAME/TAG`, or of a folder; opens nothing."""
    if model.startswith(LOCAL) or os.path.isdir(model):
        return CocaWeights(LOCAL + model.removeprefix(LOCAL), None)
    name, _, tag = model.partition("/")
    return CocaWeights(name, tag or None)


def check_coca(model: str) -> CocaWeights:
    """The same, where open_clip can make it. Raises Refusal."""
    refuse_absent("open_clip", install="open_clip_torch", wanted_by=WANTED_BY)
    weights = find_coca(model)
    if weights.folder is not None:
        config = Path(weights.folder) / _CONFIG
        if not config.is_file():
            raise Refusal(f"{WANTED_BY}: the model folder {weights.folder!r} lacks {_CONFIG}")
        described = json.loads(config.read_text(encoding="utf-8"))
        if "multimodal_cfg" not in described.get("model_cfg", described):
            raise Refusal(f"{WANTED_BY}: the model in {weights.folder!r} is no CoCa: it lacks multimodal_cfg")
        if not any(Path(weights.folder).glob("*.safetensors")):
            raise Refusal(f"{WANTED_BY}: the model folder {weights.folder!r} has no weights in safetensors")
        return weights
    known = sorted(path.stem for path in _configs().glob("coca_*.json") if "roberta" not in path.stem)
    if weights.model not in known:
        raise unknown("model", weights.model, [*known, f"{LOCAL}FOLDER"], where=WANTED_BY)
    if weights.pretrained is None:
        raise Refusal(f"{WANTED_BY}: expected NAME/TAG, such as 'coca_ViT-L-14/{_tags('coca_ViT-L-14')[-1]}'")
    if not os.path.isfile(weights.pretrained):
        tags = _tags(weights.model)
        if weights.pretrained.lower().replace("-", "_") not in tags:
            raise unknown("weights", weights.pretrained, tags, where=f"{WANTED_BY}: {weights.model}")
    return weights


def coca_id(model: str) -> str:
    """What stands for the model: its name and tag, or its folder's name and digest."""
    folder = find_coca(model).folder
    return model if folder is None else folder_id(folder)


class Coca(InMemory[tuple[Request, Any]]):
    """An engine over a CoCa in memory."""

    def __init__(self, weights: CocaWeights, *, device: str = "auto", batch: int = 8) -> None:
        super().__init__(batch=batch)
        self._weights = weights
        self._device = device
        self._preprocess: Any = None

    def load(self) -> _Model:
        model = _Model(self._weights, self._device)
        self._preprocess = model.preprocess
        return model

    async def answer(self, request: Request) -> Answer:
        """Raises Failed."""
        if request.image is None:
            raise Failed("caption_refused", "CoCa says nothing without a picture")
        return await self.ask(lambda: (request, self._preprocess(read_picture(request.image))))


class _Model:
    """A loaded CoCa with its tokenizer, used by one thread."""

    def __init__(self, weights: CocaWeights, device: str) -> None:
        import torch

        open_clip = import_open_clip(wanted_by=WANTED_BY)
        self._device = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        model, _, preprocess = open_clip.create_model_and_transforms(
            weights.model, pretrained=weights.pretrained, device=self._device
        )
        if not isinstance(model, open_clip.CoCa):
            raise JobFailed(f"{WANTED_BY}: {weights.model!r} is no CoCa")
        self._model = model.eval()
        self.preprocess = preprocess
        self._tokenizer = open_clip.get_tokenizer(weights.model)
        self._start = int(self._tokenizer.sot_token_id)
        self._end = int(self._tokenizer.eot_token_id)

    def answers(self, batch: Sequence[tuple[Request, Any]]) -> list[Answer]:
        """One a request, in order."""
        import torch

        times = [request.decoding.n for request, _ in batch]
        rows = [(request, number) for request, _ in batch for number in range(request.decoding.n)]
        draw = DrawnTokens(rows)
        with torch.inference_mode():
            pictures = torch.stack([picture for _, picture in batch]).to(self._device)
            seen = self._model(pictures)
            repeats = torch.tensor(times, device=self._device)
            latent, embedded = (
                seen[name].repeat_interleave(repeats, dim=0) for name in ("image_features", "image_embs")
            )
            tokens = torch.full((len(rows), 1), self._start, dtype=torch.long, device=self._device)
            ended = [False] * len(rows)
            while not all(ended):
                logits = self._model(None, tokens, image_latent=latent, image_embs=embedded, output_labels=False)
                following = logits["logits"][:, -1].float()
                if tokens.shape[1] < _LEAST_TOKENS:
                    following[:, self._end] = float("-inf")
                chosen = draw(tokens, following).argmax(dim=-1, keepdim=True)
                tokens = torch.cat([tokens, chosen], dim=1)
                is_full = tokens.shape[1] >= self._model.context_length
                ended = [
                    was or is_full or self._is_ended(request, tokens[row, 1:].tolist())
                    for row, (was, (request, _)) in enumerate(zip(ended, rows, strict=True))
                ]
        written = iter(tokens[:, 1:].tolist())
        return [self._answer(request, [next(written) for _ in range(request.decoding.n)]) for request, _ in batch]

    def _is_ended(self, request: Request, tokens: Sequence[int]) -> bool:
        if tokens[-1] == self._end or len(tokens) >= request.decoding.max_tokens:
            return True
        said = self._tokenizer.decode(tokens)
        return any(stop in said for stop in request.decoding.stop or STOPS)

    def _answer(self, request: Request, written: Sequence[Sequence[int]]) -> Answer:
        texts, finishes, tokens_out = [], [], 0
        for tokens in written:
            kept = list(tokens[: request.decoding.max_tokens])
            is_ended = self._end in kept
            kept = kept[: kept.index(self._end)] if is_ended else kept
            said = self._tokenizer.decode(kept)
            cuts = [place for place in (said.find(stop) for stop in request.decoding.stop or STOPS) if place >= 0]
            texts.append((said[: min(cuts)] if cuts else said).strip())
            finishes.append("stop" if is_ended or cuts else "length")
            tokens_out += len(kept) + is_ended
        return Answer(tuple(texts), tuple(finishes), tokens_in=0, tokens_out=tokens_out)


def _configs() -> Path:
    spec = importlib.util.find_spec("open_clip")
    return Path(str(spec.origin if spec else None)).parent / "model_configs"


def _tags(name: str) -> list[str]:
    open_clip = import_open_clip(wanted_by=WANTED_BY)
    return sorted(open_clip.list_pretrained_tags_by_model(name))
