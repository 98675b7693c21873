"""Texts that a recipe leaves to the loader: what the data set says of them gives the texts that a job would make."""

from __future__ import annotations

from pathlib import Path

from beam_jobs.stages.shards import finish_dataset
from beam_jobs.storage.files import exists, read_json
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.run_folder import RunFolder
from captioners.made_texts import make_texts
from captioners.reading import load_texts
from schemas.recipe import parse_recipe

RECIPE = """
name: mine
recaption:
  captioners: [{label: long, prompt: caption_long, decoding: {n: 2, temperature: 1.0}}]
  texts:
    - {as: parts, of: long, steps: [split, {merge: {count: 3, most: 2, consecutive: 0.5}}]}
    - {as: mixed, p_original: 0.8, other: long}
    - {as: checked, of: long, steps: [first], where: parts, otherwise: text}
  texts_at: read
  seed: 5
"""
KINDS = {"parts": "list<string>", "mixed": "string", "checked": "string"}
SAMPLE = {"uid": "u1", "text": "a dog", "long": "It runs. It barks.", "long_captions": ["It runs. It barks.", "A dog."]}


def test_a_loader_makes_what_the_job_would(tmp_path: Path) -> None:
    folder, recipe = RunFolder(str(tmp_path)), parse_recipe(RECIPE, "mine.yaml")
    tally = Tally(1, {"kept": 1}, "tar+table", numbers={"tar_bytes": 1})
    finish_dataset(folder, recipe, [tally], kinds=KINDS)
    told = read_json(folder.reading("mine"))
    assert (told["version"], told["recipe"], told["seed"], told["captioners"]) == (1, "mine", 5, ["long"])
    texts = load_texts(folder.reading("mine"))
    for epoch in range(3):
        made = make_texts(recipe.recaption.texts, SAMPLE, kinds=KINDS, seed=5, uid="u1", epoch=epoch)
        assert texts.apply(SAMPLE, epoch) == made
    assert len({str(texts.apply(SAMPLE, epoch)) for epoch in range(8)}) > 4
    finish_dataset(folder, recipe, [tally])
    assert read_json(folder.reading("mine")) == told


def test_texts_that_the_job_makes_are_not_told_to_the_loader(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    recipe = parse_recipe(RECIPE.replace("texts_at: read", "texts_at: write"), "mine.yaml")
    finish_dataset(folder, recipe, [Tally(1, {"kept": 1}, "tar+table", numbers={"tar_bytes": 1})], kinds=KINDS)
    assert not exists(folder.reading("mine"))
    assert read_json(folder.manifest("mine"))["captioners"][0]["label"] == "long"
