"""Recipes share a run folder: what is expensive is made once, what bears a recipe's name is made for each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_jobs.cli import main

Digests = Callable[[Path], dict[str, str]]
RunArguments = Callable[[Path], list[str]]


@pytest.fixture
def work(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed, tmp_path / "work")
    return tmp_path / "work"


def run(work: Path, recipe: Path, run_arguments: RunArguments) -> int:
    arguments = [argument for argument in run_arguments(work) if not argument.startswith("--recipe")]
    return main([*arguments, f"--recipe={recipe}"])


def samples(work: Path, recipe: str) -> int:
    return int(json.loads((work / "shards" / recipe / "dataset/manifest.json").read_text())["samples"])


def test_another_selection_touches_no_image_and_no_score(
    work: Path, small_shards: Path, run_arguments: RunArguments, digests: Digests, tmp_path: Path
) -> None:
    before = {folder: digests(work / folder) for folder in ("pairs", "planned", "images", "scores", "embeddings")}
    old = digests(work / "shards/small")
    text = small_shards.read_text().replace("name: small", "name: loose")
    loose = tmp_path / "loose.yaml"
    loose.write_text(text.replace("clip_similarity >= 0.35", "clip_similarity >= -1"))
    assert run(work, loose, run_arguments) == 0
    assert samples(work, "loose") > samples(work, "small")
    assert digests(work / "shards/small") == old
    assert {folder: digests(work / folder) for folder in before} == before


def test_a_changed_recipe_of_the_same_name_leaves_nothing_of_the_old(
    work: Path, small_shards: Path, run_arguments: RunArguments, tmp_path: Path
) -> None:
    changed = tmp_path / "small.yaml"
    changed.write_text(small_shards.read_text().replace("clip_similarity >= 0.35", "clip_similarity >= 0.68"))
    before = samples(work, "small")
    assert run(work, changed, run_arguments) == 0
    assert 0 < samples(work, "small") < before
    manifest = json.loads((work / "shards/small/dataset/manifest.json").read_text())
    tars = sorted(path.name for path in (work / "shards/small").glob("*.tar"))
    assert tars == [shard["tar"] for shard in manifest["shards"]]
