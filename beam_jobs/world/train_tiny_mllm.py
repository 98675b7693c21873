"""Trains the tiny multimodal LLM of `captioners/models/tiny_mllm` on drawn scenes, on a CPU.

    python -m beam_jobs.world.train_tiny_mllm --eyes FILE [--start FILE] [--model DIR] [--out DIR] [--pictures 40000]
                                              [--glance 2800] [--look 1300] [--talk 650] [--seed 0] [--threads 2]

In: nothing but a seed. Out: DIR, a LLaVA in Hugging Face's format with float16 weights. Three parts, in steps:
`glance`, the eyes alone learn what each patch shows, from half of a picture's patches, those with objects first, which
is twice as fast; `look`, the same from all patches; `talk`, the language model learns to answer, in the last third
together with the eyes. FILE keeps what the eyes learned; `--start` takes it up again, and `--model` a whole model: with
another seed, they see other pictures. The commands of the shipped weights stand in the model's README.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_jobs.world.conversations import Turn, seen_turn, text_turn
from beam_jobs.world.dense_lessons import ATTRIBUTES, DenseLessons, make_dense_lessons
from beam_jobs.world.scenes import scene, seed_of
from beam_jobs.world.tiny_mllm import (
    AFTER,
    BEFORE,
    END,
    GRID,
    PATCH,
    PIXELS,
    START,
    WIDTH,
    eyes_of,
    load_model,
    make_model,
    make_processor,
    make_tokenizer,
)  # fmt: skip

if TYPE_CHECKING:
    import torch

GLANCED = 64  # patches
LOOK_BATCH, TALK_BATCH, TEXT_BATCH = 96, 64, 24
RATES = {"glance": 1.5e-3, "look": 1e-3, "talk": 1e-3}
FROZEN_SHARE = 2 / 3  # of the steps of `talk` that teach the eyes nothing
WARM_UP = 150
TEXT_SHARE = 0.15  # of the steps of `talk` that see no picture
VOCABULARY_TEXTS = 20_000
SEEING_WEIGHT = 0.2
NO_LOSS = -100


class Trainer:
    """The model with what it learns from, and a step of each kind."""

    def __init__(self, lessons: DenseLessons, *, seed: int, model: Path | None = None) -> None:
        """model: the folder of one to go on from."""
        import torch

        torch.manual_seed(seed)
        self.seed = seed
        self.lessons = lessons
        if model is not None:
            self.tokenizer, self.model = load_model(model)
        else:
            self.tokenizer = make_tokenizer(_texts(lessons, seed))
            self.model = make_model(len(self.tokenizer))
        self.model.train()
        self.heads = torch.nn.Linear(WIDTH, sum(ATTRIBUTES.values()))
        self.before = [START, *self._ids(BEFORE)]

    def look(self, step: int, *, patches: int) -> torch.Tensor:
        """Loss of what patches show, of so many of them."""
        rows = self._rows(step, LOOK_BATCH)
        places = self._places(rows, step, patches)
        return self._patch_loss(self._seen(rows, places), rows, places)

    def talk(self, step: int, *, frozen: bool) -> torch.Tensor:
        """Loss of answers, and of what patches show where the eyes are not frozen."""
        import torch

        rng = random.Random(seed_of("talk", self.seed, step))
        if rng.random() < TEXT_SHARE:
            scenes = [scene("text turn", self.seed, step, number, split="train") for number in range(TEXT_BATCH)]
            return self._answer_loss([text_turn(one, rng) for one in scenes], None)
        rows = self._rows(step, TALK_BATCH)
        turns = [seen_turn(self.lessons.scenes[row], rng) for row in rows]
        places = self._places(rows, step, GRID * GRID)
        with torch.set_grad_enabled(not frozen):
            seen = self._seen(rows, places)
        answers = self._answer_loss(turns, self.model.model.multi_modal_projector(seen))
        return answers if frozen else answers + SEEING_WEIGHT * self._patch_loss(seen, rows, places)

    def _rows(self, step: int, batch: int) -> np.ndarray[Any, Any]:
        return np.random.default_rng(seed_of("rows", self.seed, step)).integers(0, len(self.lessons.scenes), batch)

    def _places(self, rows: np.ndarray[Any, Any], step: int, count: int) -> np.ndarray[Any, Any]:
        """For each row `count` patches, ascending: those that show objects first, then others as drawn."""
        draws = np.random.default_rng(seed_of("patches", self.seed, step)).random((len(rows), GRID * GRID))
        shows = self.lessons.labels[rows][:, :, 1] < ATTRIBUTES["shape"] - 1
        return np.sort(np.argsort(draws - shows, axis=1)[:, :count], axis=1)

    def _seen(self, rows: np.ndarray[Any, Any], places: np.ndarray[Any, Any]) -> torch.Tensor:
        """What the eyes make of these patches: rows x patches x WIDTH."""
        import torch

        eyes = eyes_of(self.model)
        pictures = torch.from_numpy(self.lessons.pictures[rows]).permute(0, 3, 1, 2).float()
        whole = eyes.embeddings(pictures.div_(255).sub_(0.5).div_(0.25))
        chosen = torch.from_numpy(places)[:, :, None].expand(-1, -1, WIDTH)
        kept = torch.cat([whole[:, :1], whole[:, 1:].gather(1, chosen)], dim=1)
        return eyes.encoder(inputs_embeds=eyes.pre_layrnorm(kept)).last_hidden_state[:, 1:]

    def _patch_loss(self, seen: torch.Tensor, rows: np.ndarray[Any, Any], places: np.ndarray[Any, Any]) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        labels = torch.from_numpy(np.take_along_axis(self.lessons.labels[rows], places[:, :, None], axis=1)).long()
        parts = self.heads(seen).float().split(list(ATTRIBUTES.values()), dim=2)
        losses = [F.cross_entropy(part.flatten(0, 1), labels[:, :, n].flatten()) for n, part in enumerate(parts)]
        return torch.stack(losses).sum()

    def _answer_loss(self, turns: list[Turn], told: torch.Tensor | None) -> torch.Tensor:
        """Of the answers' tokens alone. told: what the projector makes of the pictures."""
        import torch
        import torch.nn.functional as F

        asked = [self._ids(turn.prompt + AFTER) for turn in turns]
        answers = [[*self._ids(turn.answer), END] for turn in turns]
        longest = max(len(one) + len(other) for one, other in zip(asked, answers, strict=True))
        words = torch.zeros(len(turns), longest, dtype=torch.long)
        targets = torch.full((len(turns), longest), NO_LOSS)
        for row, (one, other) in enumerate(zip(asked, answers, strict=True)):
            words[row, : len(one) + len(other)] = torch.tensor(one + other)
            targets[row, len(one) : len(one) + len(other)] = torch.tensor(other)
        embed = self.model.model.language_model.embed_tokens
        first = embed(torch.tensor(self.before)).expand(len(turns), -1, -1)
        inputs = [first, *([] if told is None else [told.to(first.dtype)]), embed(words)]
        states = self.model.model.language_model(
            inputs_embeds=torch.cat(inputs, dim=1), use_cache=False
        ).last_hidden_state
        states = states[:, -longest:-1]
        told_next = targets[:, 1:]
        wanted = told_next != NO_LOSS
        return F.cross_entropy(self.model.lm_head(states[wanted]).float(), told_next[wanted])

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def train(trainer: Trainer, steps: Mapping[str, int], *, eyes_file: Path) -> None:
    """All parts. Prints the loss now and then; keeps the eyes in `eyes_file` before the last part."""
    import torch

    started = time.monotonic()
    for part, count in steps.items():
        eyes = [*eyes_of(trainer.model).parameters(), *trainer.heads.parameters()]
        learning = [*trainer.model.parameters(), *trainer.heads.parameters()] if part == "talk" else eyes
        optimizer = torch.optim.AdamW(learning, lr=RATES[part], weight_decay=0.05, fused=True)
        running = 0.0
        for step in range(count):
            rate = RATES[part] * min(1.0, (step + 1) / WARM_UP) * (0.51 + 0.49 * math.cos(math.pi * step / count))
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast("cpu", torch.bfloat16):
                if part == "talk":
                    loss = trainer.talk(step, frozen=step < FROZEN_SHARE * count)
                else:
                    loss = trainer.look(step, patches=GLANCED if part == "glance" else GRID * GRID)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            running += loss.item()
            if step % 50 == 49:
                print(
                    f"{part} {step + 1}/{count} loss {running / 50:.3f} {time.monotonic() - started:.0f} s", flush=True
                )
                running = 0.0
        if part == "look":
            learned = {"eyes": eyes_of(trainer.model).state_dict(), "heads": trainer.heads.state_dict()}
            torch.save(learned, eyes_file)


