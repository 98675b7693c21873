"""Where pairs come from: `KIND:URL` as the command line takes it, to a Source.

In: the spelling of `--source` and the column options. Out: a frozen Source; a wrong spelling is a Refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from schemas.refusal import Refusal
from schemas.tables import PAIRS

KINDS: Mapping[str, str] = {
    "warc": "WARC files, or a list of them: pages as a crawler stored them",
    "wat": "Common Crawl WAT files, or a list of them: links and alt-texts without the pages",
    "html": "a folder of pages laid out <host>/<path>, or a text file of page URLs",
    "table": "Parquet, CSV, TSV or JSONL files of URLs and texts",
    "shards": "an existing WebDataset: tars whose samples hold json or txt members",
}


@dataclass(frozen=True)
class Source:
    """One source of pairs. The columns are those of a `table`, or the json fields of `shards`.

    extra_columns: further columns of a table to carry along, under their own names.
    """

    kind: str
    url: str
    url_column: str = "url"
    text_column: str = "text"
    extra_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra_columns", tuple(self.extra_columns))
        if self.kind not in KINDS:
            raise Refusal(f"unknown source kind {self.kind!r}; known: {', '.join(KINDS)}")
        if not self.url:
            raise Refusal(f"source {self.kind!r} names no file or folder; expected {self.kind}:URL")
        reserved = [name for name in self.extra_columns if name in PAIRS.names]
        if reserved:
            raise Refusal(f"extra columns {', '.join(reserved)} are names of our own; rename them in the source")
        if len(set(self.extra_columns)) != len(self.extra_columns):
            raise Refusal(f"extra columns {', '.join(self.extra_columns)} name one column twice")

    @property
    def spelling(self) -> str:
        return f"{self.kind}:{self.url}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_source(
    given: str, *, url_column: str = "url", text_column: str = "text", extra_columns: Iterable[str] = ()
) -> Source:
    """`KIND:URL` to a Source; only the first colon separates, so URLs may hold more."""
    kind, colon, url = given.partition(":")
    if not colon:
        raise Refusal(f"source {given!r} is not KIND:URL; known kinds: {', '.join(KINDS)}")
    return Source(kind.strip(), url.strip(), url_column, text_column, tuple(extra_columns))
