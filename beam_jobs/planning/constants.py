"""What was measured of each stage, scorer and grouper: the numbers that a plan is made of.

In: constants.yaml beside this file, which `bench/bench_scale.py` writes, or another file of its form. Out: Constants.
Seconds are of one core; rates are a million rows; sizes are bytes a row. A Refusal names what a file lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import Any, TypeVar

from schemas.recipe_text import read_yaml
from schemas.refusal import Refusal

PICTURES = ("web", "drawn")
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class StageConstants:
    """One stage. start: seconds before its first row, once a job. core_seconds: a million rows that come in.

    cores: how many one process keeps busy. stored, shuffled: bytes a row. files: a shard. memory: most that a process
    held, in bytes. kept: the share of the rows that go on.
    """

    start: float
    core_seconds: float
    cores: float
    stored: float
    shuffled: float
    files: float
    memory: float
    kept: float


@dataclass(frozen=True)
class PictureConstants:
    """Of pictures of one kind: bytes fetched and stored, seconds of a core to download a million and to decode them."""

    fetched: float
    stored: float
    download: float
    decode: float


@dataclass(frozen=True)
class Constants:
    """All of it. measured: when, on what machine, by which bench. start: seconds until a process is ready.

    scorers: core-seconds a million rows by scorer and kind of pictures, beside decoding. groupers: by grouper, without
    what grows faster than the rows. added: what the stages `score` and `group` took beside the sum of their parts, as
    a factor. flops: multiplications and additions a second of one core in a model's towers. scaling: how many times as
    fast two workers are as one.
    """

    measured: Mapping[str, Any]
    start: float
    stages: Mapping[str, StageConstants]
    pictures: Mapping[str, PictureConstants]
    scorers: Mapping[str, Mapping[str, float]]
    groupers: Mapping[str, float]
    added: Mapping[str, float]
    flops: float
    scaling: float


def packaged_constants() -> str:
    """The text of the constants that come with the package."""
    return (resources.files("beam_jobs.planning") / "constants.yaml").read_text(encoding="utf-8")


def load_constants(text: str, file: str = "constants.yaml") -> Constants:
    """The constants of a YAML text."""
    whole = _made(Constants, read_yaml(text, file), file)
    stages = {name: _made(StageConstants, value, f"{file}: stages.{name}") for name, value in whole.stages.items()}
    drawn = {name: _made(PictureConstants, value, f"{file}: pictures.{name}") for name, value in whole.pictures.items()}
    for name in PICTURES:
        if name not in drawn:
            raise Refusal(f"{file}: pictures: {name!r} is missing")
    return replace(whole, stages=stages, pictures=drawn)


def _made(kind: type[_Kind], value: Any, place: str) -> _Kind:
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(value, Mapping):
        raise Refusal(f"{place}: expected {', '.join(names)}; given {value!r}")
    for name in names:
        if name not in value:
            raise Refusal(f"{place}: {name!r} is missing")
    for name in value:
        if name not in names:
            raise Refusal(f"{place}: unknown key {name!r}; known: {', '.join(names)}")
    return kind(**value)