def start_from(trainer: Trainer, eyes_file: Path, *, whole: bool) -> None:
    """Takes up what was learned before: the eyes and what names what they see, or, where the eyes are there, that."""
    import torch

    learned = torch.load(eyes_file, weights_only=True)
    if not whole:
        eyes_of(trainer.model).load_state_dict(learned["eyes"])
    trainer.heads.load_state_dict(learned["heads"])


def save(trainer: Trainer, folder: Path) -> None:
    """Writes the folder, weights in float16. The configuration names the dtype that engines shall compute in."""
    import torch

    model = trainer.model.eval().half()
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    model.save_pretrained(folder)
    name_for_vllm(folder / "model.safetensors")
    make_processor(trainer.tokenizer).save_pretrained(folder)
    generation = folder / "generation_config.json"
    said = json.loads(generation.read_text())
    generation.write_text(json.dumps({**said, "eos_token_id": END, "pad_token_id": 0}, indent=2) + "\n")


def name_for_vllm(file: Path) -> None:
    """Gives the eyes' weights the names that vLLM wants, by which transformers knows them too."""
    from safetensors.torch import load_file
    from safetensors.torch import save as packed

    named = {
        re.sub(r"^vision_tower\.(?!vision_model\.)", "vision_tower.vision_model.", name): value
        for name, value in load_file(file).items()
    }
    file.write_bytes(packed(named, metadata={"format": "pt"}))


