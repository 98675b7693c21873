"""New images that are equal to known ones by a key: uid, URL, SHA-256, pixels or text.

In: an image shard; a part of an index. Out: keys of both in buckets, by kind and the first bytes of the key; the
matches of a bucket. 16 bytes of a key travel, with the row's id or the known image's uid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.known.index import KEY_BYTES, KnownIndex
from beam_jobs.known.matches import by_shard, make_matches
from beam_jobs.known.new_rows import days_of
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack_all
from beam_jobs.matching.settle import ID, UID, row_ids
from beam_jobs.matching.vectors import runs
from schemas.grouping_known import KNOWN_KINDS, PIXELS, KnownOptions
from schemas.urls import canonical_url

EQUAL_KINDS = tuple(kind for kind in KNOWN_KINDS if kind not in ("perceptual", "near"))
_COLUMNS = {"uid": UID, "url": "url", "sha256": "sha256", "pixels": PIXELS, "text": "caption"}
_KEY, _DAY, _INDEX = "key", "day", "index"


def key_of(kind: str, value: str | None) -> bytes | None:
    """The key of a value: the first bytes of a hash that it is itself, else of its own SHA-256."""
    if value is None:
        return None
    if kind in ("sha256", "pixels"):
        return bytes.fromhex(value)[:KEY_BYTES]
    text = canonical_url(value) if kind == "url" else value
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def kinds_of(options: KnownOptions) -> list[str]:
    """The kinds of equality that are asked for, what says most first."""
    return [kind for kind in EQUAL_KINDS if kind in options.by]


def new_keys(rows: ImageRows, options: KnownOptions, buckets: int) -> Iterator[tuple[int, bytes]]:
    """The keys of a shard's rows that have an image, by bucket."""
    places, days = rows.places(), days_of(rows, options)
    for kind in kinds_of(options):
        values = rows.column(_COLUMNS[kind]).take(pa.array(places)).to_pylist()
        keys = pa.array([key_of(kind, value) for value in values], pa.binary())
        table = pa.table({_KEY: keys, ID: row_ids(rows.shard, places), _DAY: days[places]})
        yield from _in_buckets(table, kind, buckets)


def known_keys(
    index: KnownIndex, number: int, part: int, options: KnownOptions, buckets: int
) -> Iterator[tuple[int, bytes]]:
    """The keys of a part of an index, by bucket."""
    for kind in kinds_of(options):
        if kind not in index.holds:
            continue
        table = index.read_rows(part, list(dict.fromkeys([UID, kind])))
        if kind == "uid":
            keys = pa.array([key_of(kind, value) for value in table[UID].to_pylist()], pa.binary())
        else:
            keys = pc.binary_slice(table[kind].cast(pa.binary()), 0, KEY_BYTES).combine_chunks()
        numbers = np.full(table.num_rows, number, np.int32)
        yield from _in_buckets(pa.table({_KEY: keys, _INDEX: numbers, UID: table[UID]}), kind, buckets)


def _in_buckets(table: pa.Table, kind: str, buckets: int) -> Iterator[tuple[int, bytes]]:
    table = table.filter(pc.field(_KEY).is_valid()).combine_chunks()
    heads = np.array([int.from_bytes(key[:4], "big") % buckets for key in table[_KEY].to_pylist()], np.int64)
    order = np.argsort(heads, kind="stable")
    for number, here in runs(heads[order]):
        yield EQUAL_KINDS.index(kind) * buckets + number, pack(table.take(pa.array(order[here])).combine_chunks())


def equal_matches(
    bucket: int, new: Iterable[bytes], known: Iterable[bytes], indexes: Sequence[KnownIndex], buckets: int
) -> Iterator[tuple[int, bytes]]:
    """The matches of a bucket, by shard: of known images with one key, that of the lowest uid."""
    rows, images = unpack_all(new), unpack_all(known)
    if rows is None or images is None:
        return
    kind = EQUAL_KINDS[bucket // buckets]
    images = images.sort_by([(_INDEX, "ascending"), (_KEY, "ascending"), (UID, "ascending")]).combine_chunks()
    days, found = rows[_DAY].to_numpy(), []
    for number, here in runs(images[_INDEX].to_numpy()):
        mine = images[here].combine_chunks()
        at = _positions(mine[_KEY], rows[_KEY])
        hits = np.flatnonzero((at >= 0) & (days >= indexes[number].since_day))
        uids = mine[UID].take(pa.array(at[hits]))
        found.append(make_matches(rows[ID].to_numpy()[hits], kind, np.zeros(len(hits)), number, uids))
    yield from by_shard(found)


def _positions(among: pa.ChunkedArray, wanted: pa.ChunkedArray) -> NDArray[np.int64]:
    """Where each wanted key stands first; -1 where it does not."""
    places = pc.index_in(wanted, value_set=among.combine_chunks())
    return np.asarray(pc.fill_null(places, -1), dtype=np.int64)
