"""The flow: from sources to training shards and their report, stage by stage.

In: a Run (recipe, run folder, sources, launch options). Out: for each stage, a Work: the tickets of all the shards
that the stage makes, and how a Beam pipeline makes those that are not done. Each stage meets the ones before it in
the tables and ledgers of the run folder alone, so it may run by itself or in a span, on any runner.

    extract    sources           -> pairs/          a row per image reference, with text and context
    corpus     pairs/            -> corpus/         a sidecar a counter: what only the whole corpus knows of a pair
    preselect  pairs/ corpus/    -> planned/        rules and exact duplicates; rows laid out in shards by hash of uid
    download   planned/          -> images/         one tar, table and statistics a shard; failures are rows
    score      images/           -> scores/         a sidecar a scorer; embeddings
    group      images/ scores/   -> groups/         a sidecar a grouper
    select     all of these      -> selected/R/     keep, or the first reason why not
    recaption  images/ selected/ -> captions/R/     what captioners say of kept pictures; texts made of it
    write      all of these      -> shards/R/       exactly N samples a shard, no gaps
    report     tables, ledgers   -> report/R/       one HTML page
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam

from beam_jobs.accounting import DoShards, HandOut, Job, MarkDone, Tally, Ticket
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.fetching.addresses import ResolveRule, parse_resolve
from beam_jobs.fetching.policy import FetchOptions
from beam_jobs.stages.corpus import CountCorpus
from beam_jobs.stages.download import DownloadOptions, DownloadTask, download_shard
from beam_jobs.stages.extract import ExtractTask, extract_part
from beam_jobs.stages.group import GroupShards
from beam_jobs.stages.preselect import PreselectParts
from beam_jobs.stages.recaption import RecaptionTask, let_go, recaption_shard, take_hold
from beam_jobs.stages.report import ReportTask, write_report
from beam_jobs.stages.score import ScoreTask, score_shard
from beam_jobs.stages.selection import SelectShards
from beam_jobs.stages.shards import WriteTask, finish_dataset, plan_slices, write_shard
from beam_jobs.storage.ledger import Marker
from beam_jobs.storage.tombstones import request_inputs
from beam_jobs.work import Run, Work
from filters.registry import make_scorers
from schemas.keys import fingerprint


def extract(run: Run) -> Work:
    tickets = [run.ticket("extract", split.part, fingerprint(split.to_json())) for split in run.splits]
    fetch = FetchOptions(resolve=_rules(run), contact=run.contact, **run.limits)
    options = ExtractOptions.of(run.recipe.extract, fetch=fetch)

    def task(part: int) -> ExtractTask:
        return ExtractTask(run.folder.work, part, run.splits[part], options)

    return _each_shard(run, tickets, task, extract_part)


def corpus(run: Run) -> Work:
    pairs = run.finished("extract")
    inputs = _digest(pairs.values())
    tickets = tuple(run.ticket(stage, part, inputs) for stage in _ledgers(run, "corpus") for part in pairs)
    made_with = [product.configuration["section"] for product in run.lineage.of_stage("corpus")]
    counters = list(zip(run.recipe.corpus.counters, made_with, strict=True))

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        rows = sum(marker.tally.kept for marker in pairs.values())
        made = pipeline | "Count" >> CountCorpus(run.folder.work, parts=list(pairs), rows=rows, counters=counters)
        made | "Mark" >> MarkDone(run.folder.work, todo)

    return Work(tickets, expand, whole=True)


def preselect(run: Run) -> Work:
    pairs = run.finished("extract")
    counted = [run.finished(ledger) for ledger in _ledgers(run, "corpus")]
    inputs = _digest(marker for markers in (pairs, *counted) for marker in markers.values())
    tickets = tuple(run.ticket("preselect", part, inputs) for part in pairs)
    planned = run.ticket("planned", 0, inputs)

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        parts, shards = pipeline | "Preselect" >> PreselectParts(
            run.folder.work,
            parts=list(pairs),
            rows=sum(marker.tally.kept for marker in pairs.values()),
            steps=run.recipe.preselect,
            corpus={name: counter.label for counter in run.recipe.corpus.counters for name in counter.columns},
            rows_per_shard=run.recipe.download.rows_per_shard,
        )
        parts | "MarkParts" >> MarkDone(run.folder.work, todo)
        shards | "MarkShards" >> MarkDone(run.folder.work, grown=planned)

    return Work(tickets, expand, whole=True, grown=planned)


def download(run: Run) -> Work:
    planned = run.finished("planned")
    tickets = [run.ticket("download", shard, _digest([marker])) for shard, marker in planned.items()]

    options = DownloadOptions.build(
        run.recipe.download, resolve=_rules(run), contact=run.contact, blocklist=run.blocklist, **run.limits
    )

    def task(shard: int) -> DownloadTask:
        return DownloadTask(run.folder.work, shard, options)

    return _each_shard(run, tickets, task, download_shard)


def score(run: Run) -> Work:
    images = run.finished("download")
    entries = dict(zip(_ledgers(run, "score"), run.recipe.score, strict=True))
    tickets = tuple(
        run.ticket(stage, shard, _digest([marker])) for shard, marker in images.items() for stage in entries
    )

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        missing: dict[int, list[Ticket]] = {}
        for ticket in todo:
            missing.setdefault(ticket.shard, []).append(ticket)
        needed = {label: entries[f"score/{label}"] for label in _needed_labels(run)}
        jobs = []
        for shard, wanted in missing.items():
            lacking = tuple(entries[ticket.stage] for ticket in wanted)
            jobs.append(Job(ScoreTask(run.folder.work, shard, lacking, needed=tuple(needed.values())), tuple(wanted)))
        pipeline | HandOut(jobs) | "Score" >> DoShards(run.folder.work, score_shard)

    return Work(tickets, expand, gpu=any(scorer.on_gpu for scorer in make_scorers(run.recipe.score)))


def group(run: Run) -> Work:
    images = run.finished("download")
    scored = [run.finished(ledger) for ledger in _ledgers(run, "score")]
    inputs = _digest([*images.values(), *(marker for markers in scored for marker in markers.values())])
    tickets = tuple(run.ticket(stage, shard, inputs) for stage in _ledgers(run, "group") for shard in images)

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        made = pipeline | "Group" >> GroupShards(
            run.folder.work,
            shards=list(images),
            options=run.recipe.group,
            scores=_labels(run, "score"),
            known=run.known,
        )
        made | "Mark" >> MarkDone(run.folder.work, todo)

    return Work(tickets, expand, whole=True)


def select(run: Run) -> Work:
    images = run.finished("download")
    sidecars = _sidecars(run)
    tickets = tuple(
        run.ticket(f"select/{run.name}", shard, _digest([marker, *(markers[shard] for markers in sidecars)]))
        for shard, marker in images.items()
    )

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        made = pipeline | "Select" >> SelectShards(run.folder.work, shards=list(images), recipe=run.recipe)
        made | "Mark" >> MarkDone(run.folder.work, todo)

    return Work(tickets, expand, whole=True)


def recaption(run: Run) -> Work:
    ledgers = _ledgers(run, "recaption")
    if not ledgers:
        return Work((), lambda pipeline, todo: None)
    selected = run.finished(f"select/{run.name}")
    aligned = [run.finished("download"), *_sidecars(run)]
    tickets = []
    for shard, marker in selected.items():
        origin = _digest([marker, *(markers[shard] for markers in aligned)])
        tickets += [run.ticket(ledger, shard, origin) for ledger in ledgers]
    similarity = run.recipe.recaption.similarity
    entries = dict(zip(_labels(run, "score"), run.recipe.score, strict=True))

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        missing: dict[int, list[Ticket]] = {}
        for ticket in todo:
            missing.setdefault(ticket.shard, []).append(ticket)
        jobs = []
        for shard, wanted in missing.items():
            labels = tuple(ticket.stage.rpartition(".")[2] for ticket in wanted)
            task = RecaptionTask(
                *(run.folder.work, run.recipe, shard, labels, run.captioning, run.answers),
                similarity=entries[similarity] if similarity is not None else None,
            )
            jobs.append(Job(task, tuple(wanted)))
        done = DoShards(run.folder.work, recaption_shard, opened=take_hold, closed=let_go)
        pipeline | HandOut(jobs) | "Recaption" >> done

    return Work(tuple(tickets), expand, gpu=any(plan.runs_here for plan in run.captioning.plans))


def write(run: Run) -> Work:
    selected = run.finished(f"select/{run.name}")
    captioned = [run.finished(ledger) for ledger in _ledgers(run, "recaption")]
    aligned = [run.finished("download"), *_sidecars(run), selected, *captioned]
    slices = plan_slices(
        {shard: marker.tally.kept for shard, marker in selected.items()},
        samples_per_shard=run.recipe.write.samples_per_shard,
    )
    gone = run.requests()
    tickets = []
    for number, parts in enumerate(slices):
        places = [[part.shard, part.first, part.last] for part in parts]
        origin = _digest(markers[part.shard] for part in parts for markers in aligned)
        inputs = request_inputs(fingerprint([places, origin]), gone)
        tickets.append(run.ticket(f"write/{run.name}", number, inputs))

    def task(number: int) -> WriteTask:
        scores, groups = (tuple(_labels(run, stage)) for stage in ("score", "group"))
        caption = run.recipe.write.caption
        task = WriteTask(run.folder.work, run.name, number, slices[number], scores, groups, caption, gone)
        return replace(task, captions=captions)

    captions = {label: run.captioning.training.get(label) for label in _caption_labels(run)}

    def finish(markers: Sequence[Marker]) -> None:
        finish_dataset(run.folder, run.recipe, [marker.tally for marker in markers], kinds=run.captioning.kinds)

    return replace(_each_shard(run, tickets, task, write_shard), finish=finish)


def report(run: Run) -> Work:
    before = [product.ledger for product in run.lineage if product.stage != "report"]
    origin = _digest(marker for ledger in before for marker in run.finished(ledger).values())
    ticket = run.ticket(f"report/{run.name}", 0, fingerprint([origin, run.truth]))

    def task(shard: int) -> ReportTask:
        ledgers = tuple(before)
        return ReportTask(run.folder.work, run.name, shard, run.recipe.to_json(), ledgers, run.resolve, run.truth)

    return replace(_each_shard(run, [ticket], task, write_report), local=True)


FLOW: Mapping[str, Callable[[Run], Work]] = {
    "extract": extract,
    "corpus": corpus,
    "preselect": preselect,
    "download": download,
    "score": score,
    "group": group,
    "select": select,
    "recaption": recaption,
    "write": write,
    "report": report,
}


def _each_shard(run: Run, tickets: Iterable[Ticket], task: Callable[[int], Any], do: Callable[[Any], Tally]) -> Work:
    """Work whose shards do not need each other: each is one call of `do`."""

    def expand(pipeline: beam.Pipeline, todo: Sequence[Ticket]) -> None:
        jobs = [Job(task(ticket.shard), (ticket,)) for ticket in todo]
        pipeline | HandOut(jobs) | DoShards(run.folder.work, do)

    return Work(tuple(tickets), expand)


def _rules(run: Run) -> tuple[ResolveRule, ...]:
    return tuple(map(parse_resolve, run.resolve))


def _ledgers(run: Run, stage: str) -> list[str]:
    return [product.ledger for product in run.lineage.of_stage(stage)]


def _labels(run: Run, stage: str) -> list[str]:
    return [ledger.partition("/")[2] for ledger in _ledgers(run, stage)]


def _caption_labels(run: Run) -> list[str]:
    return [ledger.rpartition(".")[2] for ledger in _ledgers(run, "recaption")]


def _needed_labels(run: Run) -> list[str]:
    """The scorers whose embeddings others read."""
    return list(dict.fromkeys(need.label for scorer in make_scorers(run.recipe.score) for need in scorer.needs))


def _sidecars(run: Run) -> list[dict[int, Marker]]:
    """Markers of all that is aligned with the image shards: plan, scores, groups."""
    return [run.finished(ledger) for ledger in ("planned", *_ledgers(run, "score"), *_ledgers(run, "group"))]


def _digest(markers: Iterable[Marker]) -> str:
    """What these shards hold, as inputs of another: changes with any of their tables."""
    return fingerprint([[m.ticket.stage, m.ticket.shard, m.ticket.fingerprint, m.tally.digest] for m in markers])
