"""The flow: from sources to training shards and their report, stage by stage.

In: a Run (recipe, run folder, sources, launch options). Out: for each stage, a Work: the tickets of all the shards
that the stage makes, and how a Beam pipeline makes those that are not done. Each stage meets the ones before it in
the tables and ledgers of the run folder alone, so it may run by itself or in a span, on any runner.

    extract    sources           -> pairs/          a row per image reference, with text and context
    preselect  pairs/            -> planned/        rules and exact duplicates; rows laid out in shards by hash of uid
    download   planned/          -> images/         one tar, table and statistics a shard; failures are rows
    score      images/           -> scores/         a sidecar a scorer; embeddings
    group      images/ scores/   -> groups/         a sidecar a grouper
    select     all of these      -> selected/R/     keep, or the first reason why not
    (recaption selected/R/       -> captions/       its place; no captioner exists yet)
    write      all of these      -> shards/R/       exactly N samples a shard, no gaps
    report     tables, ledgers   -> report/R/       one HTML page
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from beam_jobs.accounting import DoShards, Job, MarkDone, Ticket
from beam_jobs.lineage import Lineage
from beam_jobs.stages.download import DownloadTask, download_shard
from beam_jobs.stages.extract import ExtractTask, extract_part
from beam_jobs.stages.group import GroupShards
from beam_jobs.stages.preselect import PreselectParts
from beam_jobs.stages.report import ReportTask, write_report
from beam_jobs.stages.score import ScoreTask, score_shard
from beam_jobs.stages.selection import SelectShards
from beam_jobs.stages.shards import WriteTask, plan_slices, write_shard
from beam_jobs.storage.ledger import Ledger, Marker
from beam_jobs.storage.run_folder import RunFolder
from schemas.keys import fingerprint

Expand = Callable[[beam.Pipeline, Sequence[Ticket]], None]


class NotReady(Exception):
    """A stage was asked for before the one that it stands on was done; the message names both."""


@dataclass(frozen=True)
class Run:
    """What a launch decides: a recipe over sources, in a folder."""

    recipe: Any
    folder: RunFolder
    splits: tuple[Any, ...]
    launch: Any
    lineage: Lineage

    @property
    def name(self) -> str:
        return str(self.recipe.name)

    def ledger(self, stage: str) -> Ledger:
        return Ledger(self.folder.ledger(stage))

    def ticket(self, stage: str, shard: int, inputs: str) -> Ticket:
        return Ticket(stage, shard, self.lineage[stage].fingerprint, inputs)

    def finished(self, stage: str) -> dict[int, Marker]:
        """A finished stage's markers by shard; NotReady when it is not finished as this run would make it."""
        manifest = self.ledger(stage).read_manifest()
        if manifest is None or manifest.state != "done" or manifest.fingerprint != self.lineage[stage].fingerprint:
            raise NotReady(f"{stage} is not done in {self.folder.work}")
        return {marker.ticket.shard: marker for marker in manifest.markers}


@dataclass(frozen=True)
class Work:
    """All that a stage makes. `whole`: one shard needs all others, so either none is made again or all are.

    grown: a ledger whose shards only the pipeline itself can number; it is cleared before and finished after.
    local: done by the launching process, without a pipeline.
    """

    tickets: tuple[Ticket, ...]
    expand: Expand
    whole: bool = False
    grown: str | None = None


def extract(run: Run) -> Work:
    tickets = {split.part: run.ticket("extract", split.part, fingerprint(split.to_json())) for split in run.splits}
    tasks = {
        split.part: ExtractTask(run.folder.work, split.part, split, run.launch.extraction(run.recipe))
        for split in run.splits
    }
    return _each_shard(run, tickets.values(), tasks.__getitem__, extract_part)


def preselect(run: Run) -> Work:
    pairs = run.finished("extract")
    inputs = _digest(pairs.values())
    tickets = tuple(run.ticket("preselect", part, inputs) for part in pairs)
    planned = run.ticket("planned", 0, inputs)

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        made = pipeline | "Preselect" >> PreselectParts(
            run.folder.work, parts=list(pairs), rows=sum(m.tally.kept for m in pairs.values()), recipe=run.recipe
        )
        made.parts | "MarkParts" >> MarkDone(run.folder.work, todo)
        made.shards | "MarkShards" >> MarkDone(run.folder.work, planned)

    return Work(tickets, expand, whole=True, grown="planned")


def download(run: Run) -> Work:
    tickets = [run.ticket("download", shard, _digest([marker])) for shard, marker in run.finished("planned").items()]
    options = run.launch.download(run.recipe)
    return _each_shard(run, tickets, lambda shard: DownloadTask(run.folder.work, shard, options), download_shard)


