"""A run against a ground truth that the test makes up from the run's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from selectolax.lexbor import LexborHTMLParser

from beam_jobs.cli import main
from beam_jobs.report.gather import gather
from beam_jobs.report.page import render
from beam_jobs.report.truth import Measured, agreeing_columns, auc
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder


def _write_truth(folder: RunFolder, shards: int, url: str) -> None:
    """Wrong texts are those of a similarity below 0.25, copies those that the run found, but for one group."""
    similarity: dict[str, float | None] = {}
    groups: dict[str, str | None] = {}
    for shard in range(shards):
        scores, near = read_table(folder.scores("clip", shard)), read_table(folder.groups("near", shard))
        similarity.update(zip(scores["uid"].to_pylist(), scores["clip_similarity"].to_pylist(), strict=True))
        groups.update(zip(near["uid"].to_pylist(), near["near_group"].to_pylist(), strict=True))
    denied = min(group for group in groups.values() if group)
    rows = []
    for pair in read_table(folder.pairs(0)).to_pylist():
        value, group = similarity.get(pair["uid"]), groups.get(pair["uid"])
        wrong = value is not None and value < 0.25
        rows.append(
            {
                "page_url": pair["page_url"],
                "position": pair["position"],
                "label": "vague" if pair["text"] == "img" else "wrong" if wrong else "good",
                "detail": "other_scene" if wrong else "",
                "language": "en",
                "expected": pair["reason"] or "ok",
                "duplicate_group": group if group and group != denied else f"alone-{len(rows)}",
                "sha256": pair["uid"],
            }
        )
    write_table(url, pa.Table.from_pylist(rows))


@pytest.fixture(scope="module")
def truth(made_run: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("truth") / "truth.parquet")
    _write_truth(made_run.folder, 3, url)
    return url


@pytest.fixture(scope="module")
def against(made_run: Any, truth: str) -> Any:
    task = made_run.task
    return gather(task.work, task.recipe_name, task.recipe, task.ledgers, truth=truth)


def test_precision_and_recall_are_those_that_the_truth_was_made_for(against: Any, made_run: Any) -> None:
    measured: Measured = against.measured
    finders = {finder.name: finder for finder in measured.finders}
    values = np.concatenate(
        [
            np.array(read_table(made_run.folder.scores("clip", shard))["clip_similarity"].drop_null())
            for shard in range(3)
        ]
    )
    wrong = finders["clip_similarity < 0.3"]
    assert (wrong.found, wrong.right, wrong.sought) == ((values < 0.3).sum(), (values < 0.25).sum(), wrong.right)
    near = finders["near_duplicate_of"]
    assert near.found == against.duplicates[1].duplicates
    assert near.found - near.right in (1, 2)
    assert near.sought == near.right
    kept = finders["kept"]
    assert (kept.found, kept.found - kept.right) == (69, (values[values >= 0.3] < 0.25).sum())
    failures = finders["failure classes"]
    assert (failures.found, failures.right, failures.sought) == (53, 6, 6)
    [separation] = measured.separations
    assert separation.auc == 1.0
    assert separation.histogram.counts.sum() == 163


def test_every_row_of_the_truth_ends_somewhere(against: Any) -> None:
    measured: Measured = against.measured
    assert measured.rows == 240
    assert sum(sum(ends.values()) for ends in measured.outcomes.values()) == 240
    assert measured.outcomes["vague"] == {"text_too_short": 16}
    assert measured.ends[0] == "kept"
    assert measured.ends[-1] == "failed"


def test_the_page_has_a_section_for_it(against: Any, made_run: Any) -> None:
    tree = LexborHTMLParser(render(against))
    assert [link.text() for link in tree.css(".toc a")][-3:] == ["Ground truth", "Images", "Making"]
    assert tree.css_first("#truth .maker").text() == "AUC 1.0000"
    assert [row.css_first("th").text() for row in tree.css("#truth .finders tbody tr")] == [
        "kept",
        "clip_similarity < 0.3",
        "near_duplicate_of",
        "failure classes",
    ]


def test_the_command_tells_it_too(
    made_run: Any, truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "base.yaml"
    recipe.write_text(yaml.safe_dump(made_run.task.recipe))
    assert main(["truth", "--work", made_run.task.work, "--recipe", str(recipe), "--truth", truth]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "240 image references of the embedded world, recipe base"
    assert lines[2].split()[0] == "kept" and lines[2].split()[-5] == "69"
    assert "clip_similarity: area under the ROC curve 1.0000 (right texts from wrong ones)" in lines
    assert lines[-1].startswith("  ") and "vague: text_too_short 16" in "\n".join(lines)


def test_the_area_under_the_curve() -> None:
    assert auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert auc(np.array([2.0, 0.0]), np.array([1.0])) == 0.5


def test_what_each_grouper_should_agree_with() -> None:
    recipe = {"group": ["exact", {"near": {"label": "alike"}}, {"exact": {"by": "url", "label": "same_url"}}]}
    assert agreeing_columns(recipe) == {"exact": "sha256", "alike": "duplicate_group"}


def test_a_missing_truth_is_an_error(made_run: Any, tmp_path: Path) -> None:
    task = made_run.task
    with pytest.raises(FileNotFoundError):
        gather(task.work, task.recipe_name, task.recipe, task.ledgers, truth=str(tmp_path / "none.parquet"))
