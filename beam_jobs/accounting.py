"""Doing shards and writing down what became of them: the one place where work meets the ledger.

In: tasks, each with the tickets of the shards that it makes. Out: their markers, written last, and Beam counters by
reason under the namespace `pairmill`, named `<stage>/<reason>` on every runner.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.metrics import Metrics

from beam_jobs.dataflow.workers import step_hints
from beam_jobs.storage.ledger import Ledger, Marker, Tally, Ticket
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.turns import in_turn

__all__ = ["DoShards", "HandOut", "Job", "MarkDone", "Tally", "Ticket", "record"]

NAMESPACE = "pairmill"
Hook: TypeAlias = Callable[[], None] | None
# Jobs that a pipeline holds as they are; more are packed, so many together.
_JOBS_AS_THEY_ARE, _JOBS_PACKED = 256, 512


@dataclass(frozen=True)
class Job:
    """A task with the tickets of what it makes; a stage with several sidecars a shard has several."""

    task: Any
    tickets: tuple[Ticket, ...]


class HandOut(beam.PTransform):
    """A pipeline to its jobs, each to be done by whoever is free.

    Elements of a Create stand in the pipeline itself, and services take pipelines of some megabytes only: many jobs,
    which say the same of everything but their shard, are compressed.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        super().__init__()
        self._jobs = list(jobs)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        if len(self._jobs) <= _JOBS_AS_THEY_ARE:
            return pipeline | "Create" >> beam.Create(self._jobs)
        packed = [pack(self._jobs[at : at + _JOBS_PACKED]) for at in range(0, len(self._jobs), _JOBS_PACKED)]
        return (
            pipeline
            | "Create" >> beam.Create(packed)
            | "Unpack" >> beam.FlatMap(unpack)
            # Jobs that were packed together are not done by one worker.
            | "Reshuffle" >> beam.Reshuffle()
        )


def pack(jobs: Sequence[Job]) -> bytes:
    """Jobs as Beam encodes them, compressed."""
    return zlib.compress(beam.coders.FastPrimitivesCoder().encode(list(jobs)), 9)


def unpack(packed: bytes) -> list[Job]:
    """What `pack` was given."""
    jobs: list[Job] = beam.coders.FastPrimitivesCoder().decode(zlib.decompress(packed))
    return jobs


def record(work: str, ticket: Ticket, tally: Tally, *, seconds: float) -> Marker:
    """Writes a shard's marker, after its data, and counts its reasons."""
    marker = Marker(ticket, tally, round(seconds, 3), round(time.time(), 3))
    Ledger(RunFolder(work).ledger(ticket.stage)).write_marker(marker)
    for reason, rows in tally.reasons.items():
        Metrics.counter(NAMESPACE, f"{ticket.stage}/{reason}").inc(rows)
    return marker


def _tallies(made: Tally | Mapping[str, Tally], tickets: Iterable[Ticket]) -> Iterator[tuple[Ticket, Tally]]:
    for ticket in tickets:
        yield ticket, made if isinstance(made, Tally) else made[ticket.stage]


class _DoShard(beam.DoFn):
    def __init__(self, work: str, do: Callable[[Any], Any], opened: Hook, closed: Hook) -> None:
        self._work = work
        self._do = do
        self._opened = opened
        self._closed = closed

    def setup(self) -> None:
        if self._opened is not None:
            self._opened()

    def teardown(self) -> None:
        if self._closed is not None:
            self._closed()

    def process(self, job: Job) -> Iterator[Marker]:
        made, seconds = in_turn(self._timed, job.task)
        for ticket, tally in _tallies(made, job.tickets):
            yield record(self._work, ticket, tally, seconds=seconds)

    def _timed(self, task: Any) -> tuple[Tally | Mapping[str, Tally], float]:
        started = time.monotonic()
        made = self._do(task)
        return made, time.monotonic() - started


class DoShards(beam.PTransform):
    """Jobs to markers: `do(task)` makes a shard and returns its Tally, or a Tally per stage of its tickets.

    opened, closed: called where a worker begins and ends, as often the one as the other.
    """

    def __init__(self, work: str, do: Callable[[Any], Any], *, opened: Hook = None, closed: Hook = None) -> None:
        super().__init__()
        self._work = work
        self._do = do
        self._opened = opened
        self._closed = closed

    def expand(self, jobs: beam.PCollection) -> beam.PCollection:
        step = beam.ParDo(_DoShard(self._work, self._do, self._opened, self._closed))
        hints = step_hints(jobs.pipeline.options)
        return jobs | "DoShard" >> (step.with_resource_hints(**hints) if hints else step)


class _Mark(beam.DoFn):
    def __init__(self, work: str, tickets: Iterable[Ticket], grown: Ticket | None) -> None:
        self._work = work
        self._tickets = {(ticket.stage, ticket.shard): ticket for ticket in tickets}
        self._grown = grown

    def process(self, made: tuple[str, int, Tally]) -> Iterator[Marker]:
        stage, shard, tally = made
        ticket = replace(self._grown, shard=shard) if self._grown else self._tickets[stage, shard]
        yield record(self._work, ticket, tally, seconds=0.0)


class MarkDone(beam.PTransform):
    """(stage, shard, Tally) of shards that came out of a shuffle to markers, by the tickets given at launch.

    grown: the ticket of shards that only the pipeline can number; theirs differ in the number alone.
    """

    def __init__(self, work: str, tickets: Iterable[Ticket] = (), *, grown: Ticket | None = None) -> None:
        super().__init__()
        self._work = work
        self._tickets = tuple(tickets)
        self._grown = grown

    def expand(self, made: beam.PCollection) -> beam.PCollection:
        return made | "Mark" >> beam.ParDo(_Mark(self._work, self._tickets, self._grown))
