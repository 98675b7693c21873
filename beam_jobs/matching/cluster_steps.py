"""Clusters, step by step, as plain functions on bytes: what the Beam stage wires together.

    assign_rows      a shard's embeddings    -> its rows' nearest centres; by bucket of clusters, counts and first rows
    settle_clusters  what came to a bucket   -> a table of its clusters; by shard, what its rows are told of theirs
    clusters_table   all that came to shard  -> its sidecar

What travels is a few numbers a (shard, cluster); embeddings stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.matching.annotations import read_annotations, votes_of
from beam_jobs.matching.cells import Cells
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack
from beam_jobs.matching.nearest import nearest_centres
from beam_jobs.matching.places import RANKED, by_shard, merge, place_column, rank_rows
from beam_jobs.matching.settle import UID
from beam_jobs.matching.vectors import runs, unit_rows
from schemas.grouping_clusters import ClustersOptions

CLUSTERS_A_BUCKET = 65_536
# Similarities are summed as whole numbers of millionths, so that the order of arrival does not matter.
_MILLIONTHS = 1_000_000
CLUSTERS = pa.schema(
    [
        ("cluster", pa.int32()),
        ("size", pa.int64()),
        ("mean_similarity", pa.float64()),
        ("label", pa.string()),
        ("label_share", pa.float32()),
        ("annotated", pa.int64()),
        ("prototypes", pa.list_(pa.string())),
    ]
)
_COUNTS, _FIRST, _UIDS, _VOTES = "counts", "first", "uids", "votes"
_PROTOTYPES_NAMED = 16


@dataclass(frozen=True)
class Assigned:
    """One shard's rows: their nearest centres for its own sidecar, and what buckets are to know of them."""

    nearest: bytes
    buckets: list[tuple[int, bytes]]