def score(run: Run) -> Work:
    images = run.finished("download")
    stages = [product.ledger for product in run.lineage.of_stage("score")]
    tickets = tuple(run.ticket(stage, shard, _digest([marker])) for shard, marker in images.items() for stage in stages)
    entries = dict(zip(stages, run.recipe.score, strict=True))

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        jobs = []
        for shard in sorted({ticket.shard for ticket in todo}):
            missing = tuple(ticket for ticket in todo if ticket.shard == shard)
            wanted = tuple(entries[ticket.stage] for ticket in missing)
            jobs.append(Job(ScoreTask(run.folder.work, shard, wanted), missing))
        pipeline | beam.Create(jobs) | "Score" >> DoShards(run.folder.work, score_shard)

    return Work(tickets, expand)


def group(run: Run) -> Work:
    stages = [product.ledger for product in run.lineage.of_stage("group")]
    if not stages:
        return Work((), lambda pipeline, todo: None)
    images = run.finished("download")
    scored = [run.finished(product.ledger) for product in run.lineage.of_stage("score")]
    inputs = _digest([*images.values(), *(marker for markers in scored for marker in markers.values())])
    tickets = tuple(run.ticket(stage, shard, inputs) for stage in stages for shard in images)

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        made = pipeline | "Group" >> GroupShards(run.folder.work, shards=list(images), options=run.recipe.group)
        made | "Mark" >> MarkDone(run.folder.work, todo)

    return Work(tickets, expand, whole=True)


def select(run: Run) -> Work:
    images = run.finished("download")
    sidecars = _sidecars(run)
    stage = f"select/{run.name}"
    tickets = tuple(
        run.ticket(stage, shard, _digest([marker, *(markers[shard] for markers in sidecars.values())]))
        for shard, marker in images.items()
    )

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        made = pipeline | "Select" >> SelectShards(run.folder.work, shards=list(images), recipe=run.recipe)
        made | "Mark" >> MarkDone(run.folder.work, todo)

    return Work(tickets, expand, whole=True)


def write(run: Run) -> Work:
    images = run.finished("download")
    sidecars = {**_sidecars(run), f"select/{run.name}": run.finished(f"select/{run.name}")}
    selected = sidecars[f"select/{run.name}"]
    slices = plan_slices(
        [selected[shard].tally.kept for shard in images], samples_per_shard=run.recipe.write.samples_per_shard
    )
    stage = f"write/{run.name}"
    tickets = []
    tasks = {}
    for number, parts in enumerate(slices):
        origin = [markers[part.shard] for part in parts for markers in (images, *sidecars.values())]
        places = [[part.shard, part.first, part.last] for part in parts]
        tickets.append(run.ticket(stage, number, fingerprint([places, _digest(origin)])))
        tasks[number] = WriteTask(
            run.folder.work,
            run.name,
            number,
            parts,
            score_labels=tuple(_labels(run, "score")),
            group_labels=tuple(_labels(run, "group")),
            caption=run.recipe.write.caption,
        )
    return _each_shard(run, tickets, tasks.__getitem__, write_shard)


def report(run: Run) -> Work:
    before = [product.ledger for product in run.lineage if product.ledger != f"report/{run.name}"]
    origin = [marker for stage in before for marker in run.finished(stage).values()]
    ticket = run.ticket(f"report/{run.name}", 0, _digest(origin))
    task = ReportTask(run.folder.work, run.name, 0, run.recipe.to_json(), tuple(before))
    return _each_shard(run, [ticket], lambda shard: task, write_report)


FLOW: Mapping[str, Callable[[Run], Work]] = {
    "extract": extract,
    "preselect": preselect,
    "download": download,
    "score": score,
    "group": group,
    "select": select,
    "write": write,
    "report": report,
}


def _each_shard(run: Run, tickets: Iterable[Ticket], task: Callable[[int], Any], do: Callable[[Any], Any]) -> Work:
    """Work whose shards do not need each other: each is one call of `do`."""

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        jobs = [Job(task(ticket.shard), (ticket,)) for ticket in todo]
        pipeline | beam.Create(jobs) | DoShards(run.folder.work, do)

    return Work(tuple(tickets), expand)


def _labels(run: Run, stage: str) -> list[str]:
    return [product.ledger.partition("/")[2] for product in run.lineage.of_stage(stage)]


def _sidecars(run: Run) -> dict[str, dict[int, Marker]]:
    """Markers of all that is aligned with the image shards: plan, scores, groups."""
    products = ["planned", *(p.ledger for stage in ("score", "group") for p in run.lineage.of_stage(stage))]
    return {ledger: run.finished(ledger) for ledger in products}


def _digest(markers: Iterable[Marker]) -> str:
    """What these shards hold, as inputs of another: changes with any of their tables."""
    return fingerprint([[m.ticket.stage, m.ticket.shard, m.ticket.fingerprint, m.tally.digest] for m in markers])
