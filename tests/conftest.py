"""Fixtures that all tests share: the folder of real pages and hostile input that stands beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Which runner is the default depends on what was built on the machine before; tests name those that they are of.
os.environ.setdefault("PAIRMILL_RUNNER", "DirectRunner")


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with `web/`, `hostile/` and `near_duplicates/`; the test is skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("PAIRMILL_SHARED", beside))
    if not (folder / "web" / "pairs.tsv").exists():
        pytest.skip(f"real pages are absent: no {folder}/web/pairs.tsv (set PAIRMILL_SHARED)")
    return folder
