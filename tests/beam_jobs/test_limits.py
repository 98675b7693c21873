"""A run in which more rows failed than its recipe allows ends with status 3, its outputs in place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_jobs.cli import main


def test_too_many_failed_rows_are_status_3(
    undisturbed: Path,
    run_arguments: Callable[[Path], list[str]],
    small_shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = tmp_path / "work"
    shutil.copytree(undisturbed, work)
    recipe = tmp_path / "strict.yaml"
    recipe.write_text(small_shards.read_text() + "\nlimits: {failed_rows: 0.01}\n")
    arguments = [argument for argument in run_arguments(work) if not argument.startswith("--recipe")]
    assert main([*arguments, f"--recipe={recipe}"]) == 3
    said = capsys.readouterr()
    assert "rows failed to download, more than limits.failed_rows = 0.01 allows" in said.err
    assert "pairs kept" in said.out
    assert (work / "shards/small/00000.tar").exists()
