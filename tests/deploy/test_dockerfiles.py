"""Dockerfiles: what they copy exists, what they run are scripts of ours, and they stand on the pinned Beam."""

from __future__ import annotations

import os
import re
from pathlib import Path

import apache_beam
import pytest

WORKERS = ("cpu.Dockerfile", "gpu.Dockerfile")


def pinned(project: Path, name: str) -> str:
    found = re.search(rf"^{name}==([^ ;\n]+)", (project / "constraints.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_each_worker_and_the_template_have_one(deploy_folder: Path) -> None:
    names = sorted(path.name for path in deploy_folder.glob("*.Dockerfile"))
    assert names == ["cpu.Dockerfile", "gpu.Dockerfile", "template.Dockerfile"]


def test_only_known_instructions_are_there(instructions, dockerfile: str) -> None:
    """So that nothing is installed in a way that no other test sees."""
    allowed = {"ARG", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "WORKDIR"}
    assert {one.name for one in instructions(dockerfile)} <= allowed


def test_what_is_copied_exists(instructions, dockerfile: str, project_folder: Path) -> None:
    missing = [
        source
        for one in instructions(dockerfile)
        if one.name == "COPY" and not one.is_from_elsewhere
        for source in one.words[:-1]
        if not (project_folder / source).exists()
    ]
    assert not missing


def test_what_is_copied_from_elsewhere_is_a_stage_of_it(instructions, dockerfile: str) -> None:
    found = instructions(dockerfile)
    stages = {one.words[2] for one in found if one.name == "FROM" and len(one.words) == 3}
    wanted = {flag.partition("=")[2] for one in found for flag in one.flags if flag.startswith("--from=")}
    assert wanted and wanted <= stages


def test_what_is_run_are_scripts_of_ours(instructions, dockerfile: str, project_folder: Path) -> None:
    copied: set[str] = set()
    for one in instructions(dockerfile):
        if one.name == "COPY":
            copied.update(one.words[:-1])
        if one.name == "RUN":
            shell, script, *_ = one.words
            first_line = (project_folder / script).read_text().splitlines()[0]
            assert first_line == {"sh": "#!/bin/sh", "bash": "#!/bin/bash"}[shell]
            assert script in copied, f"{script} is run before it is copied"
            assert os.access(project_folder / script, os.X_OK)


@pytest.mark.parametrize("name", WORKERS)
def test_the_harness_is_of_the_pinned_beam_and_python(instructions, name: str, project_folder: Path) -> None:
    bases = [one.words[0] for one in instructions(name) if one.name == "FROM"]
    beam = pinned(project_folder, "apache-beam")
    assert bases == [f"apache/beam_python3.11_sdk:{beam}", "python:3.11-slim-bookworm"]
    assert apache_beam.__version__ == beam


@pytest.mark.parametrize("name", WORKERS)
def test_the_harness_starts_in_the_environment_that_was_made(instructions, name: str) -> None:
    found = instructions(name)
    harness = next(one for one in found if one.name == "COPY" and one.is_from_elsewhere)
    assert harness.words == ("/opt/apache/beam", "/opt/apache/beam")
    assert found[-1].words == ("/opt/apache/beam/boot",)
    environment = {
        word.partition("=")[0]: word.partition("=")[2] for one in found if one.name == "ENV" for word in one.words
    }
    made = next(one.words[2] for one in found if one.name == "RUN" and one.words[1].endswith("install_worker.sh"))
    assert environment["PATH"].startswith(f"{made}/bin:")
    # Else the harness makes an environment of its own for each worker.
    assert environment["RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1" and environment["HF_HOME"] == "/opt/pairmill/models"


def test_the_gpu_image_is_made_as_the_cpu_image_and_more(instructions) -> None:
    cpu, gpu = instructions("cpu.Dockerfile"), instructions("gpu.Dockerfile")
    steps = ("WORKDIR", "RUN")
    more = [one.words for one in gpu if one.name in steps and one not in cpu]
    assert [one for one in cpu if one.name in steps] == [one for one in gpu if one.name in steps and one in cpu]
    assert [words[1] for words in more] == ["deploy/install_system.sh", "deploy/make_vllm_cuda.sh"]
    assert {one.words for one in cpu if one.name == "COPY"} <= {one.words for one in gpu if one.name == "COPY"} | {
        ("deploy/install_worker.sh", "deploy/")
    }


def test_both_have_every_extra_that_workers_use(instructions) -> None:
    run = next(one for one in instructions("cpu.Dockerfile") if one.name == "RUN")
    assert run.words[3:] == ("azure", "captions", "concepts", "formats", "gcp", "parser", "s3", "text", "vision")


def test_the_template_adds_googles_launcher_to_the_cpu_image(instructions, deploy_folder: Path) -> None:
    found = instructions("template.Dockerfile")
    arguments = dict(word.split("=", 1) for one in found if one.name == "ARG" for word in one.words)
    assert arguments["WORKER"].startswith("pairmill-cpu:")
    assert [one.words[0] for one in found if one.name == "FROM"] == ["${LAUNCHER}", "${WORKER}"]
    launcher = "/opt/google/dataflow/python_template_launcher"
    assert next(one.words for one in found if one.is_from_elsewhere) == (launcher, launcher)
    placed = next(one.words[-1] for one in found if one.name == "COPY" and not one.is_from_elsewhere)
    assert ("ENV", (f"FLEX_TEMPLATE_PYTHON_PY_FILE={placed}",)) in {(one.name, one.words) for one in found}
    assert (found[-1].name, found[-1].words) == ("ENTRYPOINT", (launcher,))
