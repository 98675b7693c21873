"""The steps of the images, taken outside a container: the same files, the same scripts, the same arguments."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\n]+)", re.MULTILINE)


def succeed(command: list[str], *, cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    return done.stdout


@pytest.fixture(scope="module")
def image(instructions, project_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for the root of gpu.Dockerfile's image, which holds all steps of cpu.Dockerfile's too.

    Of vLLM for GPUs, 8 GB, only the versions are checked.
    """
    root = tmp_path_factory.mktemp("image")
    at, environment = root, {"PYTHON": sys.executable}
    for one in instructions("gpu.Dockerfile"):
        words = [str(root / word[1:]) if word.startswith("/opt/") else word for word in one.words]
        if one.name == "WORKDIR":
            at = Path(words[0])
            at.mkdir(parents=True)
        elif one.name == "ENV":
            for word in one.words:
                name, _, value = word.partition("=")
                if name in ("UV", "HF_HOME"):
                    environment[name] = str(root / value[1:])
        elif one.name == "COPY" and not one.is_from_elsewhere:
            for source in words[:-1]:
                _copy(project_folder / source, at / words[-1], into=len(words) > 2 or words[-1].endswith("/"))
        elif one.name == "RUN" and words[1] == "deploy/make_vllm_cuda.sh":
            succeed([*words, "check"], cwd=at, **environment)
        elif one.name == "RUN":
            succeed(words, cwd=at, **environment)
    return root


def _copy(source: Path, target: Path, *, into: bool) -> None:
    """As COPY does: a folder's contents, or a file under its name."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        return
    place = target / source.name if into else target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)


def test_all_that_is_installed_is_pinned(image: Path, project_folder: Path) -> None:
    venv = image / "opt/pairmill/venv"
    said = succeed([str(venv / "bin/uv"), "pip", "freeze", "--python", str(venv / "bin/python")], cwd=image)
    installed = dict(_PIN.findall(said))
    pins: dict[str, set[str]] = {}
    for name, version in _PIN.findall((project_folder / "constraints.txt").read_text()):
        pins.setdefault(name, set()).add(version)
    assert set(installed) > {"apache-beam", "google-cloud-dataflow-client", "s3fs", "torch"}
    unpinned = {name for name, version in installed.items() if version not in pins.get(name, ())}
    assert unpinned <= {"uv", "pip", "setuptools"}


def test_the_package_is_there_with_its_models(image: Path) -> None:
    site = next((image / "opt/pairmill/venv/lib").glob("python3*/site-packages"))
    assert list((site / "filters/models").glob("*/*"))


def test_the_environment_is_whole(image: Path) -> None:
    python = str(image / "opt/pairmill/venv/bin/python")
    uv = str(image / "opt/pairmill/venv/bin/uv")
    succeed([uv, "pip", "check", "--python", python], cwd=image)


def test_a_step_that_fails_ends_the_build(project_folder: Path, tmp_path: Path) -> None:
    for script in ("install_worker.sh", "install_package.sh", "cache_models.sh", "make_vllm_cuda.sh"):
        command = ["sh", str(project_folder / "deploy" / script), str(tmp_path / "venv"), "nonsense"]
        environment = {**os.environ, "PYTHON": "/nowhere/python", "UV": "/nowhere/uv"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert done.returncode != 0, script
