"""Matches of new images with known ones: the best of each kind, and what a row's sidecar is told of them.

In: matches (a row, a kind, the known image, how far apart) in any order. Out: for each row and kind the nearest, ties
by index, then by uid; the sidecar of a shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack_all
from beam_jobs.matching.settle import ID, UID, row_of, shard_of
from beam_jobs.matching.vectors import Indices, runs
from schemas.grouping_known import KNOWN_KINDS, KnownOptions

# id: of the new row. apart: 0 for what is equal, bits of a perceptual hash, 1 - cosine. known: the known image's uid.
MATCHES = pa.schema(
    [(ID, pa.int64()), ("kind", pa.int8()), ("apart", pa.float64()), ("index", pa.int32()), ("known", pa.string())]
)


def make_matches(
    ids: Indices, kind: str, apart: NDArray[np.float64], index: int, known: pa.Array | pa.ChunkedArray
) -> pa.Table:
    """Matches of one kind with one index."""
    columns = [
        pa.array(ids, pa.int64()),
        pa.array(np.full(len(ids), KNOWN_KINDS.index(kind), np.int8)),
        pa.array(apart, pa.float64()),
        pa.array(np.full(len(ids), index, np.int32)),
        known,
    ]
    return pa.table(columns, schema=MATCHES)


def best_matches(parts: Sequence[pa.Table]) -> pa.Table:
    """Of each row and kind the nearest match."""
    table = pa.concat_tables([MATCHES.empty_table(), *parts]).combine_chunks()
    ranks = np.asarray(pc.rank(table["known"].combine_chunks(), tiebreaker="dense"), dtype=np.int64)
    ids, kind = table[ID].to_numpy(), table["kind"].to_numpy()
    order = np.lexsort((ranks, table["index"].to_numpy(), table["apart"].to_numpy(), kind, ids))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (ids[order][1:] != ids[order][:-1]) | (kind[order][1:] != kind[order][:-1])
    return table.take(pa.array(order[first])).combine_chunks()


def by_shard(parts: Sequence[pa.Table]) -> Iterator[tuple[int, bytes]]:
    """The best matches, by the shard of the new row."""
    best = best_matches(parts)
    for shard, here in runs(shard_of(best[ID].to_numpy())):
        yield shard, pack(best[here])


def known_table(rows: ImageRows, options: KnownOptions, names: Sequence[str], sent: Iterable[bytes]) -> pa.Table:
    """The sidecar: of the kinds in which a row is known, the one that says most; and how near by bits and cosine."""
    uids = rows.uids()
    received = unpack_all(sent)
    best = best_matches([] if received is None else [received])
    at, kind = row_of(best[ID].to_numpy()), best["kind"].to_numpy()
    known = np.array(best["known"].to_pylist(), dtype=object)
    index, apart = best["index"].to_numpy(), best["apart"].to_numpy()
    of, where, how = (np.full(len(uids), None, dtype=object) for _ in range(3))
    # Sorted by row and kind: the first of a row says most, so it is written last.
    of[at[::-1]] = known[::-1]
    where[at[::-1]] = np.array(names, dtype=object)[index[::-1]]
    how[at[::-1]] = np.array(KNOWN_KINDS, dtype=object)[kind[::-1]]
    label = options.label
    columns = {
        UID: uids.combine_chunks(),
        f"{label}_duplicate_of": pa.array(of, pa.string()),
        f"{label}_index": pa.array(where, pa.string()),
        f"{label}_kind": pa.array(how, pa.string()),
    }
    if "perceptual" in options.by:
        bits = kind == KNOWN_KINDS.index("perceptual")
        columns[f"{label}_distance"] = _placed(len(uids), at[bits], apart[bits], pa.int32())
    if "near" in options.by:
        near = kind == KNOWN_KINDS.index("near")
        columns[f"{label}_similarity"] = _placed(len(uids), at[near], 1 - apart[near], pa.float32())
    return pa.table(columns).select([UID, *options.columns])


def _placed(rows: int, at: Indices, values: NDArray[np.float64], kind: pa.DataType) -> pa.Array:
    whole = np.full(rows, np.nan)
    whole[at] = values
    return pa.array(whole, mask=np.isnan(whole)).cast(kind, safe=False)