def assign_rows(rows: ImageRows, options: ClustersOptions, centres: Cells) -> Assigned:
    """The nearest centres of a shard's rows; counts, first rows and votes of each cluster that it holds rows of."""
    places, halves = rows.embeddings(options.embedding)
    near, similarity = nearest_centres(unit_rows(halves), centres, options.top)
    own, to_own = near[:, 0], similarity[:, 0]
    listed = {f"near_{place}": pa.array(near[:, place]) for place in range(near.shape[1])}
    listed |= {f"similarity_{place}": pa.array(similarity[:, place]) for place in range(near.shape[1])}
    uids = rows.uids().take(pa.array(places)).to_pylist()
    first = rank_rows(own, to_own, uids, shard=rows.shard, rows=places, most=options.prototypes)
    counts = _counted(own, to_own)
    votes = votes_of(own, uids, read_annotations(options)) if options.annotated else _no_votes()
    named = dict(zip(places.tolist(), uids, strict=True))
    found = []
    for bucket, here in runs(counts["cluster"].to_numpy() // CLUSTERS_A_BUCKET):
        ranked = first[first["key"] // CLUSTERS_A_BUCKET == bucket]
        parts = {
            _COUNTS: pack(counts[here]),
            _FIRST: ranked.tobytes(),
            _UIDS: "\n".join(named[row] for row in ranked["row"].tolist()).encode(),
            _VOTES: pack(votes.filter(pc.equal(pc.divide(votes["cluster"], CLUSTERS_A_BUCKET), bucket))),
        }
        row = {name: pa.array([part], pa.large_binary()) for name, part in parts.items()}
        found.append((bucket, pack(pa.table({"shard": [rows.shard], **row}))))
    return Assigned(pack(pa.table({"row": pa.array(places), **listed})), found)


def _counted(own: np.ndarray, to_own: np.ndarray) -> pa.Table:
    clusters, at = np.unique(own, return_inverse=True)
    total = np.zeros(len(clusters), np.int64)
    np.add.at(total, at, np.rint(to_own.astype(np.float64) * _MILLIONTHS).astype(np.int64))
    return pa.table(
        {"cluster": pa.array(clusters, pa.int32()), "rows": np.bincount(at, minlength=len(clusters)), "total": total}
    )


def _no_votes() -> pa.Table:
    return pa.table(
        {"cluster": pa.array([], pa.int32()), "label": pa.array([], pa.string()), "votes": pa.array([], pa.int64())}
    )


@dataclass(frozen=True)
class SettledClusters:
    """A bucket's clusters, and what each shard is told."""

    table: pa.Table
    told: list[tuple[int, bytes]]


def settle_clusters(blobs: Iterable[bytes], options: ClustersOptions) -> SettledClusters:
    """Sums what the shards counted, merges their first rows, and lets annotated rows vote."""
    counts, votes, present = [], [], {}
    first: list[bytes] = []
    named: dict[tuple[int, int], str] = {}
    for blob in blobs:
        part = unpack(blob)
        shard = part["shard"][0].as_py()
        counts.append(unpack(part[_COUNTS][0].as_py()))
        present[shard] = counts[-1]["cluster"]
        votes.append(unpack(part[_VOTES][0].as_py()))
        first.append(part[_FIRST][0].as_py())
        rows = np.frombuffer(first[-1], dtype=RANKED)
        uids = part[_UIDS][0].as_py().decode().split("\n")
        near = rows["place"] < _PROTOTYPES_NAMED
        named |= {(shard, row): uid for row, uid, few in zip(rows["row"].tolist(), uids, near, strict=False) if few}
    summed = pa.concat_tables(counts).group_by("cluster").aggregate([("rows", "sum"), ("total", "sum")])
    summed = summed.sort_by("cluster")
    ranked = merge(first, options.prototypes)
    prototypes: dict[int, list[str]] = {}
    for key, shard, row in ranked[ranked["place"] < _PROTOTYPES_NAMED][["key", "shard", "row"]].tolist():
        prototypes.setdefault(key, []).append(named[shard, row])
    labels = _elected(pa.concat_tables(votes))
    clusters, sizes = summed["cluster"].to_pylist(), summed["rows_sum"].to_pylist()
    table = pa.table(
        {
            "cluster": clusters,
            "size": sizes,
            "mean_similarity": [
                total / _MILLIONTHS / size for total, size in zip(summed["total_sum"].to_pylist(), sizes, strict=True)
            ],
            "label": [labels[cluster][0] if cluster in labels else None for cluster in clusters],
            "label_share": [labels[cluster][1] if cluster in labels else None for cluster in clusters],
            "annotated": [labels[cluster][2] if cluster in labels else 0 for cluster in clusters],
            "prototypes": [prototypes.get(cluster, []) for cluster in clusters],
        },
        schema=CLUSTERS,
    )
    placed = dict(by_shard(ranked))
    known = summed["cluster"].to_numpy()
    told = []
    for shard, own in sorted(present.items()):
        some = table.select(["cluster", "size", "label", "label_share"])
        some = some.take(pa.array(np.searchsorted(known, own.to_numpy()))).combine_chunks()
        parts = {"clusters": [pack(some)], "places": [placed.get(shard, b"")]}
        told.append((shard, pack(pa.table({name: pa.array(part, pa.large_binary()) for name, part in parts.items()}))))
    return SettledClusters(table, told)


def _elected(votes: pa.Table) -> Mapping[int, tuple[str, float, int]]:
    """Of each cluster with votes: the label with most of them, the first by name where several have, its share, all."""
    found: dict[int, tuple[str, float, int]] = {}
    cast: dict[int, int] = {}
    best: dict[int, tuple[int, str]] = {}
    summed = votes.group_by(["cluster", "label"]).aggregate([("votes", "sum")])
    for row in summed.to_pylist():
        cluster, count = row["cluster"], row["votes_sum"]
        cast[cluster] = cast.get(cluster, 0) + count
        best[cluster] = min(best.get(cluster, (0, "")), (-count, row["label"]))
    for cluster, (least, label) in best.items():
        found[cluster] = (label, -least / cast[cluster], cast[cluster])
    return found


def clusters_table(rows: ImageRows, options: ClustersOptions, nearest: bytes, told: Iterable[bytes]) -> pa.Table:
    """The sidecar of a shard."""
    uids, label = rows.uids(), options.label
    assigned = unpack(nearest)
    tops = (assigned.num_columns - 1) // 2
    at = np.full(len(uids), -1, np.int64)
    at[assigned["row"].to_numpy()] = np.arange(assigned.num_rows)
    own = assigned["near_0"].to_numpy()
    parts = [unpack(blob) for blob in told]
    place = place_column((part["places"][0].as_py() for part in parts), len(uids))
    told_of = _told_of(parts, own)
    present = pa.array(np.where(at < 0, 0, at), mask=at < 0)
    near = np.column_stack([assigned[f"near_{number}"].to_numpy() for number in range(tops)])
    similar = np.column_stack([assigned[f"similarity_{number}"].to_numpy() for number in range(tops)])
    made = {
        f"{label}_id": pa.array(own, pa.int32()).take(present),
        f"{label}_similarity": pa.array(similar[:, 0], pa.float32()).take(present),
        f"{label}_size": told_of["size"].take(present),
        f"{label}_place": pa.array(place, mask=place < 0),
        f"{label}_top": _lists(near, pa.int32()).take(present),
        f"{label}_top_similarities": _lists(similar, pa.float32()).take(present),
        f"{label}_label": told_of["label"].take(present),
        f"{label}_label_share": told_of["label_share"].take(present),
    }
    return pa.table({UID: uids.combine_chunks(), **made}).select([UID, *options.columns])


def _told_of(parts: list[pa.Table], own: np.ndarray) -> pa.Table:
    """For each assigned row, what is known of its cluster."""
    schema = pa.schema([CLUSTERS.field(name) for name in ("cluster", "size", "label", "label_share")])
    tables = [unpack(part["clusters"][0].as_py()) for part in parts] or [schema.empty_table()]
    clusters = pa.concat_tables(tables).sort_by("cluster").combine_chunks()
    return clusters.take(pa.array(np.searchsorted(clusters["cluster"].to_numpy(), own))).combine_chunks()


def _lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    offsets = pa.array(np.arange(len(values) + 1) * values.shape[1], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).ravel(), kind))
