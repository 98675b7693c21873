"""Facts of a text: lengths, ratios, repetition, and what it looks like. Needs no picture.

In: a column of texts, null counting as empty. Out: one column per fact. `text_facts` computes just the facts that
are asked for, over a whole column at once, so that rules over texts run before any download at its speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import Characters
from filters.scorer import Batch, Column, Scorer, Scores, option
from filters.text_patterns import PATTERNS, matches
from filters.words import PHRASE_LENGTH, Words
from schemas.refusal import Refusal, unknown

REPETITION_LENGTH = 10
# So much at once: bounds memory, and keeps the code points of a slice near the processor.
_ROWS = 16_384
_BYTES = 4 << 20

_COUNTS: Mapping[str, tuple[pa.DataType, str]] = {
    "text_length": (pa.int32(), "characters (Unicode code points)"),
    "word_count": (pa.int32(), "words, divided by white space"),
    "alnum_ratio": (pa.float32(), "share of characters that are letters or digits, 0 to 1; 0 for the empty text"),
    "special_ratio": (
        pa.float32(),
        "share of characters that are neither letters nor marks (punctuation, symbols, digits, white space), 0 to 1; "
        "0 for the empty text",
    ),
    "digit_ratio": (pa.float32(), "share of characters that are decimal digits, 0 to 1"),
    "upper_ratio": (pa.float32(), "share of letters that are upper case, 0 to 1"),
    "ascii_ratio": (pa.float32(), "share of characters in ASCII, 0 to 1; 1 for the empty text"),
    "character_repetition": (
        pa.float32(),
        f"share of the text's {REPETITION_LENGTH}-character sequences that its most repeated ones are, 0 (none occurs "
        "twice) to 1",
    ),
    "word_repetition": (
        pa.float32(),
        "share of the words that stood in the text before, case ignored, 0 (all differ) to less than 1",
    ),
    "phrase_repetition": (
        pa.float32(),
        f"share of the sequences of {PHRASE_LENGTH} words that occur in the text more than once, case ignored, 0 to 1",
    ),
}
FACTS: Mapping[str, tuple[pa.DataType, str]] = {
    **_COUNTS,
    **{name: (pa.bool_(), pattern.meaning) for name, pattern in PATTERNS.items()},
}


def text_facts(texts: pa.Array | pa.ChunkedArray, names: Iterable[str] | None = None) -> pa.Table:
    """The facts named (all by default), one row per text."""
    wanted = list(FACTS) if names is None else list(names)
    for name in wanted:
        if name not in FACTS:
            raise unknown("text fact", name, FACTS)
    schema = pa.schema([(name, FACTS[name][0]) for name in wanted])
    chunks = [texts] if isinstance(texts, pa.Array) else texts.chunks
    tables = [_measure(each, schema) for chunk in chunks for each in slices(chunk)]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def slices(texts: pa.Array) -> Iterator[pa.Array]:
    """The texts in pieces of bounded rows and, single texts excepted, bounded bytes."""
    sizes = pc.fill_null(pc.binary_length(texts.cast(pa.large_string())), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(sizes)
    first = 0
    while first < len(texts):
        limit = int(ends[first] - sizes[first]) + _BYTES
        last = min(max(int(np.searchsorted(ends, limit, side="right")), first + 1), first + _ROWS, len(texts))
        yield texts[first:last]
        first = last


def _measure(texts: pa.Array, schema: pa.Schema) -> pa.Table:
    facts = _Facts(texts)
    return pa.table([facts.of(field.name).cast(field.type) for field in schema], schema=schema)


@dataclass(frozen=True, kw_only=True)
class TextFacts(Scorer):
    """Lengths, ratios, repetition; file names, boilerplate, URL, e-mail, phone number, from the text alone.

    Character repetition is that of the ROOTS corpus with sequences of ten characters: of k different sequences the
    floor(sqrt(k)) most frequent count, where they occur more than once.
    """

    name: ClassVar[str] = "text_facts"
    version: ClassVar[int] = 2
    source: ClassVar[str] = (
        "character repetition: Laurencon et al., 'The BigScience ROOTS Corpus', 2022, as in data-juicer's "
        "character_repetition_filter; special characters are told by Unicode category, not by data-juicer's list"
    )

    text: str = option("text", "the column of texts")

    def check(self) -> None:
        if not self.text:
            raise Refusal("scorer 'text_facts': `text` must name a column of texts; given ''")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(self.column(name), type_, meaning) for name, (type_, meaning) in FACTS.items())

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def score(self, batch: Batch, model: Any) -> Scores:
        facts = text_facts(batch.table[self.text])
        return Scores(facts.rename_columns([self.column(name) for name in facts.column_names]))


class _Facts:
    """Facts of one column of texts, each computed when first asked for."""

    def __init__(self, texts: pa.Array) -> None:
        self._texts = pc.fill_null(texts.cast(pa.large_string()), "")

    def of(self, name: str) -> pa.Array:
        if name in PATTERNS:
            return matches(self._texts, PATTERNS[name])
        if name in _REPEATED:
            return pa.array(_REPEATED[name](self.words))
        return pa.array(_MEASURES[name](self.characters))

    @cached_property
    def characters(self) -> Characters:
        return Characters(self._texts)

    @cached_property
    def words(self) -> Words:
        return Words(self._texts)


def _share(part: np.ndarray, whole: np.ndarray, *, of_nothing: float = 0.0) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), of_nothing).astype(np.float32)


_MEASURES: Mapping[str, Callable[[Characters], np.ndarray]] = {
    "text_length": lambda text: text.lengths,
    "word_count": lambda text: text.words(),
    "alnum_ratio": lambda text: _share(text.count("alnum"), text.lengths),
    "special_ratio": lambda text: _share(text.lengths - text.count("letter_or_mark"), text.lengths),
    "digit_ratio": lambda text: _share(text.count("digit"), text.lengths),
    "upper_ratio": lambda text: _share(text.count("upper"), text.count("letter")),
    "ascii_ratio": lambda text: _share(text.count("ascii"), text.lengths, of_nothing=1.0),
    "character_repetition": lambda text: text.repetition(REPETITION_LENGTH),
}
_REPEATED: Mapping[str, Callable[[Words], np.ndarray]] = {
    "word_repetition": Words.repetition,
    "phrase_repetition": Words.phrase_repetition,
}
