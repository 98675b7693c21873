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

from filters.repetition import repeated_shares

_CLASSES = {"alnum": 1, "letter_or_mark": 2, "digit": 4, "upper": 8, "letter": 16, "space": 32, "ascii": 64}
_SEEN = 128
# Classes of the code points met so far; two threads that fill one entry write the same value.
_classes = np.zeros(0x110000, dtype=np.uint8)


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
        running = np.zeros(len(marked) + 1, dtype=np.int32)
        np.cumsum(marked, dtype=np.int32, out=running[1:])
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
        """The share of each text's `length`-character sequences that its most repeated ones are."""
        return repeated_shares(self.codes, self.lengths, length=length)


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