def _texts(lessons: DenseLessons, seed: int) -> Iterator[str]:
    rng = random.Random(seed_of("vocabulary", seed))
    for number in range(VOCABULARY_TEXTS):
        shown = lessons.scenes[number % len(lessons.scenes)]
        turn = text_turn(shown, rng) if number % 4 == 0 else seen_turn(shown, rng)
        yield turn.prompt + AFTER
        yield turn.answer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--eyes", type=Path, required=True, help="keeps what the eyes learned")
    parser.add_argument("--start", type=Path, help="such a file, of an earlier training")
    parser.add_argument("--model", type=Path, help="a folder that an earlier training wrote, to go on from")
    parser.add_argument("--out", type=Path, help="the folder of the model")
    parser.add_argument("--pictures", type=int, default=40_000)
    parser.add_argument("--glance", type=int, default=2800)
    parser.add_argument("--look", type=int, default=1300)
    parser.add_argument("--talk", type=int, default=650)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    lessons = make_dense_lessons(options.pictures, seed=options.seed, pixels=PIXELS, patch=PATCH, said=True)
    trainer = Trainer(lessons, seed=options.seed, model=options.model)
    if options.start is not None:
        start_from(trainer, options.start, whole=options.model is not None)
    steps = {"glance": options.glance, "look": options.look, "talk": options.talk}
    train(trainer, steps, eyes_file=options.eyes)
    if options.out is not None:
        save(trainer, options.out)


if __name__ == "__main__":
    main()
