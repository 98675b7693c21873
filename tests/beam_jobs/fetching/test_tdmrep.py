"""tdmrep.json: its rules, and that they are honoured for images and told for pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.reading import read_split
from beam_jobs.extraction.splits import plan_splits
from beam_jobs.fetching.addresses import parse_resolve
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.fetch import FetchOptions, fetch_all
from beam_jobs.fetching.tdmrep import parse_tdmrep
from beam_jobs.world.server import serve
from schemas.sources import Source


def rule(location: object, reservation: object) -> dict[str, object]:
    return {"location": location, "tdm-reservation": reservation}


@pytest.mark.parametrize(
    ("rules", "path", "reserved"),
    [
        ([rule("/", 1)], "/a.jpg", True),
        ([rule("/", 0)], "/a.jpg", False),
        ([rule("/", "1")], "/", True),
        ([rule("/free/", 0), rule("/", 1)], "/free/a.jpg", False),
        ([rule("/free/", 0), rule("/", 1)], "/other/a.jpg", True),
        ([rule("/", 1), rule("/free/", 0)], "/free/a.jpg", True),
        ([rule("/*.jpg$", 1)], "/x/a.jpg", True),
        ([rule("/*.jpg$", 1)], "/x/a.jpg?y", False),
        ([rule("images", 1)], "/images/a.jpg", True),
        ([rule("/A", 1)], "/a", False),
        ([rule("/%7Eme/", 1)], "/~me/a.jpg", True),
        ([rule("/", 2), rule("/", None), rule(7, 1), "no rule", []], "/a.jpg", False),
        (rule("/", 1), "/a.jpg", True),
        ([], "/", False),
    ],
)
def test_the_first_rule_that_matches_decides(rules: Any, path: str, reserved: bool) -> None:
    assert parse_tdmrep(json.dumps(rules).encode()).reserve(path) is reserved


@pytest.mark.parametrize("data", [b"", b"<html>", b"[" * 100_000, b"\xff\xfe", b"1", b"null"])
def test_what_is_no_file_reserves_nothing(data: bytes) -> None:
    assert not parse_tdmrep(data).reserve("/a.jpg")


@pytest.fixture
def web(tmp_path: Path) -> Path:
    for host in ("kept.test", "free.test", "odd.test"):
        (tmp_path / host / ".well-known").mkdir(parents=True)
        (tmp_path / host / "a.html").write_text("<img src=/a.png alt=x>")
        (tmp_path / host / "b.html").write_text("<img src=/b.png alt=y>")
    (tmp_path / "kept.test/.well-known/tdmrep.json").write_text(json.dumps([rule("/b", 0), rule("/", 1)]))
    (tmp_path / "odd.test/.well-known/tdmrep.json").write_text("no JSON")
    return tmp_path


URLS = [f"http://{host}/{page}.html" for host in ("kept.test", "free.test", "odd.test") for page in "ab"]


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        ({}, ["blocked_by_tag", None, None, None, None, None]),
        ({"honour_tdm": False}, [None] * 6),
        ({"read_tdm_file": False}, [None] * 6),
    ],
)
def test_what_is_reserved_is_not_fetched(web: Path, options: dict[str, bool], reasons: list[str | None]) -> None:
    with serve(web) as port:
        given = FetchOptions(resolve=(parse_resolve(f"*.test=127.0.0.1:{port}"),), **options)
        rows = dict(fetch_all(enumerate(URLS), given, commons=Commons()))
    assert [rows[place].reason for place in range(6)] == reasons
    if options:
        told = [rows[place].headers.get("tdm-reservation") for place in range(6)]
        assert told == (["1", *[None] * 5] if "honour_tdm" in options else [None] * 6)
    else:
        assert rows[0].message == "tdmrep.json of http://kept.test reserves text and data mining"


def test_rows_of_a_page_say_that_its_site_reserves_it(web: Path) -> None:
    (web / "pages.txt").write_text("\n".join(URLS))
    with serve(web) as port:
        options = ExtractOptions(fetch=FetchOptions(resolve=(parse_resolve(f"*.test=127.0.0.1:{port}"),)))
        (split,) = plan_splits([Source("html", str(web / "pages.txt"))])
        rows = [row for batch in read_split(split, options) for row in batch.to_pylist()]
    assert [(row["text"], row["opt_out"], row["reason"]) for row in rows] == [
        ("x", "tdm-reservation", "opted_out"),
        ("y", None, None),
        *[("x", None, None), ("y", None, None)] * 2,
    ]
