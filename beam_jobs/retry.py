"""`pairmill retry`: fetch again what failed for chosen reasons, into the same shards.

In: a run folder whose download is done, reasons, how to fetch now. Out: the shards that held such rows, written anew:
all other rows and images are as they were. What stands on a changed shard (scores, groups, selections) says other
inputs in its markers than the shard now has, so the next `pairmill run` makes it again, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam

from beam_jobs.accounting import DoShards, HandOut, Job
from beam_jobs.fetching.addresses import parse_resolve
from beam_jobs.fetching.blocklist import BLOCKLIST, Blocklist, check_blocklist
from beam_jobs.progress import say, watching
from beam_jobs.runners import BeamRunner
from beam_jobs.stages.download import DownloadOptions, DownloadTask, download_shard
from beam_jobs.storage.ledger import Ledger, reasons_of
from beam_jobs.storage.run_folder import RunFolder
from schemas.reasons import FAILURES, KEPT
from schemas.refusal import Refusal, unknown


def retry(
    work: str,
    *,
    reasons: Sequence[str],
    resolve: Sequence[str],
    contact: str | None,
    limits: Mapping[str, Any],
    runner: BeamRunner,
    blocklist: Blocklist | None = None,
) -> Counter[str]:
    """Fetches again; the counts by reason of the whole download after it. Refusal where there is nothing to retry."""
    ledger = Ledger(RunFolder(work).ledger("download"))
    manifest = ledger.read_manifest()
    if manifest is None or manifest.state != "done":
        raise Refusal(f"--work: {work} holds no finished download")
    markers = {marker.ticket.shard: marker for marker in manifest.markers}
    failed = reasons_of(markers.values())
    for reason in reasons:
        if reason not in FAILURES:
            raise unknown("reason", reason, set(failed) - {KEPT}, where="--reasons")
    again = frozenset(reasons)
    todo = [marker for marker in markers.values() if again & set(marker.tally.reasons)]
    section = dict(manifest.configuration["section"])
    check_blocklist(blocklist, section.pop(BLOCKLIST, None), work)
    rules = [parse_resolve(rule) for rule in resolve]
    options = DownloadOptions.build(section, resolve=rules, contact=contact, blocklist=blocklist, **limits)
    say(f"fetching {sum(failed[reason] for reason in again):,} rows again in {len(todo)} of {len(markers)} shards")
    ledger.write_manifest(replace(manifest, state="started"))
    if todo:
        with runner, watching("retry", [ledger], shards=len(todo), before=0):
            pipeline = beam.Pipeline(options=runner.options(job="retry"))
            jobs = [Job(DownloadTask(work, marker.ticket.shard, options, again), (marker.ticket,)) for marker in todo]
            pipeline | HandOut(jobs) | DoShards(work, download_shard)
            runner.wait(pipeline)
    after = ledger.markers()
    ledger.finish(replace(manifest, markers=tuple(after.values())))
    return reasons_of(after.values())
