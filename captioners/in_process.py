"""Captions from a model of transformers in this process: for a sample on a CPU, or one GPU.

In: a model folder in Hugging Face's format, requests. Out: answers; Failed with `caption_failed` for a picture that
cannot be read, and `caption_refused` for a prompt that does not fit. Requests are run in batches, padded on the left;
an answer is a function of its request. Weights are read from safetensors, code of the model's is not run, and
nothing is fetched unless the model is a hub's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from captioners.captioner import Answer, Request
from captioners.drawn_tokens import DrawnTokens
from captioners.in_memory import InMemory
from captioners.model_folders import ModelPlace
from schemas.needed import require
from schemas.reasons import Failed
from schemas.refusal import JobFailed

WANTED_BY = "captioner transformers"
INSTALL = "pairmill[captions]"


@dataclass(frozen=True)
class _Ready:
    """A request, its picture decoded."""

    request: Request
    picture: Any


class InProcess(InMemory[_Ready]):
    """An engine over a model in memory. dtype `auto`: float32 on a CPU, bfloat16 on a GPU."""

    def __init__(self, place: ModelPlace, *, device: str = "auto", dtype: str = "auto", batch: int = 8) -> None:
        super().__init__(batch=batch, alike=lambda ready: ready.picture is None)
        self._place = place
        self._device = device
        self._dtype = dtype

    def load(self) -> _Model:
        return _Model(self._place, device=self._device, dtype=self._dtype)

    async def answer(self, request: Request) -> Answer:
        """Raises Failed."""
        return await self.ask(lambda: _Ready(request, read_picture(request.image)))


class _Model:
    """A loaded model with its processor, used by one thread."""

    def __init__(self, place: ModelPlace, *, device: str, dtype: str) -> None:
        transformers = require("transformers", install=INSTALL, wanted_by=WANTED_BY)
        import torch

        transformers.utils.logging.disable_progress_bar()
        self._device = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        chosen = dtype if dtype != "auto" else ("float32" if self._device == "cpu" else "bfloat16")
        self._dtype = getattr(torch, chosen)
        common = {"trust_remote_code": False, "local_files_only": place.is_local}
        config = transformers.AutoConfig.from_pretrained(place.location, **common)
        self.sees = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        kind = transformers.AutoModelForImageTextToText if self.sees else transformers.AutoModelForCausalLM
        model, found = kind.from_pretrained(
            place.location, dtype=self._dtype, use_safetensors=True, output_loading_info=True, **common
        )
        missing = sorted(found["missing_keys"])
        if missing:
            # What is missing would be drawn at random, and the captions would be noise.
            raise JobFailed(f"{WANTED_BY}: the weights in {place.location!r} lack {len(missing)}, such as {missing[0]}")
        reader = transformers.AutoProcessor if self.sees else transformers.AutoTokenizer
        self._processor = reader.from_pretrained(place.location, **common)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._tokenizer.padding_side = "left"
        ends = model.generation_config.eos_token_id
        ends = self._tokenizer.eos_token_id if ends is None else ends
        self._ends: tuple[int, ...] = tuple(ends) if isinstance(ends, (list, tuple)) else (ends,)
        pad = self._tokenizer.pad_token_id
        self._pad: int = self._ends[0] if pad is None else pad
        if pad is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        # How to decode is said by the request alone.
        self._settings = transformers.GenerationConfig
        model.generation_config = self._settings(eos_token_id=list(self._ends), pad_token_id=self._pad)
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        self._window: int | None = getattr(text, "max_position_embeddings", None)
        self._model = model.to(self._device).eval()

    def answers(self, batch: Sequence[_Ready]) -> list[Answer | Failed]:
        """One a request, in order."""
        import torch

        if not self.sees and batch[0].picture is not None:
            return [Failed("caption_refused", "the model takes no pictures") for _ in batch]
        try:
            return self._answers(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                return [Failed("caption_failed", f"not enough memory on {self._device}: {error}")]
            half = len(batch) // 2
            return [*self.answers(batch[:half]), *self.answers(batch[half:])]

    def _answers(self, batch: Sequence[_Ready]) -> list[Answer | Failed]:
        import torch

        rows = [(each, number) for each in batch for number in range(each.request.decoding.n)]
        inputs = self._inputs([each for each, _ in rows])
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        refused = self._too_long(batch, rows, lengths)
        if refused:
            fitting = [each for each in batch if id(each) not in refused]
            made = iter(self._answers(fitting) if fitting else [])
            return [refused[id(each)] if id(each) in refused else next(made) for each in batch]
        requests = [(each.request, number) for each, number in rows]
        most = [request.decoding.max_tokens for request, _ in requests]
        start = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            tokens = self._model.generate(
                **{name: self._moved(value) for name, value in inputs.items()},
                generation_config=self._settings(max_new_tokens=max(most), do_sample=False, num_beams=1),
                logits_processor=[DrawnTokens(requests)],
                stopping_criteria=[_Ended(requests, start, self._said)],
            )
        written = iter(zip(tokens[:, start:].tolist(), lengths, strict=True))
        return [self._answer(each.request, [next(written) for _ in range(each.request.decoding.n)]) for each in batch]

    def _moved(self, value: Any) -> Any:
        return value.to(self._device, self._dtype) if value.is_floating_point() else value.to(self._device)

    def _inputs(self, rows: Sequence[_Ready]) -> Any:
        texts = [self._chat(each) for each in rows]
        common = {"padding": True, "return_tensors": "pt", "add_special_tokens": False}
        pictures = [each.picture for each in rows if each.picture is not None]
        if pictures:
            return self._processor(text=texts, images=pictures, **common)
        return self._tokenizer(texts, **common)

    def _chat(self, ready: _Ready) -> str:
        """The prompt in the words of the model's chat template."""
        request = ready.request
        text = {"type": "text", "text": request.prompt}
        seen: list[dict[str, str]] = [] if ready.picture is None else [{"type": "image"}]
        messages: list[dict[str, Any]] = []
        if request.system is not None:
            messages.append({"role": "system", "content": [{"type": "text", "text": request.system}]})
        messages.append({"role": "user", "content": [*seen, text]})
        if not self.sees:
            messages = [{**message, "content": message["content"][0]["text"]} for message in messages]
        return str(self._processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _too_long(
        self, batch: Sequence[_Ready], rows: Sequence[tuple[_Ready, int]], lengths: Sequence[int]
    ) -> dict[int, Failed]:
        """By the identity of a request: why it does not fit."""
        if self._window is None:
            return {}
        length_of = {id(each): length for (each, _), length in zip(rows, lengths, strict=True)}
        return {
            id(each): Failed(
                "caption_refused",
                f"{length_of[id(each)]} tokens and {each.request.decoding.max_tokens} of an answer are more than the "
                f"model's {self._window}",
            )
            for each in batch
            if length_of[id(each)] + each.request.decoding.max_tokens > self._window
        }

    def _said(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _answer(self, request: Request, written: Sequence[tuple[Sequence[int], int]]) -> Answer:
        decoding = request.decoding
        texts, finishes, tokens_out = [], [], 0
        for tokens, _ in written:
            length = next((place for place, token in enumerate(tokens) if token in self._ends), None)
            is_ended = length is not None and length < decoding.max_tokens
            kept = tokens[: length if is_ended else decoding.max_tokens]
            text = self._said(kept)
            stops = [place for place in (text.find(stop) for stop in decoding.stop) if place >= 0]
            texts.append((text[: min(stops)] if stops else text).strip())
            finishes.append("stop" if is_ended or stops else "length")
            tokens_out += len(kept) + is_ended
        return Answer(tuple(texts), tuple(finishes), tokens_in=written[0][1], tokens_out=tokens_out)


class _Ended:
    """Which answers are at an end of their own: at their most tokens, or at a text that stops them."""

    def __init__(self, rows: Sequence[tuple[Request, int]], start: int, said: Callable[[Sequence[int]], str]) -> None:
        self._decodings = [request.decoding for request, _ in rows]
        self._start = start
        self._said = said

    def __call__(self, tokens: Any, scores: Any, **more: Any) -> Any:
        import torch

        length = tokens.shape[1] - self._start
        ended = [
            length >= each.max_tokens or (bool(each.stop) and self._is_stopped(tokens[row], each.stop))
            for row, each in enumerate(self._decodings)
        ]
        return torch.tensor(ended, device=tokens.device)

    def _is_stopped(self, tokens: Any, stops: Sequence[str]) -> bool:
        said = self._said(tokens[self._start :].tolist())
        return any(stop in said for stop in stops)


def read_picture(image: bytes | None) -> Any:
    """A decoded RGB picture; None of none. Raises Failed."""
    if image is None:
        return None
    from PIL import Image

    try:
        return Image.open(BytesIO(image)).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Failed("caption_failed", f"the picture cannot be read: {type(error).__name__}") from error
