"""Dockerfiles as lists of instructions, read by a parser that others keep."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
DOCKERFILES = sorted(path.name for path in DEPLOY.glob("*.Dockerfile"))


@dataclass(frozen=True)
class Instruction:
    """One instruction. words: its arguments, without flags such as --from."""

    name: str
    words: tuple[str, ...]
    flags: tuple[str, ...] = ()

    @property
    def is_from_elsewhere(self) -> bool:
        return any(flag.startswith("--from=") for flag in self.flags)


def parse(text: bytes) -> Iterator[Instruction]:
    parser = DockerfileParser(fileobj=BytesIO(text))
    for found in parser.structure:
        name, value = found["instruction"], found["value"]
        if name == "COMMENT":
            continue
        words = json.loads(value) if value.startswith("[") else shlex.split(value)
        flags = [word for word in words if word.startswith("--") and name in ("COPY", "FROM")]
        yield Instruction(name, tuple(word for word in words if word not in flags), tuple(flags))


@pytest.fixture(scope="session")
def instructions() -> Callable[[str], list[Instruction]]:
    """The instructions of a Dockerfile of deploy/, by its name."""
    return lambda name: list(parse((DEPLOY / name).read_bytes()))


@pytest.fixture(scope="session")
def deploy_folder() -> Path:
    return DEPLOY


@pytest.fixture(scope="session")
def project_folder() -> Path:
    return PROJECT


@pytest.fixture(params=DOCKERFILES)
def dockerfile(request: pytest.FixtureRequest) -> str:
    """Each Dockerfile in turn, by its name."""
    return request.param
