"""A plan: what each stage of a run takes on given machines, by the clock, in machine-hours, bytes and dollars.

In: a recipe, pairs, machines, prices, settings, constants. Out: a Plan. The formula of a stage's time:

    time = start + max(core-seconds / cores in use, bytes fetched / bandwidth, GPU-seconds / GPUs) + the last shard
    cores in use = machines x min(cores, processes x cores that one process keeps busy), no more than shards do
                   x what two workers did together, beside twice what one did
"""

from __future__ import annotations

from dataclasses import dataclass

from beam_jobs.planning.constants import Constants
from beam_jobs.planning.machines import Machines, Prices, Settings
from beam_jobs.planning.workload import Load, loads
from schemas.recipe import Recipe

GB = 1e9
# Stages of one task, which the launching process does by itself.
LOCAL = ("report",)
# Names of shards have five digits, and what reads {00000..99999} sees no more.
MOST_SHARDS = 100_000
_NUMBERED = {"download": "rows_per_shard", "write": "samples_per_shard"}
HOUR = 3600.0


@dataclass(frozen=True)
class StagePlan:
    """One stage. seconds: by the clock. memory: bytes that its processes hold on a machine. dollars: but storage."""

    stage: str
    rows: float
    shards: float
    core_seconds: float
    gpu_seconds: float
    seconds: float
    machine_hours: float
    gpu_hours: float
    stored: float
    shuffled: float
    fetched: float
    files: float
    memory: float
    dollars: float
    formula: tuple[str, ...]
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All stages, and their sums. start: seconds until the first process is ready."""

    recipe: str
    pairs: int
    machines: Machines
    prices: Prices
    settings: Settings
    constants: Constants
    start: float
    stages: tuple[StagePlan, ...]

    @property
    def seconds(self) -> float:
        return self.start + sum(stage.seconds for stage in self.stages)

    @property
    def stored(self) -> float:
        return sum(stage.stored for stage in self.stages)

    @property
    def storage_dollars(self) -> float:
        """What is left after the run, for one month."""
        return self.stored / GB * self.prices.storage_gb_month

    @property
    def dollars(self) -> float:
        return self.storage_dollars + sum(stage.dollars for stage in self.stages)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is not as it was asked for, or not counted."""
        found = []
        memory = self.machines.memory
        for stage in self.stages:
            if stage.unmeasured:
                found.append(f"{stage.stage}: not counted, since nothing measured it: {', '.join(stage.unmeasured)}")
            if stage.stage in _NUMBERED and stage.shards > MOST_SHARDS:
                raised = f"raise the recipe's {stage.stage}.{_NUMBERED[stage.stage]}"
                found.append(f"{stage.stage}: {stage.shards:,.0f} shards are more than {MOST_SHARDS:,}; {raised}")
            if memory is not None and stage.memory > memory:
                found.append(
                    f"{stage.stage}: {self.machines.workers} processes hold {stage.memory / GB:.1f} GB, a machine has "
                    f"{memory / GB:g} GB; give fewer with --processes"
                )
        return tuple(found)


def plan_run(
    recipe: Recipe, pairs: int, machines: Machines, *, constants: Constants, prices: Prices, settings: Settings
) -> Plan:
    """The plan of a run of so many pairs."""
    alone = Machines(1, machines.cores, machines.memory, processes=1)
    work = loads(recipe, pairs, constants, settings, gpus=machines.gpus > 0)
    stages = tuple(
        _stage(load, alone if load.stage in LOCAL else machines, constants, prices, settings) for load in work
    )
    return Plan(recipe.name, pairs, machines, prices, settings, constants, constants.start, stages)


def _stage(load: Load, machines: Machines, constants: Constants, prices: Prices, settings: Settings) -> StagePlan:
    each = load.constants
    workers = machines.count * machines.workers
    cores = cores_in_use(load, machines, constants)
    alone = load.core_seconds / cores
    network = load.fetched * 8 / (machines.count * settings.bandwidth)
    gpu = load.gpu_seconds / machines.gpus if machines.gpus else 0.0
    last = load.core_seconds / load.shards / each.cores if 1 < workers < load.shards else 0.0
    seconds = each.start + max(alone, network, gpu) + last
    slowest = {alone: "cores", network: "network", gpu: "GPUs"}[max(alone, network, gpu)]
    machine_hours, files = seconds * machines.count / HOUR, load.shards * each.files
    gpu_hours = seconds * machines.gpus / HOUR if load.gpu_seconds else 0.0
    dollars = machine_hours * machines.cores * prices.core_hour + gpu_hours * prices.gpu_hour
    dollars += load.shuffled / GB * prices.shuffled_gb + files / 1e6 * prices.requests
    time = f"{load.core_seconds:,.4g} core-s / {cores:,.4g} cores"
    terms = [time, *([f"{network:,.4g} s of network"] if network else []), *([f"{gpu:,.4g} s of GPUs"] if gpu else [])]
    whole = f"max({', '.join(terms)}), bound by {slowest}" if len(terms) > 1 else time
    whole += f" + {each.start:.3g} s start" + (f" + {last:,.3g} s last shard" if last else "")
    return StagePlan(
        stage=load.stage,
        rows=load.rows,
        shards=load.shards,
        core_seconds=load.core_seconds,
        gpu_seconds=load.gpu_seconds,
        seconds=seconds,
        machine_hours=machine_hours,
        gpu_hours=gpu_hours,
        stored=load.stored,
        shuffled=load.shuffled,
        fetched=load.fetched,
        files=files,
        memory=each.memory * machines.workers,
        dollars=dollars,
        formula=(*load.formula, whole),
        unmeasured=load.unmeasured,
    )


def cores_in_use(load: Load, machines: Machines, constants: Constants) -> float:
    """Cores that work at the same time: as many as machines have, as processes keep busy, as there are shards for."""
    busy = load.constants.cores
    cores = machines.count * min(machines.cores, machines.workers * busy)
    together = constants.scaling / 2 if machines.count * machines.workers > 1 else 1.0
    return max(min(cores, load.shards * busy), 1e-9) * together
