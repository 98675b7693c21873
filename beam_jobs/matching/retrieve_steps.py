"""Images near given queries, step by step, as plain functions on bytes: what the Beam stage wires together.

pin_queries      a file of queries           -> its SHA-256, once it has been read as such
nearest_queries  a shard's embeddings        -> each row's nearest query; by query, the nearest rows
place_rows       what came to a query        -> places among the rows that are nearest to it, by shard
retrieved_table  all that came to a shard    -> its sidecar
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from beam_jobs.matching.cells import Cells
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack
from beam_jobs.matching.nearest import nearest_centres
from beam_jobs.matching.places import by_shard, merge, place_column, rank_rows
from beam_jobs.matching.settle import UID
from beam_jobs.matching.vectors import runs, unit_rows
from beam_jobs.storage.files import read_bytes, read_pinned
from schemas.grouping_clusters import RetrievedOptions

_BUCKETS = 256


def pin_queries(file: str) -> str:
    """The SHA-256 of a file that can be read as queries. Raises ValueError or OSError."""
    data = read_bytes(file)
    _parse(data)
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=1)
def read_queries(options: RetrievedOptions) -> Cells:
    """The queries as unit rows; the file must be as it was at launch."""
    queries = _parse(read_pinned(options.queries, options.sha256))
    return Cells(unit_rows(queries), 0.0, np.empty((queries.shape[1], 0), np.float32), np.empty(0))


def _parse(data: bytes) -> np.ndarray:
    queries = np.load(io.BytesIO(data), allow_pickle=False)
    if queries.ndim != 2 or not np.issubdtype(queries.dtype, np.floating) or len(queries) == 0:
        raise ValueError(f"expected a matrix of floats, a row a query; it holds {queries.dtype} of {queries.shape}")
    wide = queries.astype(np.float32)
    if not np.isfinite(wide).all() or not wide.any(axis=1).all():
        raise ValueError("a query is all zero or holds what is no number")
    return wide


@dataclass(frozen=True)
class Retrieved:
    """One shard's rows: their nearest queries for its own sidecar, and the first rows of each query by bucket."""

    nearest: bytes
    buckets: list[tuple[int, bytes]]


def nearest_queries(rows: ImageRows, options: RetrievedOptions) -> Retrieved:
    """The nearest query of each row of a shard."""
    places, halves = rows.embeddings(options.embedding)
    queries = read_queries(options)
    if len(halves) and halves.shape[1] != queries.centroids.shape[1]:
        raise ValueError(
            f"{options.queries} holds queries of {queries.centroids.shape[1]} numbers; "
            f"the embeddings {options.embedding!r} have {halves.shape[1]}"
        )
    near, similarity = nearest_centres(unit_rows(halves), queries, 1)
    own, to_own = near[:, 0], similarity[:, 0]
    found = []
    if options.top:
        uids = rows.uids().take(pa.array(places)).to_pylist()
        ranked = rank_rows(own, to_own, uids, shard=rows.shard, rows=places, most=options.top)
        bucket = ranked["key"] % _BUCKETS
        order = np.argsort(bucket, kind="stable")
        found = [(number, ranked[order[here]].tobytes()) for number, here in runs(bucket[order])]
    columns = {"row": places, "query": pa.array(own, pa.int32()), "similarity": pa.array(to_own, pa.float32())}
    return Retrieved(pack(pa.table(columns)), found)


def place_rows(blobs: Iterable[bytes], options: RetrievedOptions) -> Iterator[tuple[int, bytes]]:
    """The places of the first rows of a bucket's queries, by shard."""
    yield from by_shard(merge(blobs, options.top))


def retrieved_table(rows: ImageRows, options: RetrievedOptions, nearest: bytes, placed: Iterable[bytes]) -> pa.Table:
    """The sidecar of a shard."""
    uids, label = rows.uids(), options.label
    found = unpack(nearest)
    at = np.full(len(uids), -1, np.int64)
    at[found["row"].to_numpy()] = np.arange(found.num_rows)
    present = pa.array(np.where(at < 0, 0, at), mask=at < 0)
    place = place_column(placed, len(uids))
    made = {
        f"{label}_similarity": found["similarity"].take(present),
        f"{label}_query": found["query"].take(present),
        f"{label}_place": pa.array(place, mask=place < 0),
    }
    return pa.table({UID: uids.combine_chunks(), **made}).select([UID, *options.columns])
