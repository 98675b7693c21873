"""A dry run: the pipelines of a launch, built and shown without reading, writing or submitting anything.

In: the arguments of `run`. Out: for each stage its steps and, on Dataflow, the request that would create its job. What
the stages before would have made stands in as one shard, and each source as one split; so a dry run needs no network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa

from beam_jobs.accounting import Tally, Ticket
from beam_jobs.dataflow.requests import JobRequest, Step, for_dry_run, job_request, steps_of
from beam_jobs.extraction.splits import Split
from beam_jobs.fetch_flags import fetch_limits
from beam_jobs.flow import FLOW
from beam_jobs.launch import launched_runner, parse_stages, sources_of
from beam_jobs.lineage import lineage_of
from beam_jobs.recaptioning.launching import plan_captioning, with_engines
from beam_jobs.recipes import launched_recipe
from beam_jobs.runners import BeamRunner
from beam_jobs.storage.ledger import Marker
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.work import Run
from filters.recipe_check import check_recipe
from filters.registry import make_scorers
from schemas.reasons import KEPT
from schemas.recipe_given import parse_given
from schemas.refusal import Refusal

_ROWS = 1_000


@dataclass(frozen=True)
class Rehearsal(Run):
    """A run whose stages are all done, with a shard each."""

    def finished(self, stage: str) -> dict[int, Marker]:
        ticket = Ticket(stage, 0, self.lineage[stage].fingerprint, "rehearsal")
        return {0: Marker(ticket, Tally(_ROWS, {KEPT: _ROWS}, "rehearsal"), 0.0)}

    def requests(self) -> str | None:
        return None


@dataclass(frozen=True)
class Rehearsed:
    """A stage's pipeline. request: what would create its job, on Dataflow."""

    stage: str
    gpu: bool
    steps: tuple[Step, ...]
    request: JobRequest | None

    def to_json(self) -> dict[str, Any]:
        found = {"stage": self.stage, "steps": [step.name for step in self.steps]}
        return found if self.request is None else {"stage": self.stage, **self.request.to_json()}


def rehearse(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> Iterator[Rehearsed]:
    """Each stage asked for, of which the recipe asks for something; a Refusal as `run` would give it."""
    runner = launched_runner(arguments, beam_flags)
    run = _rehearsal(arguments)
    # Other runners would start their servers.
    with runner if runner.name == "DataflowRunner" else nullcontext():
        for stage in parse_stages(arguments.stages):
            if run.lineage.of_stage(stage):
                yield _rehearse_stage(run, stage, runner)


def rehearsed(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> str:
    """What `run --dry-run` prints, as text or as JSON."""
    found = list(rehearse(arguments, beam_flags))
    if arguments.dry_run == "json":
        return json.dumps([one.to_json() for one in found], indent=1, sort_keys=True)
    return "\n".join(_lines(found))


def _lines(found: Sequence[Rehearsed]) -> Iterator[str]:
    """For people: a stage, its job, its workers, its steps."""
    yield "dry run: nothing is read, written or submitted; each stage is a job of its own, after the one before it"
    for one in found:
        yield f"{one.stage}" if one.steps else f"{one.stage}  in the launching process"
        if one.request is not None:
            yield from (f"  {line}" for line in _job_lines(one.request))
        if one.steps:
            yield from (f"  {line}" for line in _step_lines(one.steps))


def _rehearsal(arguments: argparse.Namespace) -> Rehearsal:
    recipe = launched_recipe(arguments.recipe, parse_given(arguments.given))
    folder = RunFolder(arguments.work)
    if not arguments.source:
        raise Refusal("--source: expected KIND:URL, none given; a dry run does not look into --work")
    sources = sources_of(arguments)
    splits = tuple(Split(part, source, (source.url,)) for part, source in enumerate(sources))
    scorers = make_scorers(recipe.score)
    added = [pa.field(name, pa.string()) for source in sources for name in source.extra_columns]
    recipe = with_engines(recipe, arguments.captioner)
    sample = check_recipe(recipe, scorers=scorers, source_columns=pa.schema(dict.fromkeys(added)))
    captioning = plan_captioning(recipe, scorers, sample)
    known = {grouper.label: () for grouper in recipe.group.groupers}
    limits, resolve = fetch_limits(arguments), tuple(arguments.resolve)
    lineage = lineage_of(recipe, sources, scorers, {}, None, captioning.configurations)
    return Rehearsal(
        recipe, folder, splits, lineage, resolve, arguments.contact, None, known, limits, captioning=captioning
    )


def _rehearse_stage(run: Run, stage: str, runner: BeamRunner) -> Rehearsed:
    work = FLOW[stage](run)
    if work.local:
        return Rehearsed(stage, False, (), None)
    options = runner.options(job=stage, gpu=work.gpu)
    on_dataflow = runner.name == "DataflowRunner"
    if on_dataflow:
        for_dry_run(options)
    pipeline = beam.Pipeline(runner=None if on_dataflow else beam.runners.DirectRunner(), options=options)
    work.expand(pipeline, work.tickets)
    if on_dataflow:
        request = job_request(pipeline)
        return Rehearsed(stage, work.gpu, request.steps, request)
    return Rehearsed(stage, work.gpu, tuple(steps_of(pipeline.to_runner_api())), None)


def _job_lines(request: JobRequest) -> Iterator[str]:
    environment = request.job["environment"]
    pool = environment["workerPools"][0]
    given = environment["sdkPipelineOptions"]["options"]
    most = pool["autoscalingSettings"].get("maxNumWorkers", "as many as the project's quota allows")
    kind = "preemptible and regular" if environment.get("flexResourceSchedulingGoal") else "regular"
    yield f"job {request.job['name']} of project {given['project']} in {given['region']}"
    yield f"workers: {kind}, up to {most}, {pool.get('machineType', 'machines that Dataflow chooses')}"
    yield f"image {', '.join(sorted({step.image for step in request.steps}))}"
    yield f"{len(request.staged)} files staged in {request.staged[0].rpartition('/')[0]}"


def _step_lines(steps: Sequence[Step]) -> Iterator[str]:
    """The composites that the steps are of, and the steps that have hints."""
    yield f"steps {', '.join(dict.fromkeys('/'.join(step.name.split('/')[:2]) for step in steps))}"
    for step in steps:
        if step.accelerator:
            yield f"hints of {step.name}: {step.accelerator}, at least {step.min_ram / 1e9:.0f} GB"
