"""Counting keys over any number of parts, exactly and in bounded memory: keys in buckets, totals back to the parts.

In: for each part, its keys and how often it has each, one row a key. Out: for each part, the totals of its keys over
all parts; and how many keys have which total. A stage wires it so:

    by_bucket(counted, buckets, part) # one part    -> (bucket, blob): group by bucket
    settle(blobs)                     # one bucket  -> its totals, and (part, blob): group by part
    counted.with_totals(blobs)        # one part    -> the totals of its keys

A bucket holds one entry for each part that has a key: ENTRIES_PER_BUCKET on average, whatever the size of the corpus,
and a key that all parts share is one entry a part. Sums do not depend on the order in which anything arrives, nor on
the number of buckets. What a part counted itself and no other did is not sent back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_jobs.corpus.hashing import KeyIndex, Keys
from beam_jobs.matching.vectors import runs

Counts = NDArray[np.int64]

ENTRIES_PER_BUCKET = 2_000_000
NOBODY = -1
_HEADER = struct.Struct("<qqq")
_COUNT = np.dtype("<u4")
_TOTAL = np.dtype("<i8")


@dataclass(frozen=True)
class Counted:
    """Different keys in ascending order, and a count for each."""

    keys: Keys
    counts: Counts

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, keys: Keys) -> Counts:
        """The counts of these keys, each of which must be here."""
        return self.counts[KeyIndex(self.keys).find(keys)]

    def at(self, keys: Keys) -> Counts:
        """The counts of these keys, 0 of those that are not here."""
        places = KeyIndex(self.keys).find(keys)
        return np.where(places >= 0, np.append(self.counts, 0)[places], 0)

    def pack(self) -> bytes:
        """As bytes, for `totals_of`."""
        return _pack(NOBODY, 1, self.keys, self.counts, _TOTAL)

    def with_totals(self, blobs: Iterable[bytes]) -> Counted:
        """The totals over all parts, given what buckets sent to this one."""
        counts, index = self.counts.copy(), KeyIndex(self.keys)
        for blob in blobs:
            _, _, keys, totals = _unpack(blob, _TOTAL)
            counts[index.find(keys)] = totals
        return Counted(self.keys, counts)


@dataclass(frozen=True)
class Spectrum:
    """How many keys have which total; totals in ascending order."""

    totals: Counts
    keys: Counts

    @staticmethod
    def of(totals: Counts) -> Spectrum:
        return Spectrum(*(each.astype(np.int64) for each in np.unique(totals, return_counts=True)))

    @staticmethod
    def joined(spectra: Sequence[Spectrum]) -> Spectrum:
        """Of all their keys, which differ."""
        if not spectra:
            return Spectrum(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        totals, inverse = np.unique(np.concatenate([each.totals for each in spectra]), return_inverse=True)
        keys = np.zeros(len(totals), dtype=np.int64)
        np.add.at(keys, inverse, np.concatenate([each.keys for each in spectra]))
        return Spectrum(totals, keys)

    def rank(self, totals: Counts) -> Counts:
        """The lowest place of keys with these totals when all stand in a row, the greatest total first at place 1."""
        above = np.concatenate([np.cumsum(self.keys[::-1])[::-1], np.zeros(1, dtype=np.int64)])
        return 1 + above[np.searchsorted(self.totals, totals, side="right")]


def count(keys: Keys, counts: Counts | None = None) -> Counted:
    """The different keys with the sums of their counts, of 1 each when none are given."""
    if counts is None:
        found, times = np.unique(keys, return_counts=True)
        return Counted(found, times.astype(np.int64))
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    sums = np.add.reduceat(counts, first) if len(first) else counts
    return Counted(keys[first], sums.astype(np.int64))


def join_counted(several: Sequence[Counted]) -> Counted:
    """The sums of several."""
    return count(np.concatenate([each.keys for each in several]), np.concatenate([each.counts for each in several]))


def totals_of(blobs: Iterable[bytes]) -> Counted:
    """Of all buckets together, each packed, whose keys differ."""
    found = [_unpack(blob, _TOTAL)[2:] for blob in blobs if blob]
    none = Counted(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))
    return join_counted([none, *(Counted(keys, counts.astype(np.int64)) for keys, counts in found)])


def bucket_count(entries: float) -> int:
    """How many buckets hold so many entries, each in the memory of one worker."""
    return max(1, -(-int(entries) // ENTRIES_PER_BUCKET))


def by_bucket(found: Counted, buckets: int, *, part: int = NOBODY, counted: bool = True) -> Iterator[tuple[int, bytes]]:
    """The entries by the bucket of their key.

    part: who is to be told the totals. counted: whether the counts are part of the totals, or only what the part will
    take the totals for unless it is told otherwise.
    """
    bucket = (found.keys % np.uint64(buckets)).astype(np.int64)
    order = np.argsort(bucket, kind="stable")
    keys, counts = found.keys[order], found.counts[order]
    for number, here in runs(bucket[order]):
        yield number, _pack(part, int(counted), keys[here], counts[here], _COUNT)


def settle(blobs: Iterable[bytes]) -> tuple[Counted, Iterator[tuple[int, bytes]]]:
    """The totals of one bucket, and for each part those that differ from what it takes them for."""
    found = [_unpack(blob, _COUNT) for blob in blobs]
    lengths = [len(keys) for _, _, keys, _ in found]
    return _settle(
        np.concatenate([keys for _, _, keys, _ in found]),
        np.concatenate([counts for _, _, _, counts in found]),
        parts=np.repeat(np.array([part for part, *_ in found], dtype=np.int32), lengths),
        counted=np.repeat(np.array([is_counted for _, is_counted, *_ in found], dtype=np.bool_), lengths),
    )


def _settle(
    keys: Keys, counts: NDArray[np.integer], *, parts: NDArray[np.int32], counted: NDArray[np.bool_]
) -> tuple[Counted, Iterator[tuple[int, bytes]]]:
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    totals = np.add.reduceat(np.where(counted, counts, 0)[order].astype(np.int64), first)
    each = np.repeat(totals, np.diff(np.r_[first, len(keys)]))
    parts = parts[order]
    told = np.flatnonzero((each != counts[order]) & (parts != NOBODY))
    some = totals > 0
    return Counted(keys[first][some], totals[some]), _answers(keys[told], each[told], parts[told])


def _answers(keys: Keys, totals: Counts, parts: NDArray[np.int32]) -> Iterator[tuple[int, bytes]]:
    order = np.argsort(parts, kind="stable")
    keys, totals = keys[order], totals[order]
    for part, here in runs(parts[order]):
        yield part, _pack(part, 1, keys[here], totals[here], _TOTAL)


def _pack(part: int, counted: int, keys: Keys, counts: Counts, kind: np.dtype[np.integer]) -> bytes:
    return _HEADER.pack(part, counted, len(keys)) + keys.astype("<u8").tobytes() + counts.astype(kind).tobytes()


def _unpack(blob: bytes, kind: np.dtype[np.integer]) -> tuple[int, int, Keys, NDArray[np.integer]]:
    part, counted, entries = _HEADER.unpack_from(blob)
    keys = np.frombuffer(blob, dtype="<u8", count=entries, offset=_HEADER.size)
    counts = np.frombuffer(blob, dtype=kind, count=entries, offset=_HEADER.size + keys.nbytes)
    return part, counted, keys, counts
