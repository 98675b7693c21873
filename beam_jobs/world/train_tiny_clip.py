"""Trains the tiny CLIP of `filters/models/tiny_clip` on drawn scenes, on a CPU.

    python -m beam_jobs.world.train_tiny_clip --out DIR [--minutes 15 | --steps N] [--seed 0] [--pairs 12000]
                                              [--start DIR] [--threads 2]

In: nothing but a seed. Out: DIR with `open_clip_config.json` and `open_clip_model.safetensors` (float16), which
open_clip loads as `local-dir:DIR`. `--steps` with the same seed, pairs and threads repeats a training; `--minutes`
measures the first steps and chooses the number of steps, which it prints. `--start` goes on from an earlier model;
give it another seed, so that it sees other pictures. The shipped weights are two trainings; their commands stand in
the model's README.

The tokenizer is CLIP's, of 49,408 tokens, of which the captions use a few hundred: only those are trained, and one
more for all others, which at the end becomes the embedding of each token that was never seen.

The loss is CLIP's own. Each batch holds pairs of scenes that differ in one attribute, and an off-diagonal text that
is as true as the right one (same counts, colours and shapes) is left out of the sum.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_jobs.world.lessons import Lessons, lesson_text, make_lessons
from beam_jobs.world.scenes import seed_of

if TYPE_CHECKING:
    import torch

PIXELS = 80
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": PIXELS, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"},
    "text_cfg": {"context_length": 48, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
}
PREPROCESS_CONFIG: dict[str, Any] = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bicubic",
    "resize_mode": "squash",
}
BATCH_PAIRS = 64
PEAK_RATE = 1.5e-3
WARM_UP = 100
MEASURED_STEPS = 60
VOCABULARY_SAMPLE = 20_000  # texts read to find the tokens in use
UNKNOWN_SHARE = 0.15  # of the tokens of texts that tell nothing
LARGEST_SCALE = 30.0  # a low bound on the temperature keeps similarities well spread


def train(
    lessons: Lessons, *, seed: int, steps: int | None, minutes: float, start: Path | None = None
) -> torch.nn.Module:
    """The trained model, in float32. Prints its loss now and then."""
    import torch

    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    vocabulary = _vocabulary(lessons, tokenizer, seed=seed)
    model = _model(len(vocabulary) + 1).train()
    if start is not None:
        model.load_state_dict(_with_few_tokens(start, vocabulary))
    model.visual = model.visual.to(memory_format=torch.channels_last)
    optimizer = _optimizer(model)
    started = time.monotonic()
    step = 0
    while steps is None or step < steps:
        if steps is None and step == MEASURED_STEPS:
            steps = max(200, int(minutes * 60 / (time.monotonic() - started) * step))
            print(f"training for {steps} steps", flush=True)
        rate = PEAK_RATE * min(1.0, (step + 1) / WARM_UP)
        if steps is not None:
            rate *= 0.5 * (1 + math.cos(math.pi * step / steps))
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate
        rows, epoch = _batch_rows(lessons, step, seed=seed)
        texts = [lesson_text(lessons.scenes[row], seed, int(row), epoch) for row in rows]
        telling = torch.tensor([tells for _, tells in texts])
        tokens = _compact(tokenizer([text for text, _ in texts]), telling, vocabulary, seed_of("unknown", seed, step))
        images = _images(lessons, rows, random.Random(seed_of("jitter", seed, step)))
        loss = _loss(model, images, tokens, torch.from_numpy(lessons.cores[rows]), telling)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(LARGEST_SCALE))
        step += 1
        if step % 50 == 0:
            elapsed = time.monotonic() - started
            scale = model.logit_scale.exp().item()
            print(f"step {step} loss {loss.item():.3f} scale {scale:.1f} {elapsed:.0f} s", flush=True)
    return _with_all_tokens(model, vocabulary).eval()


def save(model: torch.nn.Module, folder: Path) -> None:
    """Writes the model as open_clip reads a `local-dir:`, in float16."""
    import torch
    from safetensors.torch import save as packed

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    assert all(torch.isfinite(value).all() for value in tensors.values())
    (folder / "open_clip_model.safetensors").write_bytes(packed(tensors))
    config = {"model_cfg": MODEL_CONFIG, "preprocess_cfg": PREPROCESS_CONFIG}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def _batch_rows(lessons: Lessons, step: int, *, seed: int) -> tuple[np.ndarray[Any, Any], int]:
    """The rows of a step, both scenes of each pair, and the epoch that the step belongs to."""
    pairs = len(lessons.scenes) // 2
    batch_pairs = min(BATCH_PAIRS, pairs)
    epoch, place = divmod(step, pairs // batch_pairs)
    order = np.random.default_rng(seed_of("lesson order", seed, epoch)).permutation(pairs)
    chosen = order[place * batch_pairs : (place + 1) * batch_pairs]
    return np.stack([2 * chosen, 2 * chosen + 1], axis=1).reshape(-1), epoch


def _tokenizer() -> Any:
    import open_clip

    return open_clip.SimpleTokenizer(context_length=MODEL_CONFIG["text_cfg"]["context_length"])


def _model(vocab_size: int) -> Any:
    import open_clip

    config = {**MODEL_CONFIG, "text_cfg": {**MODEL_CONFIG["text_cfg"], "vocab_size": vocab_size}}
    return open_clip.model.CLIP(**config)


def _optimizer(model: Any) -> torch.optim.Optimizer:
    import torch

    decayed = [p for name, p in model.named_parameters() if p.ndim > 1 and "embedding" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim <= 1 or "embedding" in name]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE)


def _vocabulary(lessons: Lessons, tokenizer: Any, *, seed: int) -> torch.Tensor:
    """The token ids that texts of this kind use, ascending. The end of a text, the largest, is last."""
    import torch

    rows = [number % len(lessons.scenes) for number in range(VOCABULARY_SAMPLE)]
    epochs = [-1 - number // len(lessons.scenes) for number in range(VOCABULARY_SAMPLE)]
    said = [lesson_text(lessons.scenes[row], seed, row, epoch) for row, epoch in zip(rows, epochs, strict=True)]
    return torch.unique(tokenizer([text for text, _ in said]))


def _compact(tokens: torch.Tensor, telling: torch.Tensor, vocabulary: torch.Tensor, seed: int) -> torch.Tensor:
    """Tokens as places in the vocabulary, 1 being the unknown one and 0 none, cut to the longest text.

    The largest place stays the end of the text. Some tokens of texts that tell nothing are made unknown.
    """
    import torch

    tokens = tokens[:, : int(tokens.count_nonzero(dim=1).max())].contiguous()
    places = torch.searchsorted(vocabulary, tokens).clamp_(max=len(vocabulary) - 1)
    known = vocabulary[places] == tokens
    generator = torch.Generator().manual_seed(seed % 2**63)
    forgotten = (torch.rand(tokens.shape, generator=generator) < UNKNOWN_SHARE) & ~telling[:, None]
    forgotten &= (tokens > 0) & (tokens < vocabulary[-2])  # neither padding, start nor end
    return torch.where(tokens == 0, 0, torch.where(known & ~forgotten, places + 1, 1))


def _with_all_tokens(model: Any, vocabulary: torch.Tensor) -> Any:
    """The same model over the tokenizer's whole vocabulary."""
    import torch

    whole = _model(MODEL_CONFIG["text_cfg"]["vocab_size"])
    state = model.state_dict()
    trained = state.pop("token_embedding.weight")
    table = trained[1].repeat(whole.vocab_size, 1)
    table[vocabulary] = trained[torch.arange(len(vocabulary)) + 1]
    table[0] = trained[0]
    whole.load_state_dict({**state, "token_embedding.weight": table})
    return whole


