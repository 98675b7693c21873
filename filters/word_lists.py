"""Lists of words and phrases, and which texts hold an entry of one.

In: entries, or text files with one a line (`#` before a comment, .gz and the like read as they are named); a column of
texts. Out: for each text how many entries it holds, and the first of them. Case and Unicode form (NFKC) do not count.

An entry stands in a text as whole words: `bar` is in "Bar, grill" and "bar_3.jpg", not in "barn". Punctuation divides
words, so `long island` is in "Long-Island". An entry that has signs of its own (`b@r`, `c++`) is looked for to the
letter, between white space. Beside characters of scripts that put no space between words no boundary is asked for.
All entries are looked for at once (Aho-Corasick), in time linear in the text and the occurrences.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pyarrow as pa

from schemas.refusal import Refusal

if TYPE_CHECKING:
    import polars as pl

_LONGEST_ENTRY = 500
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_UNSPACED_NAMES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
# What may follow a word with signs of its own, and is none of them.
_CLOSING = r"""[.,;:!?)\]}"'»”…]+\s"""
# In an entry these divide words as spaces do; any other sign is looked for to the letter.
_DIVIDING = " -_'’"


@dataclass(frozen=True)
class WordList:
    """plain: entries of words alone. literal: those with signs of their own. Both as they are looked for."""

    plain: tuple[str, ...]
    literal: tuple[str, ...]

    def find(self, texts: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
        """How many entries each text holds, every occurrence counted, and the first of them, null where none."""
        import polars as pl

        told = pl.Series("text", texts.cast(pa.large_string())).fill_null("").str.normalize("NFKC").str.to_lowercase()
        # A character of a script without spaces stands between two of them, as in an entry.
        divided = (" " + told + " ").str.replace_all(f"([{_UNSPACED}])", " $1 ")
        counts, first = _found(divided.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " "), self.plain)
        if self.literal:
            spaced = (" " + told + " ").str.replace_all(_CLOSING, " ").str.replace_all(r"\s+", " ")
            more, signs = _found(spaced, self.literal)
            counts, first = counts + more, [word or sign for word, sign in zip(first, signs, strict=True)]
        return pa.array(counts, pa.int32()), pa.array([word and word.strip() for word in first], pa.string())


def _found(texts: pl.Series, entries: Sequence[str]) -> tuple[np.ndarray, list[str | None]]:
    """How often entries occur in each text, and the first of them."""
    counts = np.zeros(len(texts), dtype=np.int32)
    first: list[str | None] = [None] * len(texts)
    if entries:
        # Most texts hold none: telling so is cheaper than listing what they hold.
        held = texts.str.contains_any(list(entries))
        listed = texts.filter(held).str.extract_many(list(entries), overlapping=True).list
        counts[held.to_numpy()] = listed.len().to_numpy()
        for row, word in zip(held.arg_true().to_list(), listed.first().to_list(), strict=True):
            first[row] = word
    return counts, first


def make_word_list(entries: Iterable[str]) -> WordList:
    """Entries in the form that they are looked for in; those of nothing but signs and spaces are left out."""
    plain: dict[str, None] = {}
    literal: dict[str, None] = {}
    for entry in entries:
        told = " ".join(unicodedata.normalize("NFKC", entry).lower().rstrip(".,;:!?)]}\"'»”… ").split())
        if not any(map(_is_of_word, told)):
            continue
        if all(_is_of_word(sign) or sign in _DIVIDING for sign in told):
            plain[f" {_divided(told)} "] = None
        else:
            literal[f" {told} "] = None
    return WordList(tuple(plain), tuple(literal))


def _divided(told: str) -> str:
    """The words of an entry with one space between them, and around characters of scripts without spaces."""
    spaced = (f" {sign} " if _is_unspaced(sign) else sign if _is_of_word(sign) else " " for sign in told)
    return " ".join("".join(spaced).split())


def _is_of_word(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LMN"


def _is_unspaced(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LM" and unicodedata.name(letter, "").startswith(_UNSPACED_NAMES)


def read_entries(file: str, *, wanted_by: str) -> tuple[list[str], str]:
    """The entries of a file, and the SHA-256 of its bytes; a Refusal where it cannot be read as a list."""
    try:
        with fsspec.open(file, "rb") as opened:
            digest = hashlib.sha256(opened.read()).hexdigest()
        with fsspec.open(file, "rt", encoding="utf-8-sig", compression="infer") as opened:
            lines = [line.strip() for line in opened]
    except (OSError, ValueError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Refusal(f"{wanted_by}: {file} cannot be read as a list of words: {reason}") from error
    entries = [line for line in lines if line and not line.startswith("#")]
    if not entries:
        raise Refusal(f"{wanted_by}: {file} lists nothing")
    too_long = next((entry for entry in entries if len(entry) > _LONGEST_ENTRY or "\x00" in entry), None)
    if too_long is not None:
        raise Refusal(f"{wanted_by}: {file} is no list of words, one a line: it holds {too_long[:60]!r}")
    return entries, digest
