"""Executing a run: stage after stage, each as one Beam job over what is not done yet.

In: a checked run, the stages, a runner. Out: markers, manifests, and a line a stage on the terminal. Every stage
ends with all its shards made, or with StageFailed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import apache_beam as beam

from beam_jobs.accounting import Ticket
from beam_jobs.aside import set_aside
from beam_jobs.flow import FLOW
from beam_jobs.lineage import Product
from beam_jobs.progress import say, watching
from beam_jobs.runners import BeamRunner
from beam_jobs.storage.files import remove_tree, remove_unfinished
from beam_jobs.storage.launches import launched
from beam_jobs.storage.ledger import Manifest, Marker
from beam_jobs.work import Run, Work
from schemas.reasons import KEPT
from schemas.refusal import JobFailed

_REASONS_SHOWN = 4


class StageFailed(JobFailed):
    """A stage ended without all its shards; the message says how many are there."""


def run_stages(run: Run, stages: Sequence[str], *, remade: Iterable[Product], runner: BeamRunner) -> None:
    """Runs the stages in order; what is done is skipped. `remade` is another configuration's and is removed first,
    but for the scores of another version of their scorer, which are set aside.
    """
    set_aside(run.folder, [product for product in remade if product.permanent])
    for product in remade:
        if product.permanent:
            continue
        # The ledger first: a kill in between must not leave one that tells of files which are gone.
        run.ledger(product.ledger).clear()
        remove_tree(run.output_folder(product))
    ledgers = [product.ledger for product in run.lineage]
    with runner, launched(run.folder.work, recipe=run.name, runner=runner.name, stages=stages, ledgers=ledgers):
        for stage in stages:
            run_stage(run, stage, runner)
    # A worker may have been killed in the middle of a file, in this launch or before it.
    remove_unfinished(run.folder.work)


def run_stage(run: Run, stage: str, runner: BeamRunner) -> None:
    """Makes the shards of a stage that are not done, checks that all are, and closes its ledgers.

    Nothing is done or said of a stage of which the recipe asks for nothing.
    """
    work = FLOW[stage](run)
    if not run.lineage.of_stage(stage):
        return
    done = done_markers(run, work)
    todo = [ticket for ticket in work.tickets if (ticket.stage, ticket.shard) not in done]
    if work.whole and (todo or not _is_grown(run, work)):
        todo = list(work.tickets)
    before = "done before: " if not todo else ""
    started = time.monotonic()
    if todo:
        _open(run, stage, work, whole=len(todo) == len(work.tickets))
        ledgers = [run.ledger(product.ledger) for product in run.lineage.of_stage(stage)]
        with watching(stage, ledgers, shards=len(work.tickets), before=len(work.tickets) - len(todo)):
            _make(work, todo, runner, stage=stage)
        done = done_markers(run, work)
        if len(done) < len(work.tickets):
            raise StageFailed(f"{stage}: {len(done)} of {len(work.tickets)} shards were made")
    _close(run, stage, work, done.values(), seconds=time.monotonic() - started if todo else 0.0)
    work.finish(list(done.values()))
    say(f"{stage:<11} {before}{sum_up(done.values())}")


def done_markers(run: Run, work: Work) -> dict[tuple[str, int], Marker]:
    """The markers of what a stage need not make again, by ledger and shard."""
    found = {}
    for stage in dict.fromkeys(ticket.stage for ticket in work.tickets):
        tickets = [ticket for ticket in work.tickets if ticket.stage == stage]
        found.update({(stage, shard): marker for shard, marker in run.ledger(stage).done(tickets).items()})
    return found


def sum_up(markers: Iterable[Marker]) -> str:
    """Kept rows and the most frequent other reasons of one ledger's markers, in one line."""
    first, counts = "", Counter[str]()
    for marker in markers:
        first = first or marker.ticket.stage
        if marker.ticket.stage == first:
            counts.update(marker.tally.reasons)
    total = counts.total()
    kept = counts.pop(KEPT, 0)
    others = ", ".join(f"{reason} {rows:,}" for reason, rows in counts.most_common(_REASONS_SHOWN))
    more = f", {len(counts) - _REASONS_SHOWN} more reasons" if len(counts) > _REASONS_SHOWN else ""
    return f"{kept:,} of {total:,}" + (f"  ({others}{more})" if others else "")


def _make(work: Work, todo: Sequence[Ticket], runner: BeamRunner, *, stage: str) -> None:
    chosen = BeamRunner("DirectRunner", ()) if work.local else runner
    pipeline = beam.Pipeline(options=chosen.options(job=stage, gpu=work.gpu))
    work.expand(pipeline, todo)
    chosen.wait(pipeline)


def _is_grown(run: Run, work: Work) -> bool:
    """Whether the ledger whose shards the pipeline numbers is closed, or there is none."""
    if work.grown is None:
        return True
    manifest = run.ledger(work.grown.stage).read_manifest()
    return manifest is not None and manifest.state == "done" and manifest.fingerprint == work.grown.fingerprint


def _open(run: Run, stage: str, work: Work, *, whole: bool) -> None:
    """Says whose outputs are being made. Ledgers of a stage that is made as a whole begin empty."""
    for product in run.lineage.of_stage(stage):
        ledger = run.ledger(product.ledger)
        if work.whole and whole:
            ledger.clear()
        before = ledger.read_manifest()
        planned = sum(ticket.stage == product.ledger for ticket in work.tickets)
        first = Manifest(product.ledger, product.fingerprint, "started", product.configuration, shards=0)
        ledger.write_manifest(replace(before or first, state="started", begun=round(time.time(), 3), planned=planned))


def _close(run: Run, stage: str, work: Work, done: Iterable[Marker], *, seconds: float) -> None:
    """Writes the manifests of a finished stage."""
    for product in run.lineage.of_stage(stage):
        ledger = run.ledger(product.ledger)
        if work.grown is not None and work.grown.stage == product.ledger:
            markers = tuple(marker for marker in ledger.markers().values() if marker.ticket.inputs == work.grown.inputs)
        else:
            markers = tuple(marker for marker in done if marker.ticket.stage == product.ledger)
        before = ledger.read_manifest()
        spent = round(seconds + (before.seconds if before else 0.0), 3)
        configuration, shards = product.configuration, len(markers)
        ledger.finish(Manifest(product.ledger, product.fingerprint, "done", configuration, shards, markers, spent))
