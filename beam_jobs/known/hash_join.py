"""New images whose perceptual hash differs from a known one's in few bits: every pair up to the stated distance.

In: hashes of an image shard; those of a part of an index. Out: both in parts of bands (see matching/hamming.py), and
the matches of a part. A known image stands in each band under its value; a new one asks there for that value and for
those one bit away. Equal hashes ask once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_jobs.known.index import KnownIndex
from beam_jobs.known.matches import best_matches, by_shard, make_matches
from beam_jobs.known.new_rows import days_of
from beam_jobs.matching.hamming import BAND_BITS, BANDS, BYTES, Hashes, band_values, distances, ranges_of_pairs
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack_all
from beam_jobs.matching.settle import ID, UID, row_ids
from beam_jobs.matching.vectors import Indices, runs
from schemas.grouping_known import KnownOptions

HASH = "hash"
_VALUE, _GUEST, _DAY, _INDEX = "value", "guest", "day", "index"
_MATCHES_HELD = 1 << 20


def new_hashes(rows: ImageRows, options: KnownOptions) -> tuple[Indices, Hashes]:
    """The rows of a shard that have a hash of enough quality, and the hashes."""
    texts = rows.column(options.hash).to_pylist()
    quality = np.nan_to_num(rows.column(f"{options.hash}_quality").cast(pa.float64()).to_numpy(), nan=-1)
    good = [row for row, text in enumerate(texts) if text is not None and quality[row] >= options.quality]
    data = bytes.fromhex("".join(texts[row] for row in good))
    return np.array(good, dtype=np.int64), np.frombuffer(data, np.uint8).reshape(len(good), BYTES)


def known_hashes(index: KnownIndex, part: int, options: KnownOptions) -> tuple[pa.ChunkedArray, Hashes]:
    """The uids of a part's images that have such a hash, and the hashes."""
    table = index.read_rows(part, [UID, "perceptual", "quality"])
    quality = np.nan_to_num(table["quality"].cast(pa.float64()).to_numpy(), nan=-1)
    good = np.asarray(table["perceptual"].is_valid()) & (quality >= options.quality)
    table = table.filter(pa.array(good))
    return table[UID], _as_hashes(table["perceptual"])


def new_bands(rows: ImageRows, options: KnownOptions, parted: int) -> Iterator[tuple[int, bytes]]:
    """A shard's rows for each part of each band; they also ask in the parts that one flip of a parting bit leads to."""
    places, hashes = new_hashes(rows, options)
    ids, days = row_ids(rows.shard, places), days_of(rows, options)[places]
    for band in range(BANDS):
        values = band_values(hashes, band)
        flips = [np.uint16(1 << bit) for bit in range(BAND_BITS - parted, BAND_BITS)]
        asked = np.concatenate([values, *(values ^ flip for flip in flips)])
        row = np.tile(np.arange(len(ids)), 1 + len(flips))
        guest = np.arange(len(row)) >= len(ids)
        columns = {_VALUE: asked, _GUEST: guest, ID: ids[row], _DAY: days[row], HASH: _as_binary(hashes[row])}
        yield from _in_parts(pa.table(columns), band, parted)


def known_bands(
    index: KnownIndex, number: int, part: int, options: KnownOptions, parted: int
) -> Iterator[tuple[int, bytes]]:
    """The images of a part of an index for each part of each band."""
    if "perceptual" not in index.holds:
        return
    uids, hashes = known_hashes(index, part, options)
    numbers = np.full(len(uids), number, np.int32)
    for band in range(BANDS):
        columns = {_VALUE: band_values(hashes, band), _INDEX: numbers, UID: uids, HASH: _as_binary(hashes)}
        yield from _in_parts(pa.table(columns), band, parted)


def _in_parts(table: pa.Table, band: int, parted: int) -> Iterator[tuple[int, bytes]]:
    part = table[_VALUE].to_numpy().astype(np.int64) >> (BAND_BITS - parted)
    order = np.argsort(part, kind="stable")
    for number, here in runs(part[order]):
        yield band << BAND_BITS | number, pack(table.take(pa.array(order[here])).combine_chunks())


