"""An alt-text cleaned of what its page did to it; the raw one stays what the uid is made of.

In: a text. Out: the text with entities resolved that were escaped twice, without tags, controls, invisible and
direction characters, in NFC, each run of white space one space and none at the ends. Words stay as they are.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>|<!--.{0,500}?-->", re.DOTALL)
_ENTITY = re.compile(r"&#?\w{1,32};")
# C0 and C1 controls, soft hyphens, zero-width and direction marks, byte-order marks, specials; joiners of scripts stay
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
# what no text of plain words, single spaces apart, has
_ODD = "[^!-%'-;=-~ ]|^ | $|  "


def clean_alt(text: str) -> str:
    """The cleaned text."""
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(_INVISIBLE.sub("", text).split())


def clean_alts(texts: Sequence[str], column: pa.Array) -> pa.Array:
    """The cleaned texts of a column; most are clean, and those that are not are found at once."""
    odd = pc.match_substring_regex(column, _ODD)
    if not odd.true_count:
        return column
    places = pc.indices_nonzero(odd).to_pylist()
    return pc.replace_with_mask(column, odd, pa.array([clean_alt(texts[place]) for place in places], pa.string()))
