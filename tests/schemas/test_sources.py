"""Sources as the command line spells them."""

from __future__ import annotations

import pytest

from schemas.refusal import Refusal
from schemas.sources import KINDS, Source, parse_source


def test_spellings() -> None:
    assert parse_source("warc:s3://bucket/a.warc.gz") == Source("warc", "s3://bucket/a.warc.gz")
    assert parse_source("table:x.csv", url_column="URL", text_column="TEXT", extra_columns=["w"]) == Source(
        "table", "x.csv", "URL", "TEXT", ("w",)
    )
    assert parse_source("html:pages.txt").spelling == "html:pages.txt"
    assert list(KINDS) == ["warc", "wat", "html", "table", "shards"]


def test_json_and_back() -> None:
    source = Source("table", "x.csv", extra_columns=("w", "h"))
    assert Source(**source.to_json()) == source
    assert Source(**{**source.to_json(), "extra_columns": ["w", "h"]}) == source


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("pages.txt", "source 'pages.txt' is not KIND:URL; known kinds: warc, wat, html, table, shards"),
        ("web:pages.txt", "unknown source kind 'web'; known: warc, wat, html, table, shards"),
        ("html:", "source 'html' names no file or folder; expected html:URL"),
    ],
)
def test_wrong_spellings(given: str, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_source(given)
    assert str(refused.value) == message


def test_extra_columns_of_our_own_names() -> None:
    with pytest.raises(Refusal, match="extra columns uid, reason are names of our own"):
        parse_source("table:x.csv", extra_columns=["uid", "width", "reason"])
    with pytest.raises(Refusal, match="name one column twice"):
        parse_source("table:x.csv", extra_columns=["w", "w"])