def close_matches(
    new: Iterable[bytes], known: Iterable[bytes], options: KnownOptions, indexes: Sequence[KnownIndex], parted: int
) -> Iterator[tuple[int, bytes]]:
    """The nearest known image of each row within the distance, as far as they meet in this part, by shard."""
    rows, images = unpack_all(new), unpack_all(known)
    if rows is None or images is None:
        return
    rows = rows.sort_by([(ID, "ascending"), (_GUEST, "ascending")]).combine_chunks()
    images = images.sort_by([(_INDEX, "ascending"), (UID, "ascending")]).combine_chunks()
    hashes, days = _as_hashes(rows[HASH]), rows[_DAY].to_numpy()
    values, guest = rows[_VALUE].to_numpy(), rows[_GUEST].to_numpy(zero_copy_only=False)
    asking, stands_for = _different(hashes, values, guest)
    found: list[pa.Table] = []
    for number, here in runs(images[_INDEX].to_numpy()):
        mine = images[here].combine_chunks()
        known_values, theirs = mine[_VALUE].to_numpy(), _as_hashes(mine[HASH])
        alone = _different(theirs, known_values, np.zeros(len(theirs), dtype=bool))[0]
        alone = alone[np.argsort(known_values[alone], kind="stable")]
        taken = np.flatnonzero(days >= indexes[number].since_day)
        near = _nearest(hashes, values, guest, asking, theirs, known_values, alone, options.distance, parted)
        at, bits = near[0][stands_for[taken]], near[1][stands_for[taken]]
        hit = at >= 0
        uids = mine[UID].take(pa.array(at[hit]))
        found.append(
            make_matches(rows[ID].to_numpy()[taken[hit]], "perceptual", bits[hit].astype(np.float64), number, uids)
        )
        if sum(part.num_rows for part in found) > _MATCHES_HELD:
            found = [best_matches(found)]
    yield from by_shard(found)


def _nearest(
    hashes: Hashes,
    values: NDArray[np.uint16],
    guest: NDArray[np.bool_],
    asking: Indices,
    theirs: Hashes,
    known_values: NDArray[np.uint16],
    alone: Indices,
    distance: int,
    parted: int,
) -> tuple[Indices, Indices]:
    """For each of the asking rows the position of the nearest known hash, -1 for none, and in how many bits it differs.

    alone: positions of different known hashes, by value; of equally near ones the first is taken.
    """
    far = np.int64(distance + 1)
    # Both in one number, so that the least is the nearest and then the first.
    best = np.full(len(asking), far * len(theirs), np.int64)
    ordered = known_values[alone]
    for flip in (np.uint16(0), *(np.uint16(1 << bit) for bit in range(BAND_BITS - parted))):
        who = np.arange(len(asking)) if flip == 0 else np.flatnonzero(~guest[asking])
        asked = values[asking[who]] ^ flip
        start, end = (np.searchsorted(ordered, asked, side=side).astype(np.int64) for side in ("left", "right"))
        for left, right in ranges_of_pairs(who, start, end, alone):
            apart = distances(hashes[asking[left]], theirs[right])
            close = apart <= distance
            np.minimum.at(best, left[close], apart[close] * len(theirs) + right[close])
    hit = best < far * len(theirs)
    return np.where(hit, best % max(1, len(theirs)), -1), np.where(hit, best // max(1, len(theirs)), far)


def _different(hashes: Hashes, values: NDArray[np.uint16], guest: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """The first row of each different (hash, value, guest), and for each row which of these it is."""
    words = np.ascontiguousarray(hashes).view(np.uint64)
    order = np.lexsort((np.arange(len(hashes)), guest, values, *words.T))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    fresh[1:] |= (values[order[1:]] != values[order[:-1]]) | (guest[order[1:]] != guest[order[:-1]])
    stands_for = np.empty(len(order), np.int64)
    stands_for[order] = np.cumsum(fresh) - 1
    return order[fresh].astype(np.int64), stands_for


def _as_binary(hashes: Hashes) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(hashes))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(BYTES), len(hashes), [None, data])


def _as_hashes(column: pa.ChunkedArray) -> Hashes:
    return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(len(column), BYTES)
