"""Every recipe that captions, on ten fixed pictures: what comes of them is written out in golden/.

PAIRMILL_GOLDEN=write writes those files anew.
"""

from __future__ import annotations

import json
import os
import random
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from beam_jobs.homes import Homes, LoadSidecars
from beam_jobs.matching.kept_columns import columns_needed, facts_of, make_columns, summarize
from beam_jobs.recaptioning.launching import named_models, plan_captioning, with_engines
from beam_jobs.recipes import list_recipes, load_recipe, recipe_text
from beam_jobs.stages.recaption import RecaptionTask, let_go, recaption_shard, take_hold
from beam_jobs.stages.score import ScoreTask, score_shard
from beam_jobs.stages.selection import write_selection
from beam_jobs.storage.files import atomic_write
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from beam_jobs.world.captions import caption
from beam_jobs.world.drawing import draw
from beam_jobs.world.scenes import scene
from captioners.made_texts import make_texts
from filters.recipe_check import check_recipe
from filters.registry import make_scorers
from schemas.keys import sample_key, uid, uid_order
from schemas.recaption import TEXTS
from schemas.recipe import Recipe, parse_recipe
from schemas.tables import IMAGES, PLANNED, conform

RECIPES = [name for name in list_recipes() if load_recipe(name).recaption.captioners and name != "demo"]
GOLDEN = Path(__file__).parent / "golden"
PICTURES = 10
# Published weights are not at hand in tests: the shipped models stand in.
TINY = (
    ("model: ViT-B-32, pretrained: openai", "model: tiny"),
    ("model: ViT-L-14, pretrained: openai", "model: tiny"),
)
ENGINE = "engine: transformers, device: cpu"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Ten pictures of the world with their texts, as download leaves them, and the groups that recipes read."""
    folder = RunFolder(str(tmp_path_factory.mktemp("ten")))
    shown = [scene("golden", number, split="held_out") for number in range(PICTURES)]
    texts = [caption(one, random.Random(number)) for number, one in enumerate(shown)]
    urls = [f"http://pictures.test/{number}.png" for number in range(PICTURES)]
    found = sorted(range(PICTURES), key=lambda number: uid_order(uid(texts[number], urls[number])))
    rows = [(uid(texts[number], urls[number]), urls[number], texts[number]) for number in found]
    uids, urls, texts = (list(column) for column in zip(*rows, strict=True))
    keys = [sample_key(0, number, rows_per_shard=10_000) for number in range(PICTURES)]
    write_table(folder.planned(0), conform(pa.table({"uid": uids, "url": urls, "text": texts}), PLANNED))
    images = {"uid": uids, "url": urls, "caption": texts, "key": keys, "status": ["success"] * PICTURES}
    write_table(folder.image_table(0), conform(pa.table(images), IMAGES))
    with atomic_write(folder.image_tar(0)) as file:
        tar = TarShardWriter(file)
        for key, number in zip(keys, found, strict=True):
            stored = BytesIO()
            Image.fromarray(np.asarray(draw(shown[number], 160))).save(stored, "PNG")
            tar.add(f"{key}.png", stored.getvalue())
        tar.close()
    lists = pa.list_(pa.string())
    copies = [[f"copy of {text}"] if number == 0 else [] for number, text in enumerate(texts)]
    write_table(folder.groups("exact", 0), pa.table({"uid": uids, "exact_texts": pa.array(copies, lists)}))
    beside = [[texts[number - 1], texts[number - 2]] for number in range(PICTURES)]
    write_table(folder.groups("neighbours", 0), pa.table({"uid": uids, "neighbours_texts": pa.array(beside, lists)}))
    return folder


def launched(name: str) -> Recipe:
    text, file = recipe_text(name)
    for before, after in TINY:
        text = text.replace(before, after)
    recipe = parse_recipe(text, file)
    # CoCa takes no prompt, and there is no tiny one.
    prompt = ", prompt: caption_short" if name == "mobileclip" else ""
    labels = [captioner.label for captioner in recipe.recaption.captioners]
    return with_engines(recipe, [f"{label}={{{ENGINE}, model: tiny{prompt}}}" for label in labels])


def said(name: str, folder: RunFolder) -> list[dict[str, Any]]:
    """By row, all that a recipe makes of a picture: captions, texts, weights."""
    recipe = launched(name)
    scorers = make_scorers(recipe.score)
    captioning = named_models(plan_captioning(recipe, scorers, check_recipe(recipe, scorers=scorers)))
    missing = tuple(
        entry
        for entry, scorer in zip(recipe.score, scorers, strict=True)
        if not Path(folder.scores(scorer.label, 0)).exists()
    )
    if missing:
        score_shard(ScoreTask(folder.work, 0, missing, "cpu", needed=recipe.score[:1]))
    columns = None
    if recipe.columns:
        read = ["uid", *columns_needed(recipe.columns)]
        table, _ = LoadSidecars(folder.work, Homes.of(recipe))(0, read)
        columns = make_columns(table, recipe.columns, facts_of(recipe.columns, summarize(table, recipe.columns), {}))
    write_selection(folder.work, name, 0, codes=np.full(PICTURES, -1, np.int16), reasons=(), columns=columns)
    labels = tuple(plan.label for plan in captioning.plans)
    wanted = (*labels, TEXTS) if recipe.recaption.makes_texts else labels
    similarity = recipe.score[0] if recipe.recaption.similarity else None
    task = RecaptionTask(folder.work, recipe, 0, wanted, captioning, folder.answers(), similarity)
    take_hold()
    try:
        tallies = recaption_shard(task)
    finally:
        let_go()
    assert {tally.rows_in for tally in tallies.values()} == {PICTURES}
    rows: list[dict[str, Any]] = [
        {"text": text} for text in read_table(folder.planned(0), ["text"])["text"].to_pylist()
    ]
    for label in labels:
        table = read_table(folder.captions(name, label, 0), [label, f"{label}_captions", f"{label}_reason"])
        for row, told in zip(rows, table.to_pylist(), strict=True):
            row |= {key: value for key, value in told.items() if value not in (None, [], [told[label]])}
    if recipe.recaption.texts_at == "read":
        uids = read_table(folder.planned(0), ["uid"])["uid"].to_pylist()
        for row, each in zip(rows, uids, strict=True):
            row |= make_texts(recipe.recaption.texts, row, kinds=captioning.kinds, seed=0, uid=each)
    if TEXTS in wanted:
        for row, made in zip(rows, read_table(folder.captions(name, TEXTS, 0)).to_pylist(), strict=True):
            row |= {key: round(value, 3) if isinstance(value, float) else value for key, value in made.items()}
    return rows


def test_all_published_captioning_recipes_are_here() -> None:
    published = "alip altogether clips dreamlip flair fusecap long_clip lotlip mllms_augmented mobileclip nice"
    assert set(RECIPES) >= {*published.split(), "recap_datacomp", "rwkv_clip", "socratic", "visual_clues", "zerocap"}


@pytest.mark.parametrize("name", RECIPES)
def test_ten_pictures_come_to_what_is_written_out(name: str, drawn: RunFolder) -> None:
    found = said(name, drawn)
    file = GOLDEN / f"{name}.json"
    if os.environ.get("PAIRMILL_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(file.read_text())
