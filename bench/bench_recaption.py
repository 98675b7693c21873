"""Recaptioning a shard against a bare loop over the same engine, in turns.

Writes a shard of drawn pictures of scenes, then alternates: `recaption_shard` with one captioner (reading the tar,
filling prompts, looking for stored answers, asking, judging, storing answers and tables), and a loop that hands the
engine the same requests, prompts and pictures ready in memory, as many at a time as it takes. Both ask one engine,
entered once; the stage starts each time with an empty store of answers. Prints each round, the median of the ratios by
the clock, which other work on the machine disturbs, and of this process's processor time, in which an engine in
process runs but a server does not; and what the engine is. The goal is 0.95.

    python bench/bench_recaption.py [--engine vllm --python .vllm/bin/python] [--model FOLDER] [--pairs 500]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from beam_jobs.recaptioning.held import Held, held_engine, let_go, take_hold
from beam_jobs.recaptioning.launching import Captioning, named_models, plan_captioning, with_engines
from beam_jobs.recaptioning.pictures import picture_id
from beam_jobs.recipes import recipe_text
from beam_jobs.stages.recaption import RecaptionTask, recaption_shard
from beam_jobs.storage.files import atomic_write
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from beam_jobs.world.drawing import draw
from beam_jobs.world.scenes import scene
from captioners.captioner import Request
from captioners.engines import check, engine_version, make_engine
from schemas.keys import sample_key, uid
from schemas.recipe import Recipe, parse_recipe
from schemas.tables import IMAGES, PLANNED, SELECTED, conform

RECAPTION = """
recaption:
  captioners:
    - label: short
      prompt: caption_short
      decoding: {max_tokens: 48}
      accept: [{drop: caption_is_refusal, reason: refusal}]
"""
VLLM = {"arguments": ["--max-model-len=1024", "--dtype=float32"]}
GOAL = 0.95


def write_shard(folder: RunFolder, recipe: str, pairs: int) -> list[bytes]:
    """A shard as download and select leave it; its pictures."""
    pictures = []
    for number in range(pairs):
        file = BytesIO()
        Image.fromarray(draw(scene("bench", number), 256)).save(file, "JPEG", quality=92)
        pictures.append(file.getvalue())
    urls = [f"http://pictures.test/{row}.jpg" for row in range(pairs)]
    texts = [f"picture {row}" for row in range(pairs)]
    keys = [sample_key(0, row, rows_per_shard=10_000) for row in range(pairs)]
    columns = {"uid": [uid(text, url) for text, url in zip(texts, urls, strict=True)], "url": urls}
    write_table(folder.planned(0), conform(pa.table({**columns, "text": texts}), PLANNED))
    write_table(folder.image_table(0), conform(pa.table({**columns, "caption": texts, "key": keys}), IMAGES))
    kept = {"uid": columns["uid"], "keep": [True] * pairs}
    write_table(folder.selected(recipe, 0), conform(pa.table(kept), SELECTED))
    with atomic_write(folder.image_tar(0)) as file:
        tar = TarShardWriter(file)
        for key, picture, text in zip(keys, pictures, texts, strict=True):
            tar.add(f"{key}.jpg", picture)
            tar.add(f"{key}.txt", text.encode())
        tar.close()
    return pictures


def planned(given: argparse.Namespace) -> tuple[Recipe, Captioning]:
    """The recipe with the engine that is asked for, checked."""
    text, file = recipe_text("base")
    options: dict[str, Any] = {"engine": given.engine, "model": given.model}
    if given.engine == "vllm":
        options |= {"python": given.python, **VLLM}
    if given.url:
        options["urls"] = given.url
    recipe = with_engines(parse_recipe(_without(text) + RECAPTION, file), [f"*={options}"])
    check(recipe.recaption.captioners[0].engine)
    return recipe, named_models(plan_captioning(recipe, [], PLANNED))


def _without(text: str) -> str:
    """The recipe without a section `recaption` of its own."""
    lines, inside = [], False
    for line in text.splitlines(keepends=True):
        if line[:1].isalpha():
            inside = line.startswith("recaption:")
        if not inside:
            lines.append(line)
    return "".join(lines)


def bare_loop(engine: Held, requests: list[Request]) -> list[str]:
    """All requests handed over; the engine takes as many at once as it has room for."""
    return [future.result().texts[0] for future in [engine.ask(request) for request in requests]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="transformers", help="transformers, vllm or endpoint")
    parser.add_argument("--python", default=".vllm/bin/python", help="of vllm: the Python that has it")
    parser.add_argument("--url", action="append", default=[], help="of endpoint: its URL (again for more)")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    recipe, captioning = planned(given)
    plan = captioning.plans[0]
    options = plan.captioner.engine
    print(f"{engine_version(options)}, model {plan.model_id}, {given.pairs} pictures a round")
    with tempfile.TemporaryDirectory() as work:
        folder = RunFolder(work)
        pictures = write_shard(folder, recipe.name, given.pairs)
        words = plan.fill({}, {})
        assert words is not None
        requests = [
            Request(
                plan.model_id,
                words,
                plan.captioner.decoding,
                picture,
                image_id=picture_id(picture, plan.captioner.image_side),
            )
            for picture in pictures
        ]
        take_hold()
        try:
            engine = held_engine(options, make_engine)
            # Round 0 warms both up, and is not counted.
            rounds = range(given.rounds + 1)
            ratios = [_round(number, work, folder, recipe, captioning, engine, requests) for number in rounds][1:]
        finally:
            let_go()
    clock, processor = (statistics.median(values) for values in zip(*ratios, strict=True))
    told = f", by processor time {processor:.3f}" if given.engine == "transformers" else ""
    print(f"recaption against the bare loop: {clock:.3f} by the clock{told} (medians of {given.rounds}; goal {GOAL})")
    return 0


def _round(
    number: int,
    work: str,
    folder: RunFolder,
    recipe: Recipe,
    captioning: Captioning,
    engine: Held,
    requests: list[Request],
) -> tuple[float, float]:
    """The stage's speed as a share of the bare loop's, by the clock and by processor time.

    Which goes first changes from round to round.
    """
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}
    label = captioning.plans[0].label
    answers = str(Path(work) / f"answers-{number}")
    task = RecaptionTask(work, recipe, 0, (label,), captioning, answers)
    said: list[str] = []
    tallies: dict[str, Any] = {}
    for which in ("bare", "stage") if number % 2 else ("stage", "bare"):
        start, used = time.perf_counter(), time.process_time()
        if which == "bare":
            said = bare_loop(engine, requests)
        else:
            tallies = recaption_shard(task)
        seconds[which], processor[which] = time.perf_counter() - start, time.process_time() - used
    (tally,) = tallies.values()
    assert tally.numbers["asked"] == tally.numbers["captions"] == len(said) == len(requests)
    ratio = seconds["bare"] / seconds["stage"]
    rates = ", ".join(f"{which} {len(requests) / seconds[which]:.1f}/s" for which in ("stage", "bare"))
    print(f"round {number}: {rates}, ratio {ratio:.3f}", flush=True)
    return ratio, processor["bare"] / processor["stage"]


if __name__ == "__main__":
    sys.exit(main())
