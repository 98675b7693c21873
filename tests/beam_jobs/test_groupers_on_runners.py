"""All groupers over one run's images and scores: the same sidecars on every runner, with one worker and with two."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_jobs.cli import main

Digests = Callable[[Path], dict[str, str]]
RunArguments = Callable[[Path], list[str]]

GROUPERS = """group:
  - exact: {by: url, label: same_url}
  - exact: {by: text, label: same_text, texts: 3}
  - clusters: {k: 6, top: 3}
  - neighbours: {k: 3}
  - placeholders: {urls: 2, texts: 2}
  - repeats
  - concepts: {vocabulary: VOCABULARY}
"""
TWO_WORKERS = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


@pytest.fixture(scope="module")
def grouped(
    small_shards: Path, run_arguments: RunArguments, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[str]], Path]:
    """The sidecars that a runner makes, in a copy of the undisturbed run's folder."""
    folder = tmp_path_factory.mktemp("groupers")
    vocabulary = folder / "entries.txt"
    vocabulary.write_text("circle\nsquare\nred\nblue\nstar\n")
    recipe = folder / "many.yaml"
    text = small_shards.read_text().replace("name: small", "name: many")
    recipe.write_text(text.replace("group:\n", GROUPERS.replace("VOCABULARY", str(vocabulary)), 1))

    def run(flags: list[str]) -> Path:
        work = tmp_path_factory.mktemp("work") / "run"
        shutil.copytree(undisturbed, work)
        shutil.rmtree(work / "groups")
        shutil.rmtree(work / "ledger/group")
        arguments = [argument for argument in run_arguments(work) if not argument.startswith("--recipe=")]
        assert main([*arguments, f"--recipe={recipe}", "--stages=group", *flags]) == 0
        return work / "groups"

    return run


@pytest.fixture(scope="module")
def by_one_worker(grouped: Callable[[list[str]], Path]) -> Path:
    return grouped([])


@pytest.mark.parametrize("flags", [TWO_WORKERS, ["--runner=SparkRunner"]], ids=["two workers", "Spark"])
def test_every_grouper_gives_the_same_bytes(
    flags: list[str],
    grouped: Callable[[list[str]], Path],
    by_one_worker: Path,
    digests: Digests,
    runner_flags: Callable[[str], list[str]],
) -> None:
    if "--runner=SparkRunner" in flags:
        flags = runner_flags("SparkRunner")
    found = digests(grouped(flags))
    assert found == digests(by_one_worker)
    labels = {path.split("/")[0] for path in found}
    assert labels == {
        *("exact", "perceptual", "near", "same_url", "same_text"),
        *("clusters", "neighbours", "placeholder", "content", "stored"),
    }


def test_what_they_tell_is_not_empty(by_one_worker: Path) -> None:
    """Equal sidecars would say little if nothing stood in them."""

    def values(label: str, column: str) -> list[object]:
        tables = [pq.read_table(path, columns=[column]) for path in sorted((by_one_worker / label).glob("0*.parquet"))]
        return [value for table in tables for value in table[column].to_pylist() if value is not None]

    assert set(values("clusters", "clusters_id")) == {0, 1, 2, 3, 4, 5}
    assert all(len(near) == 3 for near in values("neighbours", "neighbours_uids") if isinstance(near, list))
    assert {1, 2} <= set(values("content", "content_texts_per_image"))
    assert {1, 2} <= set(values("placeholder", "placeholder_urls"))
    assert any(values("stored", "stored_concepts"))
