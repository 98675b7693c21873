"""A column of texts as one array of Unicode code points, and what is counted over it row by row.

In: an Arrow array of strings without nulls. Out: NumPy arrays, one number per text. Nothing loops over rows or
characters in Python; a character's class is looked up once per different character and kept.
"""

from __future__ import annotations

import unicodedata
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_CLASSES = {"alnum": 1, "letter_or_mark": 2, "digit": 4, "upper": 8, "letter": 16, "space": 32, "ascii": 64}
_SEEN = 128
# Classes of the code points met so far; two threads that fill one entry write the same value.
_classes = np.zeros(0x110000, dtype=np.uint8)

# A sorted key holds the row in its upper bits and a hash of the sequence in the others.
_ROW_BITS = 12
_HASH_BITS = 64 - _ROW_BITS
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xBF58476D1CE4E5B9)


class Characters:
    """The characters of all texts of a column, one text after another."""

    def __init__(self, texts: pa.LargeStringArray) -> None:
        self.lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
        self._ends = np.cumsum(self.lengths)
        self._starts = self._ends - self.lengths
        self.codes = np.frombuffer(_joined(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)

    @cached_property
    def _class(self) -> np.ndarray:
        found = _classes[self.codes]
        missing = np.unique(self.codes[found == 0])
        if len(missing):
            _classes[missing] = [_class_of(chr(code)) for code in missing.tolist()]
            found = _classes[self.codes]
        return found

    def _is(self, name: str) -> np.ndarray:
        return np.asarray(self._class & _CLASSES[name], dtype=bool)

    def _per_text(self, marked: np.ndarray) -> np.ndarray:
        running = np.zeros(len(marked) + 1, dtype=np.int64)
        np.cumsum(marked, out=running[1:])
        return np.asarray(running[self._ends] - running[self._starts])

    def count(self, name: str) -> np.ndarray:
        """How many characters of a class each text has."""
        return self._per_text(self._is(name))

    def words(self) -> np.ndarray:
        """How many words each text has, white space as `str.split` sees it."""
        space = self._is("space")
        starts = ~space
        starts[1:] &= space[:-1]
        first = self._starts[self.lengths > 0]
        starts[first] = ~space[first]
        return self._per_text(starts)

    def repetition(self, length: int) -> np.ndarray:
        """The share of each text's `length`-character sequences that its most repeated ones are.

        Of k different sequences the floor(sqrt(k)) most frequent count, those that occur once excepted.
        """
        shares = np.zeros(len(self.lengths), dtype=np.float32)
        hashes = _sequence_hashes(self.codes, length)
        if not len(hashes):
            return shares
        for first in range(0, len(self.lengths), 1 << _ROW_BITS):
            rows = slice(first, first + (1 << _ROW_BITS))
            shares[rows] = _repeated_shares(
                hashes, starts=self._starts[rows], sequences=np.maximum(self.lengths[rows] - length + 1, 0)
            )
        return shares


def _joined(texts: pa.LargeStringArray) -> str:
    """All texts as one string, taken from the array's own bytes."""
    if not len(texts):
        return ""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    if bounds[0] == bounds[-1]:
        return ""
    return bytes(memoryview(data)[bounds[0] : bounds[-1]]).decode("utf-8", "surrogatepass")


def _class_of(character: str) -> int:
    category = unicodedata.category(character)
    members = {
        "alnum": character.isalnum(),
        "letter_or_mark": category[0] in "LM",
        "digit": category == "Nd",
        "upper": category == "Lu",
        "letter": category[0] == "L",
        "space": character.isspace(),
        "ascii": character.isascii(),
    }
    return _SEEN | sum(_CLASSES[name] for name, is_member in members.items() if is_member)


def _sequence_hashes(codes: np.ndarray, length: int) -> np.ndarray:
    """A 64-bit hash of the `length` codes from each position on, put together from hashes of powers of two."""
    if len(codes) < length:
        return np.zeros(0, dtype=np.uint64)
    piece, width = codes.astype(np.uint64), 1
    whole, done = np.zeros(len(codes) + 1, dtype=np.uint64), 0
    while done < length:
        if length & width:
            count = len(codes) - done - width + 1
            whole = whole[:count] * _power(width) + piece[done : done + count]
            done += width
        piece = piece[:-width] * _power(width) + piece[width:]
        width *= 2
    return np.asarray((whole ^ (whole >> np.uint64(32))) * _MIX >> np.uint64(_ROW_BITS))


def _power(exponent: int) -> np.uint64:
    power: np.uint64 = np.uint64(pow(_BASE, exponent, 1 << 64))
    return power


def _repeated_shares(hashes: np.ndarray, *, starts: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """The shares of a few thousand texts, given where each begins and how many sequences it has."""
    total = int(sequences.sum())
    rows = np.repeat(np.arange(len(starts), dtype=np.uint64), sequences)
    behind = np.repeat(starts - (np.cumsum(sequences) - sequences), sequences)
    keys = hashes[behind + np.arange(total)] | rows << np.uint64(_HASH_BITS)
    keys.sort()
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if total else np.zeros(0, np.int64)
    if len(begins) == total:
        return np.zeros(len(starts), dtype=np.float32)
    counts = np.diff(begins, append=total)
    row_of = (keys[begins] >> np.uint64(_HASH_BITS)).astype(np.int64)
    eligible = np.sqrt(np.bincount(row_of, minlength=len(starts))).astype(np.int64)
    again = counts > 1
    row_of, counts = row_of[again], counts[again]
    order = np.lexsort((-counts, row_of))
    row_of, counts = row_of[order], counts[order]
    rank = np.arange(len(row_of)) - np.searchsorted(row_of, row_of)
    counted = rank < eligible[row_of]
    repeated = np.bincount(row_of[counted], weights=counts[counted], minlength=len(starts))
    return np.asarray(repeated / np.maximum(sequences, 1), dtype=np.float32)
