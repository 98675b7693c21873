"""A pipeline of very many shards stays small, every shard is done once, and counters have one name on all runners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import pytest

from beam_jobs.accounting import DoShards, HandOut, Job, Tally, Ticket, pack, unpack
from beam_jobs.runners import choose_runner
from beam_jobs.stages.download import DownloadOptions, DownloadTask
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.run_folder import RunFolder
from schemas.keys import fingerprint

SHARDS = 600


@dataclass(frozen=True)
class Toy:
    shard: int


def do_toy(task: Toy) -> Tally:
    return Tally(3, {"kept": 2, "dns": 1}, f"digest {task.shard}")


def toys(count: int) -> list[Job]:
    return [Job(Toy(shard), (Ticket("toy", shard, "f", fingerprint(shard)),)) for shard in range(count)]


def test_packed_jobs_come_back_as_they_were() -> None:
    assert unpack(pack(toys(5))) == toys(5)


def test_a_hundred_thousand_downloads_fit_a_service_that_takes_ten_megabytes() -> None:
    """Dataflow takes pipelines of at most ten megabytes."""
    options = DownloadOptions.build({"resize": "keep_ratio"})
    jobs = [
        Job(DownloadTask("gs://bucket/run", shard, options), (Ticket("download", shard, "f" * 64, fingerprint(shard)),))
        for shard in range(2_048)
    ]
    packed = sum(len(pack(jobs[at : at + 512])) for at in range(0, len(jobs), 512))
    assert packed / len(jobs) * 100_000 < 7e6


@pytest.mark.parametrize("runner", ["DirectRunner", "PrismRunner"])
def test_counters_and_markers_are_the_same_on_all_runners(
    runner: str, runner_flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    with choose_runner(runner_flags(runner)) as chosen:
        pipeline = beam.Pipeline(options=chosen.options(job="toy"))
        pipeline | HandOut(toys(SHARDS)) | DoShards(str(tmp_path), do_toy)
        result = pipeline.run()
        result.wait_until_finish()
    found = {
        (counter.key.metric.namespace, counter.key.metric.name): counter.committed
        for counter in result.metrics().query()["counters"]
    }
    ours = {name: count for (namespace, name), count in found.items() if namespace == "pairmill"}
    assert ours == {"toy/kept": 2 * SHARDS, "toy/dns": SHARDS}
    markers = Ledger(RunFolder(str(tmp_path)).ledger("toy")).markers()
    assert list(markers) == list(range(SHARDS))
    assert {marker.tally.digest for marker in markers.values()} == {f"digest {shard}" for shard in range(SHARDS)}
