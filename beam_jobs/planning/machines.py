"""What a plan is made for: machines, their prices, the size of the run, as the command line gives them.

In: texts of arguments. Out: frozen values, or a Refusal in one line with what was expected and what was given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from schemas.refusal import Refusal, unknown

_MACHINES = re.compile(r"(\d{1,7})x(\d{1,5})(?::(\d+(?:\.\d+)?)GB)?")
_MOST_PAIRS = 1e13


@dataclass(frozen=True)
class Machines:
    """So many machines of so many cores. memory: bytes of each, None where it is not said. processes: workers on each,
    None for one a core. gpus: in all.
    """

    count: int
    cores: int
    memory: float | None = None
    processes: int | None = None
    gpus: int = 0

    @property
    def workers(self) -> int:
        """Processes on a machine."""
        return self.processes or self.cores


@dataclass(frozen=True)
class Prices:
    """Dollars. storage_gb_month: of what is left after the run, for one month. requests: a million files written."""

    core_hour: float = 0.05
    gpu_hour: float = 2.5
    shuffled_gb: float = 0.01
    storage_gb_month: float = 0.023
    requests: float = 5.0


@dataclass(frozen=True)
class Settings:
    """What else a plan takes as given. kept: shares of rows that go on, by stage, in place of those measured.

    pictures: whose constants: `web` (1.2 megapixels) or `drawn` (the embedded world's). bandwidth: bits a second of a
    machine. gpu_flops: multiplications and additions a second that a GPU does in a model's towers. captions: a second
    and GPU, None where it is not said.
    """

    pictures: str = "web"
    kept: Mapping[str, float] = field(default_factory=dict)
    bandwidth: float = 10e9
    gpu_flops: float = 100e12
    captions: float | None = None


def parse_pairs(text: str) -> int:
    """`1e9`, `250000000`: a whole number of pairs."""
    value = _number(text)
    if not (1 <= value <= _MOST_PAIRS) or value != int(value):
        raise Refusal(f"--pairs: expected a whole number from 1 to {_MOST_PAIRS:g}, such as 1e9; given {text!r}")
    return int(value)


def parse_machines(text: str, *, processes: str | None = None, gpus: str | None = None) -> Machines:
    """`64x16` or `64x16:64GB`: 64 machines of 16 cores, each with 64 GB."""
    found = _MACHINES.fullmatch(text)
    if found is None or not int(found[1]) or not int(found[2]):
        raise Refusal(f"--machines: expected COUNTxCORES or COUNTxCORES:SIZEGB, such as 64x16:64GB; given {text!r}")
    machines = Machines(int(found[1]), int(found[2]), float(found[3]) * 1e9 if found[3] else None)
    if processes is not None:
        machines = replace(machines, processes=_whole("processes", processes, least=1, most=machines.cores))
    if gpus is not None:
        machines = replace(machines, gpus=_whole("gpus", gpus, least=0, most=1_000_000))
    return machines


def parse_prices(text: str | None) -> Prices:
    """`core_hour=0.04,gpu_hour=2`: dollars by name; the others stay as they are."""
    return replace(Prices(), **_named("prices", text, [each.name for each in fields(Prices)], most=math.inf))


def parse_kept(text: str | None, stages: Iterable[str]) -> dict[str, float]:
    """`download=0.6,select=0.25`: shares by stage."""
    return _named("kept", text, list(stages), most=1.0)


def parse_rate(flag: str, text: str, *, unit: float = 1.0) -> float:
    """A rate above 0, in so many units."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise Refusal(f"--{flag}: expected a number above 0; given {text!r}")
    return value * unit


def _named(flag: str, text: str | None, names: list[str], *, most: float) -> dict[str, float]:
    values: dict[str, float] = {}
    for part in text.split(",") if text else []:
        name, equals, given = part.partition("=")
        if not equals:
            raise Refusal(f"--{flag}: expected NAME=NUMBER,...; given {part!r}")
        if name not in names:
            raise unknown("name", name, names, where=f"--{flag}")
        value = _number(given)
        if not 0 <= value <= most or value == math.inf:
            limit = "a number of at least 0" if most == math.inf else f"a share from 0 to {most:g}"
            raise Refusal(f"--{flag}: {name}: expected {limit}; given {given!r}")
        values[name] = value
    return values


def _whole(flag: str, text: str, *, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise Refusal(f"--{flag}: expected a whole number from {least} to {most}; given {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
