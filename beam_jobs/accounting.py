"""Doing shards and writing down what became of them: the one place where work meets the ledger.

In: tasks, each with the tickets of the shards that it makes. Out: their markers, written last, and Beam counters by
reason under the namespace `pairmill`, named `<stage>/<reason>` on every runner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.metrics import Metrics

from beam_jobs.dataflow.workers import step_hints
from beam_jobs.storage.ledger import Ledger, Marker, Tally, Ticket
from beam_jobs.storage.run_folder import RunFolder

__all__ = ["DoShards", "Job", "MarkDone", "Tally", "Ticket", "record"]

NAMESPACE = "pairmill"
Hook: TypeAlias = Callable[[], None] | None


@dataclass(frozen=True)
class Job:
    """A task with the tickets of what it makes; a stage with several sidecars a shard has several."""

    task: Any
    tickets: tuple[Ticket, ...]


def record(work: str, ticket: Ticket, tally: Tally, *, seconds: float) -> Marker:
    """Writes a shard's marker, after its data, and counts its reasons."""
    marker = Marker(ticket, tally, round(seconds, 3))
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
        started = time.monotonic()
        made = self._do(job.task)
        seconds = time.monotonic() - started
        for ticket, tally in _tallies(made, job.tickets):
            yield record(self._work, ticket, tally, seconds=seconds)


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
