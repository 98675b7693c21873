"""`pairmill takedown`: rows that must go, out of the written shards, and never back.

In: a run folder, a recipe whose shards are written, a list of uids, URLs, domains or SHA-256. Out: the shards that held
such rows without them, under their old numbers; a tombstone for each row; manifest, card and ledger brought up to date.
Shards without such rows stay as they are. Requests are kept first, and every later `write` of the folder honours them,
so a kill at any moment only leaves work for the same command, or for `pairmill run`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace

import apache_beam as beam
import pyarrow as pa

from beam_jobs.accounting import DoShards, HandOut, Job
from beam_jobs.known.taken_down import REASON, find_gone
from beam_jobs.progress import say
from beam_jobs.runners import BeamRunner
from beam_jobs.stages.shards import finish_dataset, taken_tally
from beam_jobs.storage.files import atomic_write, open_read, size, write_bytes
from beam_jobs.storage.ledger import Ledger, Tally, reasons_of
from beam_jobs.storage.parquet import open_table, read_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter, iter_samples
from beam_jobs.storage.tombstones import REQUESTED_BY, add_requests, add_tombstones, request_inputs, requests_digest
from filters.listed import listed_values, pinned
from schemas.recipe import Recipe
from schemas.recipe_steps import Listed
from schemas.recipe_text import Place
from schemas.refusal import Refusal, unknown


@dataclass(frozen=True)
class TakedownTask:
    """A written shard to look through. before: what its ledger says of it. digest: of the requests in force."""

    work: str
    recipe: str
    shard: int
    digest: str
    before: Tally


def take_down(work: str, recipe: Recipe, *, file: str, by: str, runner: BeamRunner) -> Counter[str]:
    """Takes rows down; the counts by reason of all written rows after it."""
    if by not in REQUESTED_BY:
        raise unknown("kind of list", by, REQUESTED_BY, where="--by")
    ledger = Ledger(RunFolder(work).ledger(f"write/{recipe.name}"))
    manifest = ledger.read_manifest()
    if manifest is None:
        raise Refusal(f"--work: {work} holds no written shards of recipe {recipe.name!r}")
    pinned([Listed("drop_listed", by, by, file, REASON, Place("--list"))])
    new = add_requests(work, by, listed_values(file, by))
    digest = requests_digest(work)
    assert digest is not None
    before = ledger.markers()
    tickets = {
        shard: replace(marker.ticket, inputs=request_inputs(marker.ticket.inputs, digest))
        for shard, marker in before.items()
    }
    todo = {shard: marker for shard, marker in before.items() if marker.ticket != tickets[shard]}
    say(f"{new:,} new requests; looking through {len(todo)} of {len(before)} shards")
    if todo:
        ledger.write_manifest(replace(manifest, state="started"))
        with runner:
            pipeline = beam.Pipeline(options=runner.options(job="takedown"))
            jobs = [
                Job(TakedownTask(work, recipe.name, shard, digest, marker.tally), (tickets[shard],))
                for shard, marker in todo.items()
            ]
            pipeline | HandOut(jobs) | DoShards(work, take_down_shard)
            runner.wait(pipeline)
    after = ledger.markers()
    finish_dataset(RunFolder(work), recipe, [marker.tally for marker in after.values()])
    # A folder whose writing was never finished is left to `pairmill run`, which honours the requests.
    state = "done" if manifest.state == "done" or len(after) == manifest.shards else manifest.state
    ledger.finish(replace(manifest, state=state, markers=tuple(after.values())))
    return reasons_of(after.values())


def take_down_shard(task: TakedownTask) -> Tally:
    """Looks through one shard, and writes it anew where rows must go, or went when an earlier attempt was cut off."""
    folder = RunFolder(task.work)
    table = read_table(folder.shard_table(task.recipe, task.shard))
    gone, tombstones = find_gone(task.work, task.digest, table, shard=task.shard)
    if not gone.any() and table.num_rows == task.before.kept:
        return task.before
    add_tombstones(task.work, task.recipe, task.shard, tombstones)
    stays = table.filter(pa.array(~gone))
    return _rewrite(task, stays)


def _rewrite(task: TakedownTask, stays: pa.Table) -> Tally:
    """The shard with these rows alone: tar, then stats, then the table, as `write` makes them."""
    folder = RunFolder(task.work)
    url = folder.shard_tar(task.recipe, task.shard)
    keys = frozenset(stays["key"].to_pylist())
    image_bytes = 0
    with open_read(url) as old, atomic_write(url) as file:
        tar = TarShardWriter(file)
        for sample in iter_samples(old, keys.__contains__):
            for extension, data in sample.members.items():
                tar.add(f"{sample.key}.{extension}", data)
                image_bytes += len(data) if extension not in ("json", "txt") else 0
        tar.close()
    stats = json.dumps({"successes": stays.num_rows}, indent=4) + "\n"
    write_bytes(folder.shard_stats(task.recipe, task.shard), stats.encode())
    with open_table(folder.shard_table(task.recipe, task.shard), stays.schema) as table_file:
        table_file.write(stays.combine_chunks())
    return taken_tally(
        rows_in=task.before.rows_in,
        kept=stays.num_rows,
        digest=f"{file.hexdigest()}+{table_file.hexdigest()}",
        numbers={"tar_bytes": size(url), "image_bytes": image_bytes},
    )
