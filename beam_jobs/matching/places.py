"""The first rows of each key, counted out: places from 0, over any number of shards, by narrow records.

In: keys of rows with a similarity. Out: of each key the most similar rows, first those of each shard, then those of
all, ties by uid; and the place of each, sent back to its shard. A key's records are never more than `most` a shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from beam_jobs.matching.vectors import Indices, runs
from schemas.keys import uid_order

Ranked = npt.NDArray[np.void]
RANKED = np.dtype([("key", "<i8"), ("by", "<f8"), ("order", "<u8"), ("shard", "<i4"), ("row", "<i4"), ("place", "<i4")])


def rank_rows(
    keys: npt.NDArray[np.integer],
    similarities: npt.NDArray[np.floating],
    uids: Sequence[str],
    *,
    shard: int,
    rows: Indices,
    most: int,
) -> Ranked:
    """The first `most` rows of each key of a shard."""
    ranked = np.zeros(len(keys), dtype=RANKED)
    ranked["key"], ranked["by"] = keys, -similarities.astype(np.float64)
    ranked["order"] = [uid_order(uid) for uid in uids]
    ranked["shard"], ranked["row"] = shard, rows
    return placed(ranked, most)


def merge(blobs: Iterable[bytes], most: int) -> Ranked:
    """The first `most` rows of each key, of many shards' first rows; held are never much more than those."""
    held, waiting = np.zeros(0, dtype=RANKED), 0
    parts: list[Ranked] = []
    for blob in blobs:
        parts.append(np.frombuffer(blob, dtype=RANKED))
        waiting += len(parts[-1])
        if waiting > 1_000_000 + len(held):
            held, parts, waiting = placed(np.concatenate([held, *parts]), most), [], 0
    return placed(np.concatenate([held, *parts]), most)


def placed(ranked: Ranked, most: int) -> Ranked:
    """Sorted by key, then by place, with places filled in; none beyond `most`."""
    names = ("row", "shard", "order", "by", "key")
    ranked = ranked[np.lexsort([ranked[name] for name in names])].copy()
    starts = np.flatnonzero(np.r_[True, ranked["key"][1:] != ranked["key"][:-1]][: len(ranked)])
    sizes = np.diff(np.r_[starts, len(ranked)])
    ranked["place"] = np.arange(len(ranked)) - np.repeat(starts, sizes)
    return ranked[ranked["place"] < most]


def by_shard(ranked: Ranked) -> Iterator[tuple[int, bytes]]:
    """The records of each shard."""
    ordered = ranked[np.argsort(ranked["shard"], kind="stable")]
    for shard, here in runs(ordered["shard"]):
        yield shard, ordered[here].tobytes()


def place_column(blobs: Iterable[bytes], rows: int) -> npt.NDArray[np.int32]:
    """The place of each row of a shard, -1 where it has none."""
    places = np.full(rows, -1, np.int32)
    for blob in blobs:
        ranked = np.frombuffer(blob, dtype=RANKED)
        places[ranked["row"]] = ranked["place"]
    return places
