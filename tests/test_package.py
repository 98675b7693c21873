"""What the distribution holds, seen from its sdist, built and installed as a stranger would."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
OURS = ("beam_jobs", "captioners", "filters", "schemas")

OWNERS = """
import json
from importlib.metadata import packages_distributions
owners = packages_distributions()
print(json.dumps({name: sorted(set(owners.get(name, []))) for name in %r}))
"""


def succeed(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """The output of a command, which must end well."""
    environment = {**os.environ, "PYTHONPATH": str(path) if path else ""}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    said = f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{said}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, built in a copy of the project as Beam's stager builds it."""
    copy = tmp_path_factory.mktemp("project")
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*OURS, "tests", "deploy"):
        shutil.copytree(PROJECT / name, copy / name, ignore=left_out)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "constraints.txt"):
        shutil.copy(PROJECT / name, copy / name)
    succeed(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", "dist", cwd=copy)
    return copy / "dist" / "pairmill-0.1.0.tar.gz"


@pytest.fixture(scope="module")
def installed(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    succeed(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
        *("--disable-pip-version-check", "--target", target, sdist),
        cwd=target,
    )
    return target


def test_nothing_else_stands_at_the_top(installed: Path) -> None:
    assert {path.name for path in installed.iterdir()} == {*OURS, "bin", "pairmill-0.1.0.dist-info"}


def test_the_four_names_are_ours_alone(installed: Path) -> None:
    owners = json.loads(succeed(sys.executable, "-c", OWNERS % (OURS,), cwd=installed, path=installed))
    assert owners == {name: ["pairmill"] for name in OURS}


def test_every_module_and_data_file_is_inside(installed: Path) -> None:
    missing = [
        str(path.relative_to(PROJECT))
        for name in OURS
        for path in sorted((PROJECT / name).rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and not (installed / path.relative_to(PROJECT)).exists()
    ]
    assert missing == []


def test_recipes_model_templates_and_licence_are_inside(installed: Path) -> None:
    assert (installed / "beam_jobs/recipes/base.yaml").exists()
    assert (installed / "beam_jobs/servers/pom.xml").exists()
    assert list((installed / "beam_jobs/report/templates").glob("*.html*"))
    assert sum(path.stat().st_size for path in (installed / "filters/models/tiny_clip").iterdir()) > 1_000_000
    assert list((installed / "pairmill-0.1.0.dist-info").rglob("LICENSE"))


def test_the_command_runs_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    said = succeed(installed / "bin" / "pairmill", "recipes", cwd=tmp_path, path=installed)
    assert any(line.split()[:1] == ["base"] for line in said.splitlines()), said


def test_sources_parse_as_python_3_10() -> None:
    for name in OURS:
        for path in (PROJECT / name).rglob("*.py"):
            ast.parse(path.read_text(), filename=str(path), feature_version=(3, 10))
