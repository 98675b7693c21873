"""Clusters, neighbours and index files of many embeddings: time, memory, and how much of the truth they find.

Draws vectors around concepts, writes them as a run folder, and then measures, each in a process of its own, the
groupers on Beam's in-process runner and the command `faiss`:

    clusters    k centres, in two levels from 16,384 on; recall of each row's 10 nearest of these centres
    neighbours  the 5 nearest images of each; their recall
    faiss       image.index within --memory; recall of the 10 nearest

Recall is against brute force from a sample of rows. Usage: python bench/bench_clusters.py [--rows 100000]
[--width 512] [--k 20000] [--concepts 2000] [--memory 1]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_group import lay_out, load_vectors, peak_megabytes
from drawn_vectors import draw

from beam_jobs.matching.vectors import unit_rows
from beam_jobs.storage.files import read_json
from beam_jobs.storage.parquet import read_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import Grouper, GroupOptions
from schemas.grouping_clusters import ClustersOptions, NeighboursOptions

ASKED = 500
SIDES = ("clusters", "neighbours", "faiss")


def run(side: str, work: str, shards: int, k: int, memory: int) -> dict[str, Any]:
    """One side, and what it says of itself."""
    if side == "faiss":
        from beam_jobs.search_index import write_search_indexes

        [index] = write_search_indexes(work, "clip", most_bytes=memory << 30)
        return {"kind": index.kind, "probes": index.probes, "recall_10": index.recall_10}
    import apache_beam as beam

    from beam_jobs.runners import InProcessRunner
    from beam_jobs.stages.group import GroupShards

    grouper: Grouper = ClustersOptions(k=k) if side == "clusters" else NeighboursOptions()
    with beam.Pipeline(runner=InProcessRunner()) as pipeline:
        pipeline | GroupShards(work, shards=range(shards), options=GroupOptions((grouper,)))
    folder = RunFolder(work).group_folder(side)
    return dict(read_json(f"{folder}/{'clusters' if side == 'clusters' else 'cells'}.json"))


def judged(side: str, work: str, shards: int, vectors: np.ndarray) -> dict[str, Any]:
    """Recall of what is nearest to a sample of rows, against all."""
    if side == "faiss":
        return {}
    asked = np.linspace(0, len(vectors) - 1, ASKED).astype(np.int64)
    units = unit_rows(vectors[asked])
    tables = [read_table(RunFolder(work).groups(side, shard)) for shard in range(shards)]
    if side == "clusters":
        centroids = np.load(RunFolder(work).centroids(side))
        expected = np.argsort(-(units @ centroids.T), axis=1)[:, :10]
        told = [row for table in tables for row in table["clusters_top"].to_pylist()]
        similar = np.concatenate([table["clusters_similarity"].to_numpy() for table in tables])
        recall = np.mean([np.isin(near, told[row]).mean() for near, row in zip(expected, asked, strict=True)])
        return {"recall_10": round(float(recall), 4), "mean_similarity": round(float(similar.mean()), 4)}
    similar = units @ unit_rows(vectors).T
    similar[np.arange(len(asked)), asked] = -2
    similar[similar >= NeighboursOptions().below] = -2
    expected = np.argsort(-similar, axis=1)[:, :5]
    uids = [uid for table in tables for uid in table["uid"].to_pylist()]
    told = [row for table in tables for row in table["neighbours_uids"].to_pylist()]
    found = [
        len({uids[other] for other in near} & set(told[row])) / 5 for near, row in zip(expected, asked, strict=True)
    ]
    return {"recall_5": round(float(np.mean(found)), 4)}


def measure(side: str, work: str, shards: int, k: int, memory: int) -> dict[str, Any]:
    """One side in a process of its own: its facts, seconds and peak memory."""
    given = ["--side", side, "--work", work, "--shards", str(shards), "--k", str(k), "--memory", str(memory)]
    done = subprocess.run([sys.executable, __file__, *given], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--concepts", type=int, default=2000)
    parser.add_argument("--k", type=int, default=20_000)
    parser.add_argument("--memory", type=int, default=1, help="of an index, in GiB")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--shards", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        started = time.monotonic()
        facts = run(given.side, given.work, given.shards, given.k, given.memory)
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds, cpu = round(time.monotonic() - started, 1), round(used.ru_utime + used.ru_stime, 1)
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak_megabytes(), **facts}))
        return
    work = tempfile.mkdtemp(prefix="pairmill-bench-clusters-")
    try:
        shards = lay_out(work, draw(given.rows, given.width, 0.96, given.concepts, 0.0))
        Path(RunFolder(work).embedding_table("clip", 0)).parent.mkdir()
        for shard in range(shards):
            shutil.copy(RunFolder(work).image_table(shard), RunFolder(work).embedding_table("clip", shard))
        print(f"{given.rows:,} x {given.width} around {given.concepts:,} concepts")
        for side in given.sides:
            facts = measure(side, work, shards, given.k, given.memory)
            print(
                f"  {side:10}",
                json.dumps({**facts, **judged(side, work, shards, load_vectors(work, shards))}),
                flush=True,
            )
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
