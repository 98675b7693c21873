"""Which of equal rows stays, settled over any number of shards by narrow keys: no Beam, no payload.

In: a shard's table. Out: the rows of each shard that lose against an equal one elsewhere. A stage wires it so:

    keyed = key_rows(table, step.columns, prefer=step.prefer, shard=shard, rows=alive)   # one shard
    first, lost = settle(keyed)                  # inside the shard, so that a key common to all is one row a shard
    by_bucket(first, buckets)                    # -> (bucket, bytes): group by bucket
    first, lost = settle(unpack(blobs, len(step.prefer)))                                # one bucket
    by_shard(lost)                               # -> (shard, bytes), of both kinds of losers: group by shard
    rows_lost(blobs)                             # the shard's rows to drop, sorted

Keyed rows are numpy records (see `layout`): bytes of a fixed size, which any runner carries as they are. Of equal
rows the first stays by the preferences, then by the order of uids, then by shard and row: the same on every run,
whatever the order of arrival and the number of buckets.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.keys import uid_order
from schemas.recipe_steps import Preference

Keyed = npt.NDArray[np.void]
ROWS_PER_BUCKET = 4_000_000
_LOST = np.dtype("<i4")


def layout(preferences: int) -> np.dtype[np.void]:
    """A keyed row: 16 bytes of key, then what orders equal rows, lowest first, then where the row stands."""
    wanted = [(f"by_{number}", "<f8") for number in range(preferences)]
    return np.dtype([("key_0", "<u8"), ("key_1", "<u8"), *wanted, ("order", "<u8"), ("shard", "<i4"), ("row", "<i4")])


def bucket_count(rows: int) -> int:
    """How many buckets hold so many keyed rows, each in the memory of one worker."""
    return max(1, -(-rows // ROWS_PER_BUCKET))


def key_rows(
    table: pa.Table,
    columns: Sequence[str],
    *,
    prefer: Sequence[Preference] = (),
    shard: int,
    rows: npt.NDArray[np.integer] | None = None,
    nulls_compete: bool = False,
    seed: int | None = None,
) -> Keyed:
    """The keys of a shard's rows. Rows with a null among `columns` have no equals and are left out, unless
    `nulls_compete`: then null is a value like any other.

    table: `uid`, `columns` and what `prefer` names (numbers or booleans; null and NaN come last).
    rows: the positions in `table` that take part; all when None. seed: of another order of uids than the usual.
    """
    taken = np.arange(table.num_rows) if rows is None else np.asarray(rows)
    if not nulls_compete:
        whole = np.ones(table.num_rows, dtype=bool)
        for name in columns:
            whole &= np.asarray(pc.is_valid(table[name]))
        taken = taken[whole[taken]]
    chosen = table.take(pa.array(taken, pa.int64()))
    keyed = np.empty(len(taken), dtype=layout(len(prefer)))
    if columns:
        digests = np.frombuffer(b"".join(_digests(chosen, columns)), dtype="<u8").reshape(-1, 2)
        keyed["key_0"], keyed["key_1"] = digests[:, 0], digests[:, 1]
    else:
        keyed["key_0"] = keyed["key_1"] = 0
    for number, preference in enumerate(prefer):
        keyed[f"by_{number}"] = rank_value(chosen[preference.column], descending=preference.descending)
    salt = "" if seed is None else f"{seed}:"
    keyed["order"] = [uid_order(salt + uid) for uid in chosen["uid"].to_pylist()]
    keyed["shard"] = shard
    keyed["row"] = taken
    return keyed


def rank_value(column: pa.ChunkedArray, *, descending: bool) -> npt.NDArray[np.float64]:
    """A column as numbers whose lowest is the best; null and NaN are infinite, that is last."""
    numbers = np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")), dtype=np.float64)
    ranked = -numbers if descending else numbers
    return np.where(np.isnan(ranked), np.inf, ranked)


def sort_keyed(keyed: Keyed) -> Keyed:
    """By key, then best first."""
    names = keyed.dtype.names or ()
    return keyed[np.lexsort([keyed[name] for name in reversed(names)])]


def settle(keyed: Keyed) -> tuple[Keyed, Keyed]:
    """The first row of each key, and the others. Both are sorted by key, so the input's order does not matter."""
    keyed = sort_keyed(keyed)
    beats = np.ones(len(keyed), dtype=bool)
    beats[1:] = (keyed["key_0"][1:] != keyed["key_0"][:-1]) | (keyed["key_1"][1:] != keyed["key_1"][:-1])
    return keyed[beats], keyed[~beats]


def by_bucket(keyed: Keyed, buckets: int) -> Iterator[tuple[int, bytes]]:
    """Keyed rows by the bucket that their key falls in."""
    return _split(keyed, (keyed["key_0"] % np.uint64(buckets)).astype(np.int64))


def by_shard(lost: Keyed) -> Iterator[tuple[int, bytes]]:
    """The rows that lost, by their shard."""
    return _split(lost["row"].astype(_LOST), lost["shard"].astype(np.int64))


def unpack(blobs: Iterable[bytes], preferences: int) -> Keyed:
    """The keyed rows of a bucket."""
    return np.frombuffer(b"".join(blobs), dtype=layout(preferences))


def rows_lost(blobs: Iterable[bytes]) -> npt.NDArray[np.int32]:
    """A shard's rows to drop, sorted."""
    return np.sort(np.frombuffer(b"".join(blobs), dtype=_LOST))


def _split(values: npt.NDArray[np.generic], owner: npt.NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    arranged = np.argsort(owner, kind="stable")
    values, owner = values[arranged], owner[arranged]
    edges = np.flatnonzero(np.diff(owner)) + 1
    for start, end in zip((0, *edges), (*edges, len(owner)), strict=True):
        if start < end:
            yield int(owner[start]), values[start:end].tobytes()


def _digests(table: pa.Table, columns: Sequence[str]) -> Iterator[bytes]:
    """16 bytes a row, of the values with their lengths, so that ("ab", "c") is not ("a", "bc"); null has length -1."""
    texts = [table[name].cast(pa.string()).to_pylist() for name in columns]
    lengths = struct.Struct(f"<{len(columns)}q").pack
    for values in zip(*texts, strict=True):
        encoded = [(value or "").encode() for value in values]
        prefix = lengths(*(-1 if value is None else len(text) for value, text in zip(values, encoded, strict=True)))
        yield hashlib.blake2b(prefix + b"".join(encoded), digest_size=16).digest()
