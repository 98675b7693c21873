"""Texts and words as 64-bit keys, and keys put together: what is counted and shuffled instead of the texts.

In: Arrow arrays of texts. Out: NumPy arrays of keys, the same on every machine. Two different texts share a key with a
chance of 2^-64: of n different keys about n^2 / 2^65 pairs are counted as one, three pairs among ten billion.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Places = NDArray[np.int64]
Number = TypeVar("Number", bound=np.integer[Any])

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_BITS = 53


def text_keys(texts: pa.Array | pa.ChunkedArray, *, salt: bytes = b"") -> Keys:
    """The keys of texts, null as the empty text: the first 8 bytes of a BLAKE2b of the UTF-8, each text hashed once."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    found = pc.fill_null(array, "").dictionary_encode()
    person = salt.ljust(hashlib.blake2b.PERSON_SIZE, b"\0")
    digests = [
        hashlib.blake2b(text, digest_size=8, person=person).digest()
        for text in found.dictionary.cast(pa.large_binary()).to_pylist()
    ]
    return np.frombuffer(b"".join(digests), dtype="<u8")[found.indices.to_numpy()].astype(np.uint64)


def text_key(text: str, *, salt: bytes = b"") -> np.uint64:
    """The key of one text."""
    key: np.uint64 = text_keys(pa.array([text]), salt=salt)[0]
    return key


def spread(keys: Keys) -> Keys:
    """Keys whose every bit depends on every bit of these (the finalizer of SplitMix64)."""
    keys = (keys ^ (keys >> np.uint64(30))) * _FIRST
    keys = (keys ^ (keys >> np.uint64(27))) * _SECOND
    return keys ^ (keys >> np.uint64(31))


def joined(first: Keys | np.uint64, second: Keys | np.uint64) -> Keys:
    """One key of two, in their order."""
    with np.errstate(over="ignore"):
        return spread(np.asarray(first * _GOLDEN + (second ^ (second >> np.uint64(32))), dtype=np.uint64))


def draws(keys: Keys) -> NDArray[np.float64]:
    """Numbers from 0 to below 1, drawn by keys."""
    return (spread(keys) >> np.uint64(64 - _BITS)).astype(np.float64) / 2.0**_BITS


def different(values: NDArray[Number]) -> NDArray[Number]:
    """The different values in ascending order."""
    ordered = np.sort(values)
    return np.asarray(ordered[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]])


class KeyIndex:
    """Where keys stand in an ordered array of different ones: a table by their upper bits, then a step or two."""

    def __init__(self, ordered: Keys) -> None:
        bits = max(1, len(ordered).bit_length())
        self._shift = np.uint64(64 - bits)
        self._ordered = ordered
        first = np.arange(1 << bits, dtype=np.uint64) << self._shift
        self._first = np.append(np.searchsorted(ordered, first), len(ordered))

    def find(self, keys: Keys) -> Places:
        """The place of each key, -1 where it is not there."""
        slots = (keys >> self._shift).astype(np.int64)
        found = np.full(len(keys), -1, dtype=np.int64)
        if not len(self._ordered):
            return found
        place, end = self._first[slots], self._first[slots + 1]
        left = np.flatnonzero(place < end)
        while len(left):
            here = place[left]
            same = self._ordered[here] == keys[left]
            found[left[same]] = here[same]
            place[left] += 1
            left = left[~same & (here + 1 < end[left])]
        return found


@dataclass(frozen=True)
class Words:
    """The words of a column of texts: their keys, one text after another; text i has those from starts[i] on."""

    keys: Keys
    starts: Places

    @property
    def lengths(self) -> Places:
        return np.diff(self.starts)

    def rows(self) -> Places:
        """For each word the row that it is in."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int64), self.lengths)


def split_words(texts: pa.Array | pa.ChunkedArray) -> Words:
    """The words of texts in lower case, divided by white space; a null has none."""
    trimmed = pc.utf8_trim_whitespace(pc.utf8_lower(_flat(texts)))
    found = words_of(pc.utf8_split_whitespace(trimmed))
    # What is empty is split into one empty word.
    empty = np.asarray(pc.equal(pc.binary_length(trimmed), 0)).astype(bool)
    kept = ~np.repeat(empty, found.lengths)
    lengths = np.where(empty, 0, found.lengths)
    return Words(found.keys[kept], starts_of(lengths))


def words_of(split: pa.ListArray) -> Words:
    """The words of texts that are split already."""
    lengths = pc.list_value_length(split).to_numpy(zero_copy_only=False).astype(np.int64)
    return Words(text_keys(split.flatten()), starts_of(lengths))


def starts_of(lengths: Places) -> Places:
    """Where each of consecutive runs of these lengths begins, and where the last ends."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _flat(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return pc.fill_null(array.cast(pa.large_string()), "")
