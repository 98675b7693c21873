"""How much of each text its most repeated sequences of characters are.

In: the code points of many texts, one text after another, and how many each has. Out: one share per text. A first
look, by short hashes, finds the texts that may repeat anything, which few do; 64 bits of hash decide for those.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# So many texts are sorted at once: their number stands in the upper bits of a key, a sequence's hash in the others.
_ROW_BITS = 11
_SHORT_HASH_BITS = 32 - _ROW_BITS
_HASH_BITS = 64 - _ROW_BITS
_BASE = 0x9E3779B97F4A7C15


def repeated_shares(codes: np.ndarray, lengths: np.ndarray, *, length: int) -> np.ndarray:
    """The share of each text's `length`-character sequences that its most repeated ones are.

    Of k different sequences the floor(sqrt(k)) most frequent count, those that occur once excepted.
    """
    shares = np.zeros(len(lengths), dtype=np.float32)
    parts = [_may_repeat(part, each, length) for part, each in _blocks(codes, lengths)]
    if parts and (may := np.concatenate(parts)).any():
        found = [_shares(part, each, length) for part, each in _blocks(codes[np.repeat(may, lengths)], lengths[may])]
        shares[may] = np.concatenate(found)
    return shares


def _blocks(codes: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A few texts at a time: their codes and lengths."""
    begin = 0
    for first in range(0, len(lengths), 1 << _ROW_BITS):
        some = lengths[first : first + (1 << _ROW_BITS)]
        end = begin + int(some.sum())
        yield codes[begin:end], some
        begin = end


def _may_repeat(codes: np.ndarray, lengths: np.ndarray, length: int) -> np.ndarray:
    """False for texts that repeat no sequence; sequences that cross into the next text, and chance, make some True."""
    keys = _hashes(codes, length, np.uint32) >> np.uint32(_ROW_BITS)
    keys |= np.repeat(np.arange(len(lengths), dtype=np.uint32) << np.uint32(_SHORT_HASH_BITS), lengths)[: len(keys)]
    keys.sort()
    again = keys[1:][keys[1:] == keys[:-1]] >> np.uint32(_SHORT_HASH_BITS)
    may: np.ndarray = np.bincount(again, minlength=len(lengths)) > 0
    return may & (lengths > length)


def _shares(codes: np.ndarray, lengths: np.ndarray, length: int) -> np.ndarray:
    """The shares of texts that are longer than a sequence."""
    texts, sequences = len(lengths), lengths - length + 1
    keys = _hashes(codes, length, np.uint64) >> np.uint64(_ROW_BITS)
    keys |= np.repeat(np.arange(texts, dtype=np.uint64) << np.uint64(_HASH_BITS), lengths)[: len(keys)]
    within = np.ones(len(codes), dtype=bool)
    within[(np.cumsum(lengths)[:, None] - np.arange(1, length)).ravel()] = False
    keys = keys[within[: len(keys)]]
    keys.sort()
    equal = np.zeros(len(keys) + 1, dtype=bool)
    np.equal(keys[1:], keys[:-1], out=equal[1:-1])
    begins = np.flatnonzero(equal[1:] & ~equal[:-1])
    counts = np.flatnonzero(equal[:-1] & ~equal[1:]) - begins + 1
    row_of = (keys[begins] >> np.uint64(_HASH_BITS)).astype(np.int64)
    different = sequences - np.bincount(row_of, weights=counts - 1, minlength=texts)
    eligible = np.sqrt(different).astype(np.int64)
    order = np.lexsort((-counts, row_of))
    row_of, counts = row_of[order], counts[order]
    several = np.bincount(row_of, minlength=texts)
    rank = np.arange(len(row_of)) - np.repeat(np.cumsum(several) - several, several)
    counted = rank < eligible[row_of]
    repeated = np.bincount(row_of[counted], weights=counts[counted], minlength=texts)
    return np.asarray(repeated / sequences, dtype=np.float32)


def _hashes(codes: np.ndarray, length: int, kind: type[np.uint32] | type[np.uint64]) -> np.ndarray:
    """A hash of the `length` codes from each position on, put together from hashes of powers of two."""
    if len(codes) < length:
        return np.zeros(0, dtype=kind)
    bits = np.dtype(kind).itemsize * 8

    def power(exponent: int) -> np.unsignedinteger:
        return kind(pow(_BASE, exponent, 1 << bits))

    piece: np.ndarray = codes.astype(kind, copy=False)
    width = 1
    whole: np.ndarray = np.zeros(0, dtype=kind)
    done = 0
    while True:
        if length & width:
            count = len(codes) - done - width + 1
            behind = piece[done : done + count]
            whole = whole[:count] * power(width) + behind if done else behind
            done += width
        if done == length:
            break
        piece = piece[:-width] * power(width) + piece[width:]
        width *= 2
    mixed: np.ndarray = (whole ^ (whole >> kind(bits // 2))) * power(1)
    return mixed
