"""Which entries of a vocabulary texts hold, as MetaCLIP finds them: whole words, side by side.

In: a column of texts. Out: (row, entry) for each entry that a row holds, each once, in the order of rows and entries.

MetaCLIP puts a blank around each of , . ; : ? ! ` and at both ends of a text, makes blanks of tabs and line ends, and
finds an entry with a blank before and behind it as a substring. Since every such match begins and ends at blanks, the
matches are the runs of words between single blanks that spell an entry; so words become keys, once for each different
one, and an automaton that steps from word to word over all texts at once finds them all: a transition is a look-up of
(state, word) among the beginnings of entries. It holds two numbers an entry, where one that steps from letter to
letter holds states for each letter; and its answers are the same (two different runs meet with a chance of 2^-64).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.corpus.hashing import KeyIndex, Keys, Places, different, joined, words_of
from filters.scorer import require

_PUNCTUATION = "[,.;:?!`]"
_BLANKS = "[\t\n\r]"
# Scripts whose words have no spaces between them.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FFF),  # radicals of Han
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)


@dataclass(frozen=True)
class Found:
    """Rows and the entries that they hold; each (row, entry) once, in ascending order."""

    rows: Places
    entries: Places

    @staticmethod
    def of(rows: Places, entries: Places, size: int) -> Found:
        """rows and entries side by side, in any order and repeated; size: of the vocabulary."""
        both = different(rows * size + entries)
        return Found(both // size, both % size)


class Matcher(Protocol):
    """Finds the entries of a vocabulary."""

    def find(self, texts: pa.StringArray) -> Found:
        """The entries of each text."""


def spaced(texts: pa.StringArray) -> pa.StringArray:
    """Texts with a blank around punctuation, and nothing but blanks between words."""
    wrapped = pc.replace_substring_regex(texts, _PUNCTUATION, r" \0 ")
    return pc.replace_substring_regex(wrapped, _BLANKS, " ")


class PaddedMatcher:
    """Entries between blanks, found word by word."""

    def __init__(self, entries: pa.StringArray) -> None:
        words = words_of(pc.split_pattern(entries, " "))
        lengths = words.lengths
        states = words.keys[words.starts[:-1]]
        rows = np.arange(len(entries), dtype=np.int64)
        self._size = len(entries)
        self._steps: list[_Step] = []
        for length in range(1, int(lengths.max()) + 1):
            if length > 1:
                states = joined(states, words.keys[words.starts[:-1][rows] + length - 1])
            ends = lengths[rows] == length
            self._steps.append(_Step(states, rows, ends))
            states, rows = states[~ends], rows[~ends]

    def find(self, texts: pa.StringArray) -> Found:
        words = words_of(pc.split_pattern(spaced(texts), " "))
        row_of = words.rows()
        last = words.starts[1:][row_of]
        at = np.arange(len(words.keys), dtype=np.int64)
        states = words.keys
        rows, entries = [], []
        for length, step in enumerate(self._steps, start=1):
            if length > 1:
                inside = at + length - 1 < last[at]
                at, states = at[inside], states[inside]
                states = joined(states, words.keys[at + length - 1])
            found, entry = step.entries_at(states)
            rows.append(row_of[at[found]])
            entries.append(entry)
            going = step.goes_on(states)
            at, states = at[going], states[going]
        return Found.of(np.concatenate(rows), np.concatenate(entries), self._size)


class _Step:
    """The states after so many words: those at which entries end, with the entry, and those that entries go on from."""

    def __init__(self, states: Keys, rows: Places, ends: NDArray[np.bool_]) -> None:
        order = np.argsort(states[ends], kind="stable")
        self._ends = KeyIndex(states[ends][order])
        self._entries = rows[ends][order]
        self._goes = KeyIndex(different(states[~ends]))

    def entries_at(self, states: Keys) -> tuple[Places, Places]:
        """Which of the states are the end of an entry, and of which."""
        places = self._ends.find(states)
        there = np.flatnonzero(places >= 0)
        return there, self._entries[places[there]]

    def goes_on(self, states: Keys) -> NDArray[np.bool_]:
        return self._goes.find(states) >= 0


class ScriptMatcher:
    """Entries between blanks, but with none beside a letter of a script that has no spaces between its words."""

    def __init__(self, entries: pa.StringArray) -> None:
        library = require("ahocorasick_rs", install="pairmill[concepts]", wanted_by="boundary: scripts")
        patterns = [_padded(entry) for entry in entries.to_pylist()]
        self._size = len(patterns)
        self._automaton = library.AhoCorasick(patterns, implementation=library.Implementation.ContiguousNFA)

    def find(self, texts: pa.StringArray) -> Found:
        rows: list[int] = []
        entries: list[int] = []
        for row, text in enumerate(spaced(texts).to_pylist()):
            found = [match[0] for match in self._automaton.find_matches_as_indexes(f" {text} ", overlapping=True)]
            rows += [row] * len(found)
            entries += found
        return Found.of(np.array(rows, dtype=np.int64), np.array(entries, dtype=np.int64), self._size)


def make_matcher(entries: pa.StringArray, boundary: str) -> Matcher:
    """The matcher of a boundary of `schemas.corpus`."""
    return ScriptMatcher(entries) if boundary == "scripts" else PaddedMatcher(entries)


def _padded(entry: str) -> str:
    return f"{_blank_beside(entry[0])}{entry}{_blank_beside(entry[-1])}"


def _blank_beside(letter: str) -> str:
    return " " if letter.isalnum() and not _within(ord(letter), _UNSPACED) else ""


def _within(code: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in spans)
