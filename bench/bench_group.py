"""Near-duplicates among many embeddings: ours beside SemDeDup's algorithm, time, recall and memory.

Draws random directions with planted near-copies (cosines from the threshold to 1; `--concepts` draws them around that
many centres instead of everywhere), writes them as a run folder's images/ and embeddings/, and then measures, each in
a process of its own:

    ours      the steps of the group stage in one process, what is shuffled going through files
    stage     the stage itself, on Beam's in-process runner
    semdedup  Abbas et al. (2023) from the paper: spherical k-means with k near the square root of N and 20 rounds over
              all vectors, all similarities inside each cluster, of a close pair the later one is removed

Recall is that of close pairs, against brute force over a sample of rows and all others.
Usage: python bench/bench_group.py [--rows 100000 300000 1000000] [--width 512] [--cosine 0.96] [--concepts 0]
       [--sides ours stage semdedup]
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

from beam_jobs.matching import near_steps
from beam_jobs.matching.cell_files import fit_and_write, read_cells
from beam_jobs.matching.close_pairs import Work
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.vectors import unit_rows, where_true
from beam_jobs.storage.files import write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import GroupOptions, NearOptions
from schemas.tables import IMAGES, conform

ROWS_PER_SHARD = 10_000
PLANTED = 0.1
SEMDEDUP_ROUNDS = 20
SAMPLED_PAIRS = 4_000_000_000


def draw(rows: int, width: int, cosine: float, concepts: int) -> np.ndarray:
    """Unit float16 rows, a tenth of them near-copies of others, shuffled."""
    rng = np.random.default_rng(2024)
    made = np.empty((rows, width), np.float16)
    centres = unit_rows(rng.standard_normal((max(1, concepts), width)).astype(np.float32))
    for start in range(0, rows, ROWS_PER_SHARD):
        block = unit_rows(rng.standard_normal((min(ROWS_PER_SHARD, rows - start), width)).astype(np.float32))
        if concepts:
            block = unit_rows(1.2 * centres[rng.integers(0, concepts, len(block))] + block)
        made[start : start + len(block)] = block
    copies = int(rows * PLANTED)
    for start in range(0, copies, ROWS_PER_SHARD):
        count = min(ROWS_PER_SHARD, copies - start)
        originals = unit_rows(made[copies + start : copies + start + count])
        aside = rng.standard_normal((count, width)).astype(np.float32)
        aside = unit_rows(aside - np.einsum("ij,ij->i", aside, originals)[:, None] * originals)
        close = rng.uniform(cosine, 1, (count, 1)).astype(np.float32)
        made[start : start + count] = close * originals + np.sqrt(1 - close**2) * aside
    return made[rng.permutation(rows)]


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
    times = {"started": time.monotonic()}
    digest, rows = fit_and_write(work, range(shards), options)
    cells = read_cells(work, options.label, digest)
    buckets = near_steps.buckets_of(cells, rows)
    times["fit"] = time.monotonic()
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
            with (spool / str(bucket)).open("ab") as file:
                file.write(len(blob).to_bytes(8, "little") + blob)
            sent += len(blob)
    times["assign"] = time.monotonic()
    effort = Work()
    for file in sorted(spool.iterdir()):
        edges = near_steps.edges_of_bucket(_blobs(file), options, cells, work=effort)
        found += [edges] if edges else []
        file.unlink()
    times["compare"] = time.monotonic()
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
    times["settle"] = time.monotonic()
    names = list(times)
    steps = {name: round(times[name] - times[before], 2) for before, name in pairwise(names)}
    facts = {"cells": cells.count, "visits": round(cells.mean_visits, 2), "basis": cells.basis.shape[1]}
    return {**facts, "steps": steps, "compared": effort.compared, "shuffled_bytes": sent}


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


def brute_pairs(vectors: np.ndarray, cosine: float) -> np.ndarray:
    """All close pairs between some rows and all others: as many rows as make SAMPLED_PAIRS comparisons."""
    chosen = np.arange(min(len(vectors), SAMPLED_PAIRS // len(vectors)))
    units = unit_rows(vectors[chosen])
    found = []
    for start in range(0, len(vectors), 4096):
        at, to = where_true(units @ unit_rows(vectors[start : start + 4096]).T >= np.float32(cosine))
        found.append(np.column_stack([at, to + start])[at < to + start])
    return np.concatenate(found)


def judged(work: str, shards: int, pairs: np.ndarray, side: str) -> dict[str, Any]:
    """Recall of the pairs, and how many rows are called copies."""
    if side == "semdedup":
        home, removed = np.load(Path(work) / "semdedup.npy")
        return {"recall": float((home[pairs[:, 0]] == home[pairs[:, 1]]).mean()), "copies": int(removed.sum())}
    folder = RunFolder(work)
    tables = [read_table(folder.groups("near", shard), ["near_group", "near_duplicate_of"]) for shard in range(shards)]
    table = pa.concat_tables(tables)
    groups = np.asarray(table["near_group"].combine_chunks().dictionary_encode().indices)
    copies = len(table) - table["near_duplicate_of"].null_count
    return {"recall": float((groups[pairs[:, 0]] == groups[pairs[:, 1]]).mean()), "copies": copies}


SIDES = {"ours": ours, "stage": stage, "semdedup": semdedup}


def measure(side: str, work: str, shards: int, cosine: float) -> dict[str, Any]:
    """One side in a process of its own: its facts, seconds and peak memory."""
    given = ["--side", side, "--work", work, "--shards", str(shards), "--cosine", str(cosine)]
    done = subprocess.run([sys.executable, __file__, *given], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_side(side: str, work: str, shards: int, cosine: float) -> None:
    options = NearOptions(cosine=cosine)
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
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["ours", "semdedup"])
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--shards", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        return run_side(given.side, given.work, given.shards, given.cosine)
    sides = given.sides
    spent: dict[str, list[float]] = {side: [] for side in sides}
    for rows in given.rows:
        work = tempfile.mkdtemp(prefix="pairmill-bench-group-")
        try:
            vectors = draw(rows, given.width, given.cosine, given.concepts)
            shards = lay_out(work, vectors)
            pairs = brute_pairs(vectors, given.cosine)
            del vectors
            print(f"{rows:,} x {given.width}, cosine {given.cosine}: {len(pairs):,} close pairs known by brute force")
            for side in sides:
                facts = {**measure(side, work, shards, given.cosine), **judged(work, shards, pairs, side)}
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
