"""A recipe with a list and columns of its own, through the flow: its shards bear them, its list is known by content."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.overview import counts
from beam_jobs.storage.parquet import read_table

RunArguments = Callable[[Path], list[str]]

ADDED = """
given: {blocked: hosts to leave out}
columns:
  - {bins: 4, of: clip_similarity, as: alignment_bin}
  - {weight: exp(clip_similarity - mean), as: weight, means: {mean: clip_similarity}}
"""


@pytest.fixture
def work(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def recipe(small_shards: Path, tmp_path: Path) -> Path:
    text = small_shards.read_text().replace("name: small", "name: binned")
    listed = "select:\n  - drop_listed: {by: domain, file: given:blocked}\n    reason: blocked_domain\n"
    path = tmp_path / "binned.yaml"
    path.write_text(text.replace("\nselect:\n", f"\n{listed}") + ADDED)
    return path


def test_shards_bear_the_columns_that_were_made(
    work: Path, recipe: Path, run_arguments: RunArguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [each for each in run_arguments(work) if not each.startswith("--recipe")]
    arguments += [f"--recipe={recipe}", "--stages=:write"]
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("shapes.test\n")
    assert main([*arguments, f"--given=blocked={blocked}"]) == 0
    (found,) = [count["reasons"] for count in counts(str(work)) if count["stage"] == "select/binned"]
    assert found["blocked_domain"] > 0 and found["kept"] > 4
    shards = work / "shards/binned"
    rows = [read_table(str(path)) for path in sorted(shards.glob("*.parquet"))]
    similarities = [value for table in rows for value in table["clip_similarity"].to_pylist()]
    facts = json.loads((shards / "dataset/manifest.json").read_text())["columns"]
    edges = facts["alignment_bin"]["edges"]
    assert (edges[0], edges[-1]) == (min(similarities), max(similarities))
    bins = [value for table in rows for value in table["alignment_bin"].to_pylist()]
    expected = [min(3, sum(value >= edge for edge in edges[1:])) for value in similarities]
    assert bins == expected and {0, 3} <= set(bins)
    assert facts["weight"]["means"]["mean"] == pytest.approx(sum(similarities) / len(similarities))
    assert all("shapes.test" not in url for table in rows for url in table["url"].to_pylist())

    # The same list in another place is the same list; another one is another selection.
    moved = tmp_path / "moved.txt"
    moved.write_text(blocked.read_text())
    before = {path.name: path.stat().st_mtime_ns for path in (work / "selected/binned").iterdir()}
    assert main([*arguments, f"--given=blocked={moved}"]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in (work / "selected/binned").iterdir()} == before
    moved.write_text("gallery.test\n")
    assert main([*arguments, f"--given=blocked={moved}"]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in (work / "selected/binned").iterdir()} != before
