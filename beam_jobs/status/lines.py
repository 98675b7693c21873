"""A run's status for people on a terminal, and as plain values.

In: a RunStatus. Out: lines, or a JSON-like value with the same facts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from beam_jobs.recaptioning.cost import told
from beam_jobs.report.display import duration, number, share
from beam_jobs.status.gather import AT_WORK, STOPPED, WAITING, RunStatus, StageStatus
from beam_jobs.storage.run_folder import shard_name

_REASONS_SHOWN = 6
# A shard that takes so many times as long as half of all shards is worth naming.
_STRAGGLES = 2.0
_HEAD = f"{'stage':<24} {'':<8} {'shards':>13} {'rows':>13} {'kept':>13} {'time':>11} {'rows/s':>8}  left"


def headline(status: RunStatus) -> str:
    """Which run it is and how it stands, in one line."""
    launch = status.launch
    if launch is None:
        return f"{status.work}: no launch is known; what its ledgers say"
    begun = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(launch.begun))
    said = f"recipe {launch.recipe} on {launch.runner}, begun {begun}: {status.state}"
    ago = duration(max(0.0, status.at - launch.seen))
    if status.state == AT_WORK:
        return f"{said}, seen {ago} ago"
    if launch.message:
        return f"{said}: {launch.message}"
    if status.state == STOPPED:
        return f"{said}: no sign of life for {ago}; the same command goes on where it stopped"
    return f"{said} after {duration(launch.seen - launch.begun)}"


def shards_of(stage: StageStatus) -> str:
    """`12/40`, or `12` where nobody knows how many there will be."""
    if stage.state == WAITING:
        return ""
    return number(stage.shards) if stage.total is None else f"{number(stage.shards)}/{number(stage.total)}"


def reasons_of(stage: StageStatus) -> str:
    """`dns 3.1%, timeout 2.0%`: why rows did not go on, the most frequent reasons first."""
    lost = list(stage.lost.items())
    said = [f"{reason} {share(part, 1)}" for reason, part in lost[:_REASONS_SHOWN]]
    return ", ".join([*said, *([f"{len(lost) - _REASONS_SHOWN} more"] if len(lost) > _REASONS_SHOWN else [])])


def stragglers(stage: StageStatus) -> str:
    """The shards that took far longer than the others do; of a stage at work, its slowest ones."""
    typical = stage.median or 0.0
    told = [one for one in stage.slowest if stage.state == AT_WORK or one.seconds > _STRAGGLES * typical]
    if not told or stage.shards < 2:
        return ""
    named = ", ".join(f"{shard_name(one.shard)} {duration(one.seconds)}" for one in told)
    return f"{named} (half take up to {duration(typical)})"


def captions_of(stage: StageStatus) -> str:
    """What a captioner's captions took, and what the rest will take; nothing of other stages."""
    if stage.cost is None:
        return ""
    rest = "" if stage.rest is None else f"; the rest about {told(stage.rest)}"
    return f"{number(stage.cost.captions)}, {told(stage.cost)}{rest}"


def notes_of(stage: StageStatus) -> list[str]:
    """What is to be said of a stage beside its numbers: why rows were lost, what captions cost, slow shards."""
    notes = {"lost": reasons_of(stage), "captions": captions_of(stage), "slow": stragglers(stage)}
    return [f"{name}: {said}" for name, said in notes.items() if said]


def status_lines(status: RunStatus) -> Iterator[str]:
    """The whole status, a line a stage; below it why rows were lost, and shards that hold it up."""
    yield headline(status)
    yield _HEAD
    for stage in status.stages:
        yield _line(stage).rstrip()
        yield from (f"  {note}" for note in notes_of(stage))
        if stage.quiet is not None and stage.quiet > max(30.0, 3 * (stage.median or 0.0)):
            yield f"  no shard was finished for {duration(stage.quiet)}"


def _line(stage: StageStatus) -> str:
    if stage.state == WAITING:
        return f"{stage.ledger:<24} {stage.state}"
    rate = "" if stage.rows_per_second is None else number(stage.rows_per_second)
    left = "" if stage.left is None else duration(stage.left)
    rows = f"{number(stage.rows):>13} {number(stage.kept):>13}"
    return (
        f"{stage.ledger:<24} {stage.state:<8} {shards_of(stage):>13} {rows} {duration(stage.seconds):>11} "
        f"{rate:>8}  {left}"
    )


def status_json(status: RunStatus) -> dict[str, Any]:
    """The same as plain values; times are Unix times, durations seconds."""
    stages = [{**asdict(stage), "kept": stage.kept, "lost": stage.lost} for stage in status.stages]
    launch = None if status.launch is None else asdict(status.launch)
    return {"work": status.work, "at": status.at, "state": status.state, "launch": launch, "stages": stages}
