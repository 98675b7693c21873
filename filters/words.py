"""How often a column's texts say the same words again.

In: an Arrow array of strings without nulls. Out: NumPy arrays, one number per text. Words are divided by white space,
case ignored. Two different words are taken for one where 64 bits of their hashes agree.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa

PHRASE_LENGTH = 3
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


class Words:
    """The words of all texts of a column, one text after another, as hashes."""

    def __init__(self, texts: pa.LargeStringArray) -> None:
        import polars as pl

        found = pl.Series("text", texts).str.to_lowercase().str.extract_all(r"\S+")
        self.counts = found.list.len().to_numpy().astype(np.int64)
        self._hashes = found.explode().drop_nulls().hash(seed=0).to_numpy()
        self._rows = np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def _phrases(self) -> tuple[np.ndarray, np.ndarray]:
        """The row of each sequence of PHRASE_LENGTH words that lies in one text, and its hash."""
        count = max(len(self._hashes) - PHRASE_LENGTH + 1, 0)
        hashes = np.zeros(count, dtype=np.uint64)
        for place in range(PHRASE_LENGTH):
            hashes = hashes * _BASE + self._hashes[place : place + count]
        rows = self._rows[:count]
        whole = rows == self._rows[PHRASE_LENGTH - 1 :][:count]
        return rows[whole], (hashes * _MIX)[whole]

    def repetition(self) -> np.ndarray:
        """The share of each text's words that stood in it before."""
        distinct = _distinct(self._rows, self._hashes, len(self.counts))[0]
        return _share(self.counts - distinct, self.counts)

    def phrase_repetition(self) -> np.ndarray:
        """The share of each text's phrases that occur in it more than once."""
        rows, hashes = self._phrases
        once = _distinct(rows, hashes, len(self.counts))[1]
        total = np.bincount(rows, minlength=len(self.counts))
        return _share(total - once, total)


def _distinct(rows: np.ndarray, hashes: np.ndarray, texts: int) -> tuple[np.ndarray, np.ndarray]:
    """How many different hashes each row has, and how many that occur once."""
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    alone = first & np.append(first[1:], True)[: len(first)]
    return np.bincount(rows[first], minlength=texts), np.bincount(rows[alone], minlength=texts)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(part / np.maximum(whole, 1), dtype=np.float32)