def _with_few_tokens(folder: Path, vocabulary: torch.Tensor) -> dict[str, torch.Tensor]:
    """The state of a saved model over a vocabulary: no token, the unknown one, then those of the vocabulary."""
    import torch
    from safetensors.torch import load_file

    state = {name: value.float() for name, value in load_file(folder / "open_clip_model.safetensors").items()}
    table = state["token_embedding.weight"]
    unknown = table.median(dim=0, keepdim=True).values  # nearly all rows are equal to it
    return {**state, "token_embedding.weight": torch.cat([table[:1], unknown, table[vocabulary[1:]]])}


def _images(lessons: Lessons, rows: np.ndarray[Any, Any], rng: random.Random) -> torch.Tensor:
    import torch

    pixels = torch.from_numpy(lessons.pictures[rows]).permute(0, 3, 1, 2)
    images = _jittered(pixels.float().div_(255), rng)
    images = images.sub_(PREPROCESS_CONFIG["mean"][0]).div_(PREPROCESS_CONFIG["std"][0])
    return images.contiguous(memory_format=torch.channels_last)


def _loss(
    model: Any, images: torch.Tensor, tokens: torch.Tensor, cores: torch.Tensor, telling: torch.Tensor
) -> torch.Tensor:
    import torch
    import torch.nn.functional as F

    seen = F.normalize(model.visual(images), dim=-1)
    read = F.normalize(_read(model, tokens), dim=-1)
    logits = model.logit_scale.exp() * seen @ read.T
    as_true = (cores[:, None] == cores[None, :]) & telling[None, :] & ~torch.eye(len(cores), dtype=torch.bool)
    logits = logits.masked_fill(as_true, float("-inf"))
    target = torch.arange(len(cores))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _read(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """The text tower on texts cut to the longest of the batch: causal attention makes that the same."""
    import torch

    length = tokens.shape[1]
    states = model.token_embedding(tokens) + model.positional_embedding[:length]
    states = model.ln_final(model.transformer(states, attn_mask=model.attn_mask[:length, :length]))
    last = states[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
    return last @ model.text_projection


def _jittered(images: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """The batch a little brighter or darker, and moved by up to three pixels."""
    import torch

    moved = torch.roll(images, shifts=(rng.randint(-3, 3), rng.randint(-3, 3)), dims=(2, 3))
    return moved.mul_(rng.uniform(0.92, 1.06)).clamp_(0, 1)


def main(arguments: list[str]) -> None:
    """The command line."""
    import torch

    parser = argparse.ArgumentParser(prog="train_tiny_clip", description="trains the tiny CLIP on drawn scenes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=12_000)
    parser.add_argument("--start", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    started = time.monotonic()
    lessons = make_lessons(pairs=options.pairs, seed=options.seed, pixels=PIXELS)
    print(f"drew {len(lessons.scenes)} pictures in {time.monotonic() - started:.0f} s", flush=True)
    model = train(lessons, seed=options.seed, steps=options.steps, minutes=options.minutes, start=options.start)
    save(model, options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
