"""Annotations: labels that people gave to a few rows or clusters, and the votes that they are.

In: a table (CSV, TSV or Parquet) of `label` and of `uid` or `cluster`. Out: for a shard's rows, how many votes each
label has in each cluster. The table is held in memory: it is what people wrote.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.storage.files import read_bytes, read_pinned
from schemas.grouping_clusters import ClustersOptions


@dataclass(frozen=True)
class Annotations:
    """Labels by uid, or by cluster."""

    of_uid: Mapping[str, str]
    of_cluster: Mapping[int, str]


def pin_annotations(file: str) -> str:
    """The SHA-256 of a table that can be read as annotations. Raises ValueError or OSError."""
    data = read_bytes(file)
    _parse(file, data)
    return hashlib.sha256(data).hexdigest()


def read_annotations(options: ClustersOptions) -> Annotations:
    """Those of the options' file, which must be as it was at launch."""
    return _read(options.annotated, options.sha256)


@lru_cache(maxsize=2)
def _read(file: str, sha256: str) -> Annotations:
    return _parse(file, read_pinned(file, sha256))


def _parse(file: str, data: bytes) -> Annotations:
    from pyarrow import csv
    from pyarrow import parquet as pq

    if file.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
    else:
        options = csv.ParseOptions(delimiter="\t" if file.endswith(".tsv") else ",")
        kinds = csv.ConvertOptions(column_types={"uid": pa.string(), "label": pa.string(), "cluster": pa.int64()})
        table = csv.read_csv(io.BytesIO(data), parse_options=options, convert_options=kinds)
    keys = [name for name in ("uid", "cluster") if name in table.column_names]
    if "label" not in table.column_names or len(keys) != 1:
        raise ValueError(
            f"expected the columns label and one of uid, cluster; there are {', '.join(table.column_names)}"
        )
    table = table.filter(pc.and_(table["label"].is_valid(), table[keys[0]].is_valid()))
    labels = table["label"].cast(pa.string()).to_pylist()
    named = zip(table[keys[0]].to_pylist(), labels, strict=True)
    return Annotations(dict(named), {}) if keys[0] == "uid" else Annotations({}, dict(named))


def votes_of(clusters: np.ndarray, uids: Sequence[str], annotations: Annotations) -> pa.Table:
    """Cluster, label and votes. A label given to a cluster itself is one vote of each shard that has rows of it."""
    votes: Counter[tuple[int, str]] = Counter()
    if annotations.of_uid:
        for cluster, uid in zip(clusters.tolist(), uids, strict=True):
            if uid in annotations.of_uid:
                votes[cluster, annotations.of_uid[uid]] += 1
    for cluster in np.unique(clusters).tolist() if annotations.of_cluster else ():
        if cluster in annotations.of_cluster:
            votes[cluster, annotations.of_cluster[cluster]] += 1
    cast = sorted(votes.items())
    return pa.table(
        {
            "cluster": pa.array([key[0] for key, _ in cast], pa.int32()),
            "label": pa.array([key[1] for key, _ in cast], pa.string()),
            "votes": pa.array([count for _, count in cast], pa.int64()),
        }
    )
