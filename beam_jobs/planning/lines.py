"""A plan for people and as plain values.

In: a Plan. Out: lines: a table of stages, the formula of each, what was taken as given; or a JSON-like value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from beam_jobs.planning.estimate import GB, Plan, StagePlan
from beam_jobs.report.display import duration, file_size, number

_HEAD = (
    f"{'stage':<10} {'rows':>15} {'shards':>9} {'time':>11} {'machine-h':>10} {'GPU-h':>8} {'stored':>9} "
    f"{'shuffled':>9} {'dollars':>9}"
)


def estimate_lines(plan: Plan) -> Iterator[str]:
    """The whole plan."""
    machines, measured = plan.machines, plan.constants.measured
    told = f"{machines.count:,} machines of {machines.cores} cores, {machines.workers} processes on each"
    told += f", {machines.gpus:,} GPUs" if machines.gpus else ""
    yield f"recipe {plan.recipe}, {plan.pairs:,} pairs, on {told}"
    yield _HEAD
    for stage in plan.stages:
        yield _row(stage)
    hours = sum(stage.machine_hours for stage in plan.stages)
    gpu_hours, shuffled = (sum(getattr(each, name) for each in plan.stages) for name in ("gpu_hours", "shuffled"))
    yield (
        f"{'all':<10} {'':>15} {'':>9} {duration(plan.seconds):>11} {hours:>10,.1f} {gpu_hours:>8,.1f} "
        f"{file_size(plan.stored):>9} {file_size(shuffled):>9} {plan.dollars:>9,.2f}"
    )
    yield f"  with {plan.start:.0f} s of starting, and {plan.storage_dollars:,.2f} dollars for a month of storage"
    yield "how each is reckoned"
    for stage in plan.stages:
        yield f"  {stage.stage:<10} {'; '.join(stage.formula)}"
    yield from (f"remark: {remark}" for remark in plan.remarks)
    prices = ", ".join(f"{each.name} {getattr(plan.prices, each.name):g}" for each in fields(plan.prices))
    yield f"prices in dollars: {prices}"
    yield (
        f"taken as given: {plan.settings.pictures} pictures, {plan.settings.bandwidth / 1e9:g} Gbit/s a machine, "
        f"a GPU's {plan.settings.gpu_flops / 1e12:g} TFLOP/s; shares kept: {_kept(plan)}"
    )
    yield f"measured {measured.get('date')} by {measured.get('bench')} on {measured.get('machine')}"


def _row(stage: StagePlan) -> str:
    return (
        f"{stage.stage:<10} {number(stage.rows):>15} {number(stage.shards):>9} {duration(stage.seconds):>11} "
        f"{stage.machine_hours:>10,.1f} {stage.gpu_hours:>8,.1f} {file_size(stage.stored):>9} "
        f"{file_size(stage.shuffled):>9} {stage.dollars:>9,.2f}"
    )


def _kept(plan: Plan) -> str:
    stages = plan.constants.stages
    shares = {name: plan.settings.kept.get(name, each.kept) for name, each in stages.items()}
    named = {name: share for name, share in shares.items() if name in ("extract", "preselect", "download", "select")}
    return ", ".join(f"{name} {share:.3g}" for name, share in named.items())


def estimate_json(plan: Plan) -> dict[str, Any]:
    """The same as plain values: seconds, bytes, dollars."""
    return {
        "recipe": plan.recipe,
        "pairs": plan.pairs,
        "machines": asdict(plan.machines),
        "prices": asdict(plan.prices),
        "settings": asdict(plan.settings),
        "measured": dict(plan.constants.measured),
        "seconds": plan.seconds,
        "start": plan.start,
        "machine_hours": sum(stage.machine_hours for stage in plan.stages),
        "stored_gb": plan.stored / GB,
        "dollars": plan.dollars,
        "remarks": list(plan.remarks),
        "stages": [asdict(stage) for stage in plan.stages],
    }
