"""Near-duplicates among many embeddings: ours beside SemDeDup's algorithm, time, recall and memory.

Draws random directions with planted near-copies (cosines from the threshold to 1; `--concepts` draws them around that
many centres instead of everywhere, `--crowd` puts that share of all rows about one centre), writes them as a run
folder's images/ and embeddings/, and then measures, each in a process of its own:

    ours      the steps of the group stage in one process, what is shuffled going through files
    stage     the stage itself, on Beam's in-process runner
    semdedup  Abbas et al. (2023) from the paper: spherical k-means with k near the square root of N and 20 rounds over
              all vectors, all similarities inside each cluster, of a close pair the later one is removed

Recall is that of close pairs, against brute force: over all pairs up to 100,000 rows, beyond that between a sample of
rows and all others. Precision, where all pairs are known: of rows that are joined, the share that brute force joins.
Usage: python bench/bench_group.py [--rows 100000 300000 1000000] [--width 512] [--cosine 0.96] [--concepts 0]
       [--crowd 0.5] [--cells 20000] [--sides ours stage semdedup]
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from hashlib import md5
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from drawn_vectors import WHOLE_ROWS, brute_pairs, draw, precision

from beam_jobs.matching import near_steps
from beam_jobs.matching.cell_files import fit_and_write, read_cells
from beam_jobs.matching.close_pairs import Work
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.vectors import unit_rows
from beam_jobs.storage.files import write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import GroupOptions, NearOptions
from schemas.tables import IMAGES, conform

ROWS_PER_SHARD = 10_000
SEMDEDUP_ROUNDS = 20


def lay_out(work: str, vectors: np.ndarray) -> int:
    """Writes a run folder that holds these embeddings; how many shards."""
    folder = RunFolder(work)
    shards = -(-len(vectors) // ROWS_PER_SHARD)
    for shard in range(shards):
        part = vectors[shard * ROWS_PER_SHARD : (shard + 1) * ROWS_PER_SHARD]
        uids = [md5(f"{shard}-{row}".encode(), usedforsecurity=False).hexdigest() for row in range(len(part))]
        table = pa.table({"uid": uids, "status": ["success"] * len(part), "caption": uids})
        sizes = pa.array(np.full(len(part), 256, np.int32))
        table = table.append_column("original_width", sizes).append_column("original_height", sizes)
        write_table(folder.image_table(shard), conform(table, IMAGES))
        header = f"{{'descr': '<f2', 'fortran_order': False, 'shape': {part.shape}, }}"
        head = b"\x93NUMPY\x01\x00" + (len(header) + 54 - len(header) % 64).to_bytes(2, "little")
        head += header.encode().ljust(len(header) + 53 - len(header) % 64) + b"\n"
        write_bytes(folder.image_embeddings("clip", shard), head + np.ascontiguousarray(part).tobytes())
    return shards


def ours(work: str, shards: int, options: NearOptions) -> dict[str, Any]:
    """The steps of the stage, one after the other; buckets wait in files as in a shuffle on disk."""
    times = {"started": time.process_time()}
    digest, rows = fit_and_write(work, range(shards), options)
    cells = read_cells(work, options.label, digest)
    buckets = near_steps.buckets_of(cells, rows)
    times["fit"] = time.process_time()
    spool = Path(work) / "spool"
    spool.mkdir()
    found: list[bytes] = []
    clusters: dict[int, bytes] = {}
    sent = 0
    for shard in range(shards):
        visiting = near_steps.visit_rows(ImageRows(work, shard), options, cells, buckets)
        clusters[shard] = visiting.clusters
        found += [visiting.copies] if visiting.copies else []
        for bucket, blob in visiting.buckets:
            with (spool / str(bucket)).open("ab") as opened:
                opened.write(len(blob).to_bytes(8, "little") + blob)
            sent += len(blob)
    times["assign"] = time.process_time()
    effort = Work()
    for file in sorted(spool.iterdir()):
        edges = near_steps.edges_of_bucket(_blobs(file), options, cells, work=effort)
        found += [edges] if edges else []
        file.unlink()
    times["compare"] = time.process_time()
    settled: dict[int, list[bytes]] = {}
    wanted: dict[int, list[bytes]] = {}
    for tag, shard, blob in near_steps.settle_components(found, options):
        (settled if tag == "settled" else wanted).setdefault(shard, []).append(blob)
    survivors: dict[int, list[bytes]] = {}
    for shard, asked in wanted.items():
        for to, blob in near_steps.send_survivors(ImageRows(work, shard), options, asked):
            survivors.setdefault(to, []).append(blob)
    for shard in range(shards):
        table = near_steps.near_table(
            ImageRows(work, shard), options, clusters[shard], settled.get(shard, []), survivors.get(shard, [])
        )
        write_table(RunFolder(work).groups(options.label, shard), table)
    times["settle"] = time.process_time()
    names = list(times)
    steps = {name: round(times[name] - times[before], 2) for before, name in pairwise(names)}
    facts = {"cells": cells.count, "visits": round(cells.mean_visits, 2), "basis": cells.basis.shape[1]}
    return {**facts, "cpu_steps": steps, "compared": effort.compared, "shuffled_bytes": sent}


def _blobs(file: Path) -> Iterable[bytes]:
    with file.open("rb") as opened:
        while size := opened.read(8):
            yield opened.read(int.from_bytes(size, "little"))


def stage(work: str, shards: int, options: NearOptions) -> dict[str, Any]:
    """The Beam stage."""
    import apache_beam as beam

    from beam_jobs.stages.group import GroupShards

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | GroupShards(work, shards=range(shards), options=GroupOptions((options,)))
    return {}


def semdedup(work: str, shards: int, options: NearOptions) -> dict[str, Any]:
    """Clusters all vectors and compares inside clusters; leaves the cluster and the fate of each row."""
    import faiss

    halves = load_vectors(work, shards)
    vectors = unit_rows(halves)
    del halves
    cells = math.isqrt(len(vectors))
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        cells,
        niter=SEMDEDUP_ROUNDS,
        spherical=True,
        seed=1,
        max_points_per_centroid=len(vectors),
        min_points_per_centroid=1,
    )
    kmeans.train(vectors)
    _, home = kmeans.index.search(vectors, 1)
    home = home[:, 0]
    order = np.argsort(home, kind="stable")
    bounds = np.searchsorted(home[order], np.arange(cells + 1))
    removed = np.zeros(len(vectors), dtype=bool)
    for start, end in pairwise(bounds):
        rows = order[start:end]
        similar = np.triu(vectors[rows] @ vectors[rows].T, 1)
        removed[rows] = similar.max(axis=0, initial=0) >= options.cosine
    np.save(Path(work) / "semdedup.npy", np.stack([home, removed]))
    return {"removed": int(removed.sum())}


def load_vectors(work: str, shards: int) -> np.ndarray:
    return np.concatenate([np.load(RunFolder(work).image_embeddings("clip", shard)) for shard in range(shards)])


def judged(work: str, shards: int, pairs: np.ndarray, side: str, *, whole: bool) -> dict[str, Any]:
    """Recall of the pairs, precision where they are all there are, and how many rows are called copies."""
    if side == "semdedup":
        home, removed = np.load(Path(work) / "semdedup.npy")
        return {"recall": float((home[pairs[:, 0]] == home[pairs[:, 1]]).mean()), "copies": int(removed.sum())}
    folder = RunFolder(work)
    tables = [read_table(folder.groups("near", shard), ["near_group", "near_duplicate_of"]) for shard in range(shards)]
    table = pa.concat_tables(tables)
    groups = np.asarray(table["near_group"].combine_chunks().dictionary_encode().indices)
    facts = {"recall": float((groups[pairs[:, 0]] == groups[pairs[:, 1]]).mean())}
    if whole:
        facts["precision"] = precision(groups, pairs)
    return {**facts, "copies": len(table) - table["near_duplicate_of"].null_count}


SIDES = {"ours": ours, "stage": stage, "semdedup": semdedup}


def measure(side: str, work: str, shards: int, options: NearOptions) -> dict[str, Any]:
    """One side in a process of its own: its facts, seconds and peak memory."""
    given = ["--side", side, "--work", work, "--shards", str(shards)]
    given += ["--cosine", str(options.cosine), "--cells", str(options.cells)]
    done = subprocess.run([sys.executable, __file__, *given], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_side(side: str, work: str, shards: int, options: NearOptions) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    facts = SIDES[side](work, shards, options)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": round(seconds, 1), "cpu": round(spent, 1), "peak_mb": peak_megabytes(), **facts}))


def peak_megabytes() -> int:
    """The most resident memory of this process; getrusage would count its parent's too."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--cosine", type=float, default=0.96)
    parser.add_argument("--concepts", type=int, default=0)
    parser.add_argument("--crowd", type=float, default=0.0)
    parser.add_argument("--cells", type=int, default=0)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["ours", "semdedup"])
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--shards", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    options = NearOptions(cosine=given.cosine, cells=given.cells)
    if given.side:
        return run_side(given.side, given.work, given.shards, options)
    sides = given.sides
    spent: dict[str, list[float]] = {side: [] for side in sides}
    for rows in given.rows:
        work = tempfile.mkdtemp(prefix="pairmill-bench-group-")
        try:
            vectors = draw(rows, given.width, given.cosine, given.concepts, given.crowd)
            shards = lay_out(work, vectors)
            pairs = brute_pairs(vectors, given.cosine, given.crowd)
            whole = rows <= WHOLE_ROWS and not given.crowd
            del vectors
            print(f"{rows:,} x {given.width}, cosine {given.cosine}: {len(pairs):,} close pairs known by brute force")
            for side in sides:
                facts = {**measure(side, work, shards, options), **judged(work, shards, pairs, side, whole=whole)}
                spent[side].append(facts["cpu"])
                print(f"  {side:9}", json.dumps(facts), flush=True)
        finally:
            shutil.rmtree(work)
    for side in sides:
        if len(given.rows) > 1:
            growth = math.log(spent[side][-1] / spent[side][0]) / math.log(given.rows[-1] / given.rows[0])
            print(f"{side}: processor time grows as N to the {growth:.2f}")
    return None


if __name__ == "__main__":
    main()
