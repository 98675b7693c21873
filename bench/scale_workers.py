"""One stage of payload work on drawn photographs: by bare calls in a loop, or by Beam with so many workers.

In: a work folder with planned/ tables, the port of a server, which stage and how. Out: JSON on standard output:
seconds by the clock, of the pipeline or of the loop; pictures a second, start-up and models' loading not counted.
Usage: python bench/scale_workers.py bare|beam|1|2 download|score WORK PORT SHARDS
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

SCORERS = ("text_facts", "image_facts", "pdq", {"clip": {"model": "tiny"}})
HOST = "images.test"
# Shards at either end of a run that are not counted.
ENDS = 6


def task(stage: str, work: str, port: int, shard: int) -> Any:
    """What makes one shard of a stage."""
    from beam_jobs.fetching.addresses import ResolveRule
    from beam_jobs.stages.download import DownloadOptions, DownloadTask
    from beam_jobs.stages.score import ScoreTask

    if stage == "score":
        return ScoreTask(work, shard, SCORERS)
    rules = [ResolveRule(HOST, "127.0.0.1", port)]
    options = DownloadOptions.build({"resize": "keep_ratio"}, resolve=rules, per_host=64, concurrency=64)
    return DownloadTask(work, shard, options)


def run_bare(stage: str, work: str, port: int, shards: int) -> dict[str, float]:
    """The same functions, one call after another."""
    do = doer(stage)
    do(task(stage, work, port, 0))
    started = time.perf_counter()
    for shard in range(shards):
        do(task(stage, work, port, shard))
    return {"seconds": time.perf_counter() - started}


def run_beam(stage: str, work: str, port: int, shards: int, workers: int) -> dict[str, float]:
    """The stage's step in a pipeline. workers: processes; 0 for this one."""
    import apache_beam as beam

    from beam_jobs.accounting import DoShards, Job, Ticket
    from beam_jobs.runners import BeamRunner
    from beam_jobs.storage.ledger import Ledger
    from beam_jobs.storage.run_folder import RunFolder

    ledgers = (
        ["download"] if stage == "download" else ["score/text_facts", "score/image_facts", "score/pdq", "score/clip"]
    )
    for ledger in ledgers:
        Ledger(RunFolder(work).ledger(ledger)).clear()
    if not workers:
        doer(stage)(task(stage, work, port, 0))
    flags = (f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing") if workers else ()
    with BeamRunner("DirectRunner", flags) as runner:
        started = time.perf_counter()
        jobs = [
            Job(task(stage, work, port, shard), tuple(Ticket(ledger, shard, "bench", "bench") for ledger in ledgers))
            for shard in range(shards)
        ]
        pipeline = beam.Pipeline(options=runner.options(job=stage))
        pipeline | beam.Create(jobs) | DoShards(work, doer(stage))
        runner.wait(pipeline)
        seconds = time.perf_counter() - started
    markers = Ledger(RunFolder(work).ledger(ledgers[0])).markers().values()
    ended = sorted((marker.ended, marker.tally.rows_in) for marker in markers)
    # Of the time when all are at work: a worker's first shard loads models, and one that began late ends alone.
    amid = ended[ENDS : len(ended) - ENDS]
    rows = sum(rows for _, rows in amid[1:])
    return {"seconds": seconds, "rate": rows / (amid[-1][0] - amid[0][0])}


def doer(stage: str) -> Any:
    from beam_jobs.stages.download import download_shard
    from beam_jobs.stages.score import score_shard

    return download_shard if stage == "download" else score_shard


def main(how: str, stage: str, work: str, port: str, shards: str) -> None:
    if stage == "download":
        shutil.rmtree(Path(work) / "images", ignore_errors=True)
    given = (stage, work, int(port), int(shards))
    found = run_bare(*given) if how == "bare" else run_beam(*given, workers=0 if how == "beam" else int(how))
    print(json.dumps(found), file=said)


if __name__ == "__main__":
    said, sys.stdout = sys.stdout, sys.stderr
    main(*sys.argv[1:6])
