"""Addresses in texts: URLs, e-mail addresses, telephone numbers and @names, counted and, on request, masked.

In: a column of texts. Out: a count of each, and the text with each replaced by a word such as `<email>`. E-mail
addresses are looked for first, then URLs, telephone numbers and @names in what is left, so nothing counts twice. The
patterns run in Rust's regex engine, in time linear in the text; they know nothing of context and miss what is spelled
out ("jane at example dot org").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.scorer import Batch, Column, Scorer, Scores, option
from filters.text_patterns import EDGE, PATTERNS
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import polars as pl

# An address ends before the punctuation that follows it; what stands in the first group is left in place.
_REST = r"""(?:[^\s<>"'|]*[^\s<>"'|.,;:!?)\]}»”…])?"""
_TOP = rf"\.(?:com|net|org|edu|gov|info|io){EDGE}"
CONTACTS: Mapping[str, str] = {
    "email": f"(){PATTERNS['has_email'].expression}",
    "url": rf"(?i)(){EDGE}(?:(?:https?|ftp)://[^\s<>\"'|.,;:!?)]{_REST}|www\.[a-z0-9]{_REST}"
    rf"|[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?(?:\.[a-z0-9\-]+)*{_TOP}(?:/{_REST})?)",
    "phone": f"(){PATTERNS['has_phone'].expression}",
    "user": rf"(^|[^\w@./])@[A-Za-z0-9_][A-Za-z0-9_.]{{0,29}}{EDGE}",
}
_MEANINGS = {"email": "e-mail addresses", "url": "URLs", "phone": "telephone numbers", "user": "@names"}


def mask(texts: pl.Series, kind: str, word: str) -> pl.Series:
    """The texts with every address of a kind replaced by a word."""
    return texts.str.replace_all(CONTACTS[kind], f"${{1}}{word.replace('$', '$$')}")


@dataclass(frozen=True, kw_only=True)
class Contacts(Scorer):
    """How many URLs, e-mail addresses, telephone numbers and @names the text holds; on request the text without them.

    With `mask: true` there is one more column, `text_masked`, which `write: {caption: text_masked}` writes in place
    of the text.
    """

    name: ClassVar[str] = "contacts"
    version: ClassVar[int] = 1
    source: ClassVar[str] = "our own patterns; '<usr>' for an @name is RedCaps' (Desai et al., 2021)"

    text: str = option("text", "the column of texts")
    mask: bool = option(False, "whether to make the column `text_masked` too")
    email: str = option("<email>", "what takes the place of an e-mail address")
    url: str = option("<url>", "what takes the place of a URL")
    phone: str = option("<phone>", "what takes the place of a telephone number")
    user: str = option("<usr>", "what takes the place of an @name")

    def check(self) -> None:
        if not self.text:
            raise Refusal("scorer 'contacts': `text` must name a column of texts; given ''")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        counts = [
            Column(self.column(f"{kind}_count"), pa.int32(), f"{_MEANINGS[kind]} in the text") for kind in CONTACTS
        ]
        if not self.mask:
            return tuple(counts)
        meaning = "the text with each of them replaced by a word, null where the text is null"
        return (*counts, Column(self.column("text_masked"), pa.string(), meaning))

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def score(self, batch: Batch, model: Any) -> Scores:
        import polars as pl

        left = pl.Series("text", batch.table[self.text].cast(pa.large_string()))
        made: list[pl.Series] = []
        for kind, pattern in CONTACTS.items():
            made.append(left.fill_null("").str.count_matches(pattern))
            left = mask(left, kind, getattr(self, kind))
        if self.mask:
            made.append(left)
        columns = [column.to_arrow().cast(field.type) for column, field in zip(made, self.schema, strict=True)]
        return Scores(pa.table(columns, schema=self.schema))
