"""Scored once: another threshold reads no image and runs no model, and another version of a scorer leaves the old."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from beam_jobs.cli import main
from beam_jobs.overview import counts
from filters.image_facts import ImageFacts
from filters.registry import make_scorer

Digests = Callable[[Path], dict[str, str]]
RunArguments = Callable[[Path], list[str]]

_listening: list[Counter[str]] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _listening and str(arguments[0]).endswith(".tar"):
        _listening[-1]["tars"] += 1


sys.addaudithook(_hear)


@pytest.fixture
def counted() -> Iterator[Counter[str]]:
    """How many tars were opened and how many modules of models were called, in this process."""
    found: Counter[str] = Counter()
    hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: found.update(["models"]))
    _listening.append(found)
    yield found
    _listening.pop()
    hook.remove()


@pytest.fixture
def work(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed, tmp_path / "work")
    return tmp_path / "work"


def run(work: Path, recipe: Path, run_arguments: RunArguments, stages: str) -> None:
    arguments = [each for each in run_arguments(work) if not each.startswith(("--recipe", "--stages"))]
    assert main([*arguments, f"--recipe={recipe}", f"--stages={stages}"]) == 0


def test_another_threshold_reads_no_image_and_runs_no_model(
    work: Path, small_shards: Path, run_arguments: RunArguments, counted: Counter[str], tmp_path: Path
) -> None:
    stricter = tmp_path / "small.yaml"
    stricter.write_text(small_shards.read_text().replace("clip_similarity >= 0.35", "clip_similarity >= 0.68"))
    before = kept(work)
    run(work, stricter, run_arguments, ":select")
    assert 0 < kept(work) < before
    assert counted == {}
    make_scorer("clip").load("cpu").encode_texts(["what is counted is counted"])
    assert counted["models"] > 0


def test_another_version_of_a_scorer_makes_its_columns_anew_and_leaves_the_old(
    work: Path,
    small_shards: Path,
    run_arguments: RunArguments,
    counted: Counter[str],
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {name: digests(work / name) for name in ("scores/image_facts", "scores/clip", "embeddings", "images")}
    monkeypatch.setattr(ImageFacts, "version", 2)
    run(work, small_shards, run_arguments, ":score")
    assert counted["tars"] > 0 and counted["models"] == 0
    assert {name: digests(work / name) for name in before if name != "scores/image_facts"} == {
        name: found for name, found in before.items() if name != "scores/image_facts"
    }
    (old,) = (work / "scores").glob("image_facts@*")
    assert old.name.startswith("image_facts@1-")
    assert digests(old) == before["scores/image_facts"] != digests(work / "scores/image_facts")
    stages = [count["stage"] for count in counts(str(work))]
    assert "score/image_facts" in stages and f"score/{old.name}" in stages

    counted.clear()
    monkeypatch.setattr(ImageFacts, "version", 1)
    run(work, small_shards, run_arguments, ":score")
    assert counted == {}
    assert digests(work / "scores/image_facts") == before["scores/image_facts"]
    assert [path.name[:14] for path in (work / "scores").glob("image_facts@*")] == ["image_facts@2-"]


def test_other_options_need_another_name(
    work: Path, small_shards: Path, run_arguments: RunArguments, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "small.yaml"
    other.write_text(small_shards.read_text().replace("  - image_facts\n", "  - image_facts: {max_side: 64}\n"))
    arguments = [each for each in run_arguments(work) if not each.startswith("--recipe")]
    assert main([*arguments, f"--recipe={other}"]) == 2
    assert "section.options.max_side: 512, now 64); give this one another name with `as`, or use" in (
        capsys.readouterr().err
    )


def kept(work: Path) -> int:
    return int(next(count["reasons"]["kept"] for count in counts(str(work)) if count["stage"] == "select/small"))
