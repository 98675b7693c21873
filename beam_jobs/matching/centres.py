"""Centres of clusters: spherical k-means on a sample, in two levels when there are many, so that no fit needs them all.

In: embedding files of all shards. Out: centroids.npy and clusters.json beside the grouper's sidecars. Many centres are
fitted in groups: coarse centres on a part of the sample, then in each group as many centres as its share of the rows.
Rows lie in shards by a hash of their uid, so the first rows of each are a uniform sample, the same on every runner.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa

from beam_jobs.matching.cell_files import each, npy, read_array
from beam_jobs.matching.cells import Cells
from beam_jobs.matching.fit_cells import home_of, kmeans, rows_per_cell, shares
from beam_jobs.matching.image_rows import embedding_shape, read_head
from beam_jobs.matching.narrow import pack, unpack, vectors_of
from beam_jobs.matching.vectors import Floats, Halves, runs, unit_rows
from beam_jobs.storage.files import join, read_json, write_bytes, write_json
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping_clusters import ClustersOptions
from schemas.keys import fingerprint

TWO_LEVELS_FROM = 16_384
ROUNDS = 20
_AT = "at"


@dataclass(frozen=True)
class Plan:
    """What is to be fitted, the same for every worker. quotas: how many centres each group gets; none with one level.

    per_row: the share of a shard's rows that is in the sample.
    """

    rows: int
    width: int
    k: int
    per_row: float
    quotas: tuple[int, ...] = ()


def plan_centres(work: str, shards: Sequence[int], options: ClustersOptions) -> Plan:
    """Counts rows, and fits all centres of one level, or the coarse ones of two, and writes them."""
    shards = sorted(shards)
    shapes = each(partial(embedding_shape, work, options.embedding), shards)
    rows, width = sum(shape[0] for shape in shapes), max((shape[1] for shape in shapes), default=0)
    k = max(1, min(rows, options.k or math.isqrt(rows)))
    groups = math.isqrt(k) if k >= TWO_LEVELS_FROM else 0
    per_row = min(1.0, rows_per_cell(k) * k / max(1, rows))
    first = min(1.0, rows_per_cell(groups) * groups / max(1, rows)) if groups else per_row
    wanted = [(shard, math.ceil(shape[0] * first)) for shard, shape in zip(shards, shapes, strict=True)]
    heads = each(lambda given: read_head(work, options.embedding, *given), wanted)
    sample = unit_rows(np.concatenate([head for head in heads if len(head)] or [np.zeros((0, width), np.float16)]))
    fitted = kmeans(sample, groups or min(k, max(1, len(sample))), options.seed, rounds=ROUNDS)
    if len(sample) == 0:
        fitted = np.zeros((1, width), np.float32)
    write_bytes(_beside(work, options, "coarse.npy" if groups else "centroids.npy"), npy(fitted))
    if not groups:
        return Plan(rows, width, k, per_row)
    sizes = np.bincount(home_of(sample, fitted), minlength=groups)
    # A group of the sample may be smaller than what it is to hold: shares are of all rows, not of the sample.
    quotas = shares(sizes * math.ceil(k / max(1, len(sample))), k)
    return Plan(rows, width, k, per_row, tuple(quotas.tolist()))


def sample_by_group(work: str, shard: int, options: ClustersOptions, plan: Plan) -> Iterator[tuple[int, bytes]]:
    """The sampled rows of a shard, by the group whose centre is nearest."""
    if not plan.quotas:
        return
    rows = embedding_shape(work, options.embedding, shard)[0]
    halves = read_head(work, options.embedding, shard, math.ceil(rows * plan.per_row))
    home = home_of(unit_rows(halves), read_array(_beside(work, options, "coarse.npy")))
    order = np.argsort(home, kind="stable")
    for group, here in runs(home[order]):
        yield group, pack(pa.table({_AT: (np.int64(shard) << 32) + order[here]}), halves[order[here]])


def fit_group(group: int, blobs: Iterable[bytes], options: ClustersOptions, plan: Plan) -> bytes:
    """The centres of one group, fitted on its rows."""
    tables = [unpack(blob) for blob in blobs]
    at = np.concatenate([table[_AT].to_numpy() for table in tables])
    halves: Halves = np.concatenate([vectors_of(table) for table in tables])[np.argsort(at)]
    quota = min(plan.quotas[group], len(halves))
    centres = kmeans(unit_rows(halves), quota, options.seed, rounds=ROUNDS) if quota else np.zeros((0, plan.width))
    return pack(pa.table({"group": [group], "centres": pa.array([centres.astype("<f4").tobytes()], pa.large_binary())}))


def write_centres(work: str, blobs: Iterable[bytes], options: ClustersOptions, plan: Plan) -> str:
    """Writes the centres of all groups, in their order, and what is known of the fit; a digest of both."""
    url = _beside(work, options, "centroids.npy")
    if plan.quotas:
        tables = [unpack(blob) for blob in blobs if blob]
        found = {int(table["group"][0].as_py()): table["centres"][0].as_py() for table in tables}
        parts = [np.frombuffer(found[group], "<f4").reshape(-1, plan.width) for group in sorted(found)]
        write_bytes(url, npy(np.concatenate(parts)))
    centroids: Floats = read_array(url)
    facts = {
        "asked": options.k,
        "clusters": len(centroids),
        "groups": len(plan.quotas),
        "rows": plan.rows,
        "sampled": math.ceil(plan.rows * plan.per_row),
    }
    write_json(_beside(work, options, "clusters.json"), facts)
    return fingerprint([facts, hashlib.sha256(centroids.data).hexdigest()])


@lru_cache(maxsize=1)
def read_centres(work: str, options: ClustersOptions, digest: str) -> Cells:
    """The written centres, as cells without borders; kept for the next call of the same process. digest: of which."""
    centroids = read_array(_beside(work, options, "centroids.npy"))
    return Cells(centroids, 0.0, np.empty((centroids.shape[1], 0), np.float32), np.empty(0))


def clusters_known(work: str, label: str) -> dict[str, int]:
    """What clusters.json says."""
    return dict(read_json(join(RunFolder(work).group_folder(label), "clusters.json")))


def _beside(work: str, options: ClustersOptions, name: str) -> str:
    return join(RunFolder(work).group_folder(options.label), name)
