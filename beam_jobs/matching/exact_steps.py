"""Exact duplicates, step by step, as plain functions on bytes: what the Beam stage wires together.

In: the rows of an image shard. Out: per bucket of a key's hash its rows; per bucket the members of groups, by shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack_all
from beam_jobs.matching.settle import ID, UID, row_of, settle, shard_of
from beam_jobs.matching.sidecars import group_columns
from beam_jobs.matching.vectors import runs
from schemas.grouping import ExactOptions
from schemas.grouping_known import PIXELS
from schemas.urls import canonical_url

KEY = "exact_key"
MOST_BUCKETS = 1024
_SHARDS_A_BUCKET = 4
_COLUMNS = {"sha256": "sha256", "pixels": PIXELS, "url": "url", "text": "caption", "uid": UID}
_HEX = ("sha256", "pixels")


def buckets_for(shards: int) -> int:
    """Into how many buckets the rows of so many shards are keyed: each gets the rows of some, few streams a shard."""
    return min(MOST_BUCKETS, max(1, shards // _SHARDS_A_BUCKET))


def keyed_rows(rows: ImageRows, options: ExactOptions, buckets: int) -> Iterator[tuple[int, bytes]]:
    """The rows of a shard that have the key, in buckets by the first bytes of its SHA-256."""
    column = _COLUMNS[options.by]
    table = rows.candidates([] if column in (UID, PIXELS) else [column], options.keep)
    if column == PIXELS:
        table = table.append_column(column, rows.column(column).take(pa.array(row_of(table[ID].to_numpy()))))
    keys = [_digest(options.by, value) for value in table[column].to_pylist()]
    table = table.select([name for name in table.column_names if name == UID or name != column])
    table = table.append_column(KEY, pa.array(keys, pa.binary())).filter(pc.field(KEY).is_valid())
    bucket = np.array([int.from_bytes(key[:4], "big") % buckets for key in table[KEY].to_pylist()], dtype=np.int64)
    order = np.argsort(bucket, kind="stable")
    for number, here in runs(bucket[order]):
        yield number, pack(table.take(pa.array(order[here])).combine_chunks())


def _digest(by: str, value: str | None) -> bytes | None:
    if value is None:
        return None
    if by in _HEX:
        return bytes.fromhex(value)
    return hashlib.sha256((canonical_url(value) if by == "url" else value).encode("utf-8", "surrogatepass")).digest()


def settle_bucket(blobs: Iterable[bytes], carry: Sequence[str] = ()) -> Iterator[tuple[int, bytes]]:
    """The members of the groups of one bucket, by the shard that they are in. carry: see settle."""
    table = unpack_all(blobs)
    if table is None:
        return
    labels = np.asarray(table[KEY].combine_chunks().dictionary_encode().indices, dtype=np.int64)
    yield from by_shard(settle(table.drop_columns([KEY]), labels, carry=carry))


def exact_table(rows: ImageRows, options: ExactOptions, settled: Iterable[bytes]) -> pa.Table:
    """The sidecar of a shard."""
    return group_columns(options.label, rows.uids(), rows.places(), unpack_all(settled))


def by_shard(settled: pa.Table) -> Iterator[tuple[int, bytes]]:
    """A settled table in parts, one a shard; the table is in the order of ids."""
    for shard, here in runs(shard_of(settled[ID].to_numpy())):
        yield shard, pack(settled[here])
