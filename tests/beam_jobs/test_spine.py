"""The whole flow: the same bytes and counts on every runner, and whatever was killed on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import webdataset
from embedding_reader import EmbeddingReader

from beam_jobs.cli import main
from beam_jobs.overview import counts

Digests = Callable[[Path], dict[str, str]]
RunArguments = Callable[[Path], list[str]]

# Everything but the ledger and img2dataset's statistics, which tell the time.
TABLES = ("pairs", "preselected", "planned", "scores", "embeddings", "groups", "selected", "shards")


def outputs(work: Path, digests: Digests) -> dict[str, dict[str, str]]:
    found = {folder: digests(work / folder) for folder in TABLES}
    images = digests(work / "images")
    return found | {"images": {name: digest for name, digest in images.items() if not name.endswith(".json")}}


def reasons(work: Path) -> dict[str, dict[str, int]]:
    return {count["stage"]: count["reasons"] for count in counts(str(work))}


def test_reasons_add_up_to_the_references_found(undisturbed: Path) -> None:
    found = {count["stage"]: count for count in counts(str(undisturbed))}
    for stage, count in found.items():
        assert sum(count["reasons"].values()) == count["rows_in"], stage
    order = ["extract", "preselect", "download", "select/small", "write/small"]
    for before, after in pairwise(order):
        assert found[after]["rows_in"] == found[before]["reasons"]["kept"], after
    assert found["download"]["shards"] >= 4
    assert found["write/small"]["shards"] >= 3


@pytest.mark.parametrize("runner", ["PrismRunner", "SparkRunner"])
def test_another_runner_gives_the_same_bytes_and_counts(
    runner: str,
    runner_flags: Callable[[str], list[str]],
    undisturbed: Path,
    run_arguments: RunArguments,
    digests: Digests,
    tmp_path: Path,
) -> None:
    assert main([*run_arguments(tmp_path), *runner_flags(runner)]) == 0
    assert outputs(tmp_path, digests) == outputs(undisturbed, digests)
    assert reasons(tmp_path) == reasons(undisturbed)


def test_killed_again_and_again_the_run_ends_with_the_same_bytes(
    undisturbed: Path, run_arguments: RunArguments, digests: Digests, tmp_path: Path
) -> None:
    """Each kill waits for another stage's first marker, then for a moment more."""
    command = [sys.executable, "-m", "beam_jobs", *run_arguments(tmp_path)]
    moments = random.Random(2)
    kills = 0
    for stage in ("extract", "planned", "download", "score", "select", "write"):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while run.poll() is None and not list((tmp_path / "ledger" / stage).rglob("0*.json")):
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.05))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            kills += 1
        run.wait()
    assert kills >= 4
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").glob("*.tar")}
    assert main(run_arguments(tmp_path)) == 0
    assert outputs(tmp_path, digests) == outputs(undisturbed, digests)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "images").glob("*.tar")} == before
    assert not list(tmp_path.rglob(".*"))


def test_what_is_done_is_not_done_again(undisturbed: Path, run_arguments: RunArguments) -> None:
    def times() -> dict[Path, int]:
        files = [path for folder in (*TABLES, "images") for path in (undisturbed / folder).rglob("*")]
        return {path: path.stat().st_mtime_ns for path in files if path.suffix in (".tar", ".parquet", ".npy")}

    before = times()
    leftover = undisturbed / "images" / ".unfinished-by-a-writer-that-was-killed"
    leftover.write_bytes(b"half")
    assert main(run_arguments(undisturbed)) == 0
    assert times() == before
    assert not leftover.exists()


def test_webdataset_reads_the_training_shards(undisturbed: Path) -> None:
    tars = sorted(str(path) for path in (undisturbed / "shards/small").glob("*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    kept = reasons(undisturbed)["select/small"]["kept"]
    assert len(samples) == kept
    assert len({sample["__key__"] for sample in samples}) == kept
    assert all(sample["txt"] == sample["json"]["text"] for sample in samples)
    assert all(sample["jpg"].size == (sample["json"]["width"], sample["json"]["height"]) for sample in samples)
    assert [len(list(webdataset.WebDataset(tar, shardshuffle=False))) for tar in tars[:-1]] == [12] * (len(tars) - 1)


def test_clip_retrievals_reader_takes_the_embeddings(undisturbed: Path) -> None:
    folder = undisturbed / "embeddings/clip"
    reader = EmbeddingReader(
        str(folder / "img_emb"),
        file_format="parquet_npy",
        metadata_folder=str(folder / "metadata"),
        meta_columns=["image_path", "caption", "url"],
    )
    assert reader.count == reasons(undisturbed)["download"]["kept"]
    [(vectors, rows)] = list(reader(batch_size=10_000))
    assert vectors.shape == (reader.count, reader.dimension)
    assert ((vectors.astype("float32") ** 2).sum(axis=1) > 0.99).all()
    assert rows["image_path"].is_unique
