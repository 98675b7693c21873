"""Perceptual duplicates, step by step, as plain functions on bytes: what the Beam stage wires together.

    keyed_bands       a shard's hashes        -> its rows in 16 bands, parted by the first bits of the band
    edges_of_band     rows of one part        -> edges between hashes that differ in few bits
    label_components  all edges               -> the component of each row, by shard
    keyed_members     components of a shard   -> its members, by component, with what chooses the survivor
    perceptual_table  settled members         -> the sidecar of a shard

Hashes and row numbers travel: 40 bytes a row and band.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_jobs.matching.components import Edges, components, spanning_forest
from beam_jobs.matching.exact_steps import KEY
from beam_jobs.matching.hamming import BAND_BITS, BANDS, BYTES, Hashes, band_values, close_hashes, distances
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack_all
from beam_jobs.matching.settle import ID, row_ids, row_of, shard_of
from beam_jobs.matching.sidecars import group_columns
from beam_jobs.matching.vectors import Indices, runs
from schemas.grouping import PerceptualOptions

PART_ROWS = 4_000_000
HASH = "hash"
_VALUE, _VISITOR, _LABEL = "value", "visitor", "label"


def prefix_bits(rows: int) -> int:
    """By how many first bits of its value a band is parted, so that a part holds about PART_ROWS of so many rows."""
    return min(BAND_BITS // 2, max(0, -(-rows // PART_ROWS) - 1).bit_length())


def hashed_rows(rows: ImageRows, options: PerceptualOptions) -> tuple[Indices, Hashes]:
    """The rows of a shard that have a hash of enough quality, and the hashes."""
    texts = rows.column(options.hash).to_pylist()
    quality = np.nan_to_num(rows.column(f"{options.hash}_quality").cast(pa.float64()).to_numpy(), nan=-1)
    good = [row for row, text in enumerate(texts) if text is not None and quality[row] >= options.quality]
    places = np.array(good, dtype=np.int64)
    data = bytes.fromhex("".join(texts[row] for row in good))
    return places, np.frombuffer(data, np.uint8).reshape(len(good), BYTES)


def keyed_bands(rows: ImageRows, options: PerceptualOptions, parted: int) -> Iterator[tuple[int, bytes]]:
    """A shard's rows for each part of each band. Rows also visit the parts that one flip of a 0 among the parting bits
    leads to, with the bit flipped, so that of two rows that differ there one finds the other."""
    places, hashes = hashed_rows(rows, options)
    ids = row_ids(rows.shard, places)
    for band in range(BANDS):
        values = band_values(hashes, band)
        flips = [np.uint16(1 << bit) for bit in range(BAND_BITS - parted, BAND_BITS)]
        at = [np.arange(len(ids)), *(np.flatnonzero(values & flip == 0) for flip in flips)]
        seen = [values, *(values[rows_at] | flip for rows_at, flip in zip(at[1:], flips, strict=True))]
        place, value = np.concatenate(at), np.concatenate(seen)
        visitor = np.arange(len(place)) >= len(ids)
        part = value.astype(np.int64) >> (BAND_BITS - parted)
        order = np.argsort(part, kind="stable")
        for number, here in runs(part[order]):
            chosen = order[here]
            table = pa.table({ID: ids[place[chosen]], _VALUE: value[chosen], _VISITOR: pa.array(visitor[chosen])})
            yield band << BAND_BITS | number, pack(table.append_column(HASH, _as_binary(hashes[place[chosen]])))


def edges_of_band(blobs: Iterable[bytes], options: PerceptualOptions, parted: int) -> bytes | None:
    """Edges among the rows of one part of a band; None where there are none."""
    table = unpack_all(blobs)
    if table is None:
        return None
    table = table.sort_by([(ID, "ascending"), (_VISITOR, "ascending")])
    edges = close_hashes(
        _as_hashes(table[HASH]),
        table[_VALUE].to_numpy(),
        table[_VISITOR].to_numpy(zero_copy_only=False),
        options.distance,
        BAND_BITS - parted,
    ).renamed(table[ID].to_numpy())
    return pack(pa.table({"a": edges.a, "b": edges.b, "cosine": edges.cosine})) if len(edges) else None


def label_components(blobs: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The members of components, by the shard that they are in."""
    table = unpack_all(blobs)
    if table is None:
        return
    edges = spanning_forest(Edges(*(table[name].to_numpy() for name in ("a", "b", "cosine"))))
    ids, labels = components(edges)
    for shard, here in runs(shard_of(ids)):
        yield shard, pack(pa.table({ID: ids[here], _LABEL: labels[here]}))


def keyed_members(
    rows: ImageRows, options: PerceptualOptions, blobs: Iterable[bytes], buckets: int
) -> Iterator[tuple[int, bytes]]:
    """The members of components in a shard, in buckets of components."""
    labels = unpack_all(blobs)
    if labels is None:
        return
    places, hashes = hashed_rows(rows, options)
    members = row_of(labels[ID].to_numpy())
    table = rows.candidates([], options.keep)
    table = table.take(pa.array(np.searchsorted(row_of(table[ID].to_numpy()), members)))
    table = table.append_column(KEY, labels[_LABEL])
    table = table.append_column(HASH, _as_binary(hashes[np.searchsorted(places, members)])).combine_chunks()
    bucket = labels[_LABEL].to_numpy() % buckets
    order = np.argsort(bucket, kind="stable")
    for number, here in runs(bucket[order]):
        yield number, pack(table.take(pa.array(order[here])).combine_chunks())


def perceptual_table(rows: ImageRows, options: PerceptualOptions, settled: Iterable[bytes]) -> pa.Table:
    """The sidecar: group columns, and in how many bits a copy's hash differs from its survivor's."""
    uids = rows.uids()
    places, hashes = hashed_rows(rows, options)
    members = unpack_all(settled)
    made = group_columns(options.label, uids, places, members)
    apart: NDArray[np.int32] = np.full(len(uids), -1, np.int32)
    if members is not None:
        copies = members.filter(pa.array(members[ID].to_numpy() != members["survivor_id"].to_numpy()))
        at = row_of(copies[ID].to_numpy())
        own = hashes[np.searchsorted(places, at)]
        apart[at] = distances(own, _as_hashes(copies[f"survivor_{HASH}"]))
    made = made.append_column(f"{options.label}_distance", pa.array(apart, mask=apart < 0))
    return made.select(["uid", *(name for name in options.columns if name in made.column_names)])


def _as_binary(hashes: Hashes) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(hashes))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(BYTES), len(hashes), [None, data])


def _as_hashes(column: pa.ChunkedArray) -> Hashes:
    return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(len(column), BYTES)
