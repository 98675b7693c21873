"""Which scripts a text is written in: the dominant one, its share, and whether several are mixed.

In: a column of texts, null counting as empty. Out: one column per fact. A letter's script is told by its Unicode name,
looked up once per different character; digits, punctuation, marks and symbols have none. Chinese characters, kana,
bopomofo and Hangul count as one script, since one language writes them side by side.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.characters import Characters
from filters.scorer import Batch, Column, Scorer, Scores, option
from filters.text_facts import slices
from schemas.refusal import Refusal

# First word of a letter's Unicode name to the ISO 15924 code of its script.
_SCRIPTS = {
    "LATIN": "Latn", "GREEK": "Grek", "CYRILLIC": "Cyrl", "CJK": "Hani", "IDEOGRAPHIC": "Hani", "HIRAGANA": "Hira",
    "KATAKANA": "Kana", "KATAKANA-HIRAGANA": "Kana", "BOPOMOFO": "Bopo", "HANGUL": "Hang", "ARABIC": "Arab",
    "HEBREW": "Hebr", "ARMENIAN": "Armn", "GEORGIAN": "Geor", "DEVANAGARI": "Deva", "BENGALI": "Beng",
    "GURMUKHI": "Guru", "GUJARATI": "Gujr", "ORIYA": "Orya", "TAMIL": "Taml", "TELUGU": "Telu", "KANNADA": "Knda",
    "MALAYALAM": "Mlym", "SINHALA": "Sinh", "THAI": "Thai", "LAO": "Laoo", "TIBETAN": "Tibt", "MYANMAR": "Mymr",
    "KHMER": "Khmr", "ETHIOPIC": "Ethi", "MONGOLIAN": "Mong", "SYRIAC": "Syrc", "THAANA": "Thaa", "CHEROKEE": "Cher",
    "TIFINAGH": "Tfng", "COPTIC": "Copt",
}  # fmt: skip
NO_SCRIPT, OTHER_SCRIPT = "Zyyy", "Zzzz"
_CODES = (NO_SCRIPT, OTHER_SCRIPT, *dict.fromkeys(_SCRIPTS.values()))
_NUMBER = {code: number for number, code in enumerate(_CODES)}
_EAST_ASIAN = tuple(_NUMBER[code] for code in ("Hani", "Hira", "Kana", "Bopo", "Hang"))
_ALIKE = np.isin(np.arange(len(_CODES)), [_NUMBER[code] for code in ("Latn", "Grek", "Cyrl")])
_UNSEEN = 255
# Scripts of the code points met so far; two threads that fill one entry write the same value.
_scripts = np.full(0x110000, _UNSEEN, dtype=np.uint8)


def script_facts(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Columns script, script_share, mixed_scripts and mixed_word, one row per text."""
    chunks = [texts] if isinstance(texts, pa.Array) else texts.chunks
    tables = [_measure(piece.cast(pa.large_string()).fill_null("")) for chunk in chunks for piece in slices(chunk)]
    return pa.concat_tables(tables) if tables else _SCHEMA.empty_table()


_SCHEMA = pa.schema(
    [("script", pa.string()), ("script_share", pa.float32()), ("mixed_scripts", pa.bool_()), ("mixed_word", pa.bool_())]
)
_MEANINGS = (
    f"ISO 15924 code of the script with most letters: Latn, Cyrl, Arab ... Jpan with kana, Kore with Hangul, Hani; "
    f"{OTHER_SCRIPT} for a rarer one, {NO_SCRIPT} without any letter",
    "share of the letters that are of it, 0 to 1; 0 without any letter",
    "whether the letters are of more than one script",
    "whether Latin, Greek and Cyrillic letters stand side by side in a word, as where look-alikes hide a word",
)


def _measure(texts: pa.LargeStringArray) -> pa.Table:
    characters = Characters(texts)
    rows = np.repeat(np.arange(len(texts)), characters.lengths)
    scripts = _scripts_of(characters.codes)
    counts = np.bincount(rows * len(_CODES) + scripts, minlength=len(texts) * len(_CODES)).reshape(-1, len(_CODES))
    counts[:, 0] = 0
    kana = counts[:, [_NUMBER["Hira"], _NUMBER["Kana"]]].any(axis=1)
    hangul = counts[:, _NUMBER["Hang"]] > 0
    counts[:, _NUMBER["Hani"]] = counts[:, _EAST_ASIAN].sum(axis=1)
    counts[:, _EAST_ASIAN[1:]] = 0
    letters, dominant = counts.sum(axis=1), counts.argmax(axis=1)
    codes = np.array(_CODES, dtype=object)[dominant]
    east = dominant == _NUMBER["Hani"]
    codes[east & hangul], codes[east & kana] = "Kore", "Jpan"
    codes[letters == 0] = NO_SCRIPT
    share = counts.max(axis=1) / np.maximum(letters, 1)
    alike = _ALIKE[scripts]
    beside = alike[1:] & alike[:-1] & (scripts[1:] != scripts[:-1]) & (rows[1:] == rows[:-1])
    mixed_word = np.bincount(rows[1:][beside], minlength=len(texts)) > 0
    columns = [codes, share.astype(np.float32), (counts > 0).sum(axis=1) > 1, mixed_word]
    return pa.table([pa.array(column) for column in columns], schema=_SCHEMA)


def _scripts_of(codes: np.ndarray) -> np.ndarray:
    found = _scripts[codes]
    missing = np.unique(codes[found == _UNSEEN])
    if len(missing):
        _scripts[missing] = [_script_of(chr(code)) for code in missing.tolist()]
        found = _scripts[codes]
    return found


def _script_of(character: str) -> int:
    if unicodedata.category(character)[0] != "L":
        return _NUMBER[NO_SCRIPT]
    words = [word for word in unicodedata.name(character, "").split() if word not in ("FULLWIDTH", "HALFWIDTH")]
    if not words or words[0] in ("MODIFIER", "MATHEMATICAL", "MICRO", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER"):
        return _NUMBER[NO_SCRIPT]
    if words[0] in ("FEMININE", "MASCULINE", "ANGSTROM", "KELVIN"):
        return _NUMBER["Latn"]
    return _NUMBER[_SCRIPTS.get(words[0], OTHER_SCRIPT)]


@dataclass(frozen=True, kw_only=True)
class ScriptFacts(Scorer):
    """The scripts of the text: the dominant one, its share, and whether several are mixed."""

    name: ClassVar[str] = "script_facts"
    version: ClassVar[int] = 1
    source: ClassVar[str] = "Unicode character names, as Python's unicodedata has them; script codes of ISO 15924"

    text: str = option("text", "the column of texts")

    def check(self) -> None:
        if not self.text:
            raise Refusal("scorer 'script_facts': `text` must name a column of texts; given ''")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        fields = zip(_SCHEMA, _MEANINGS, strict=True)
        return tuple(Column(self.column(field.name), field.type, meaning) for field, meaning in fields)

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def score(self, batch: Batch, model: Any) -> Scores:
        return Scores(script_facts(batch.table[self.text]).rename_columns(list(self.outputs)))
