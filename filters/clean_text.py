"""The text as a cleaner one: RedCaps' chain of rewriting.

In: a column of texts. Out: the rewritten text; the original stays what it is. `write: {caption: text_clean}` takes it
into the training shards. The steps, in this order, each of which may be left out:

    repair     mojibake and HTML entities put right (ftfy); compatibility forms parted (NFKD)
    lower      lower case
    brackets   what stands in round and square brackets goes, the brackets with it
    sizes      sizes such as 1920x1080 or 40 * 60 go
    users      @name becomes <usr>
    ascii      what is not ASCII goes
    spaces     white space becomes one space, none at the ends
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import pyarrow as pa

from filters.scorer import Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal, unknown

_BRACKETS = re.compile(r"[\[(].*?[\])]", re.DOTALL)
_SIZES = re.compile(r"\d+\s*[x\u00d7*,]\s*\d+", re.IGNORECASE)
_USERS = re.compile(r"(?<!\S)@[A-Za-z0-9_.]+")


def _repaired(text: str) -> str:
    from ftfy import fix_text

    return unicodedata.normalize("NFKD", fix_text(text, normalization="NFC"))


STEPS: Mapping[str, Callable[[str], str]] = {
    "repair": _repaired,
    "lower": str.lower,
    "brackets": lambda text: _BRACKETS.sub("", text),
    "sizes": lambda text: _SIZES.sub("", text),
    "users": lambda text: _USERS.sub("<usr>", text),
    "ascii": lambda text: text.encode("ascii", "ignore").decode(),
    "spaces": lambda text: " ".join(text.split()),
}


def clean(text: str, steps: tuple[str, ...] = tuple(STEPS)) -> str:
    """The text after these steps, whatever the order in which they are named."""
    for name, rewrite in STEPS.items():
        if name in steps:
            text = rewrite(text)
    return text


@dataclass(frozen=True, kw_only=True)
class CleanText(Scorer):
    """The text repaired, in lower case, without brackets, sizes, @names and what is not ASCII: RedCaps' captions."""

    name: ClassVar[str] = "clean_text"
    version: ClassVar[int] = 1
    source: ClassVar[str] = "Desai et al., 'RedCaps: web-curated image-text data created by the people', 2021; ftfy"

    text: str = option("text", "the column of texts")
    steps: tuple[str, ...] = option(tuple(STEPS), f"what is done, of {', '.join(STEPS)}")

    def check(self) -> None:
        if not self.text:
            raise Refusal("scorer 'clean_text': `text` must name a column of texts; given ''")
        if not self.steps:
            raise Refusal("scorer 'clean_text': steps: expected at least one; given none")
        for step in self.steps:
            if step not in STEPS:
                raise unknown("step", step, STEPS, where="scorer 'clean_text'")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        meaning = "the text after these steps, null where the text is null"
        return (Column(self.column("text_clean"), pa.string(), meaning),)

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def score(self, batch: Batch, model: Any) -> Scores:
        rewrite = lru_cache(maxsize=len(batch) or 1)(lambda text: clean(text, self.steps))
        cleaned = [None if text is None else rewrite(text) for text in batch.table[self.text].to_pylist()]
        return Scores(pa.table({self.columns[0].name: pa.array(cleaned, pa.string())}))
