"""Image links of WAT files: what cc2dataset emits, under its uids; and what it loses."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from fastwarc.warc import ArchiveIterator

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.wat import wat_batches
from schemas.tables import PAIRS

Record = Callable[..., bytes]


def rows_of(data: bytes, **options: Any) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    counts = Counts()
    rows: list[dict[str, Any]] = []
    for batch in wat_batches(io.BytesIO(data), ExtractOptions(**options), counts, name="a.wat.gz"):
        assert batch.schema == PAIRS
        rows.extend(batch.to_pylist())
    return rows, counts.details()


def by_the_rules(data: bytes) -> list[tuple[str, str, str, str]]:
    """cc2dataset's rules, as PEERS.md has them, over undamaged records: (uid, url, alt, page)."""
    found = []
    for record in ArchiveIterator(io.BytesIO(data), parse_http=False):
        envelope = json.loads(record.reader.read())["Envelope"]
        metadata = envelope["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]
        page = base = envelope["WARC-Header-Metadata"]["WARC-Target-URI"]
        if "Base" in metadata["Head"]:
            base = urljoin(base, metadata["Head"]["Base"])
        for link in metadata["Links"]:
            if link.get("path") == "IMG@/src" and len(link.get("alt", "")) > 0:
                url = link["url"]
                if not url.startswith(("http://", "https://")):
                    url = urljoin(base, url)
                if url.startswith(("http://", "https://")):
                    found.append((hashlib.md5((link["alt"] + url).encode()).hexdigest(), url, link["alt"], page))
    return found


def image(url: str, alt: str | None = None) -> dict[str, str]:
    return {"path": "IMG@/src", "url": url} if alt is None else {"path": "IMG@/src", "url": url, "alt": alt}


LINKS = [
    {"path": "A@/href", "url": "/x", "text": 'IMG@/src "IMG@/src"'},
    image("https://cdn.test/a b.jpg?x=1#f", "plain"),
    image("/root.png", " "),
    image("beside.png", 'quoted "x" \\ back'),
    image("../up.png", "braces } and {"),
    image("../../../top.png", "}"),
    image("//other.test/x.png", "ends with comma,"),
    image("?query", "ends with colon:"),
    image("a;b/./c.png", "ü ü\u2028 \U0001f600"),
    image("none.png"),
    image("empty.png", ""),
    {"path": "IMG@/src", "url": "w.png", "alt": "wide", "width": "10", "height": "20"},
    {"url": "order.png", "alt": "another order", "path": "IMG@/src"},
    {"path": "IMG@/srcset", "url": "no.png", "alt": "no"},
    {"path": "IMG@/data-src", "url": "no.png", "alt": "no"},
]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["compact", "spaced"])
def test_all_that_cc2dataset_emits(wat_record: Record, separators: tuple[str, str]) -> None:
    data = wat_record("http://h.test/a/b/page.html", LINKS, separators=separators)
    data += wat_record("http://h.test/c/", LINKS[:4], head={"Base": "/other/", "Title": "T"}, separators=separators)
    data += wat_record("https://h.test", LINKS[5:9], separators=separators)
    rows, details = rows_of(data)
    expected = by_the_rules(data)
    assert len(expected) == 17
    assert [(row["uid"], row["url"], row["text"], row["page_url"]) for row in rows] == expected
    assert {row["reason"] for row in rows} == {None}
    assert details == {"records": {"read": 3}, "references": {"without_alt": 2}}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["compact", "spaced"])
def test_alt_texts_of_other_elements_are_not_an_images(wat_record: Record, separators: tuple[str, str]) -> None:
    links = [
        {"path": "AREA@/href", "url": "/map", "alt": "a map"},
        image("bare.png"),
        {"path": "INPUT@/src", "url": "go.png", "alt": "search"},
        {**image("named.png"), "title": "alt"},
        {"path": "A@/href", "url": "/x", "text": "IMG@/src"},
        image("{{braces}}.png", "told"),
    ]
    data = wat_record("http://h.test/", links, separators=separators)
    data += wat_record("http://h.test/", [*links, {"url": "order.png", "path": "IMG@/src"}], separators=separators)
    rows, details = rows_of(data)
    assert [(row["url"], row["text"], row["position"]) for row in rows] == [
        ("http://h.test/{{braces}}.png", "told", 2),
        ("http://h.test/{{braces}}.png", "told", 2),
    ]
    assert details["references"] == {"without_alt": 2 + 3}


def test_pages_whose_texts_are_all_empty_make_no_batch(wat_record: Record) -> None:
    rows, details = rows_of(wat_record("http://h.test/", [image("a", ""), image("b", "")]))
    assert rows == []
    assert details["references"] == {"without_alt": 2}
    counts = Counts()
    assert not list(
        wat_batches(io.BytesIO(wat_record("http://h.test/", [image("a", "")])), ExtractOptions(), counts, name="a")
    )


def test_context_columns(wat_record: Record) -> None:
    head = {
        "Title": "  The\n title ",
        "Metas": [{"name": "Robots", "content": "NOAI"}, {"http-equiv": "Content-Language", "content": "fr"}],
        "Link": [{"path": "LINK@/href", "url": "https://l.test/by", "rel": "license"}],
    }
    first = wat_record("http://h.test/", LINKS[:1])
    (row,), _ = rows_of(first + wat_record("http://h.test/", [image("x"), image("y", " z&amp;")], head=head))
    expected = {
        "text": " z&amp;",
        "clean_text": "z&",
        "reference": "src",
        "detected_language": None,
        "alt_state": "text",
        "text_source": "alt",
        "page_title": "The title",
        "page_language": "fr",
        "licence": "https://l.test/by",
        "page_licence": "https://l.test/by",
        "opt_out": "noai",
        "reason": "opted_out",
        "message": "the page says noai",
        "position": 1,
        "src": "y",
        "source": "a.wat.gz",
        "source_offset": len(first),
    }
    assert {name: row[name] for name in expected} == expected


def test_titles_and_declared_sizes(wat_record: Record) -> None:
    links = [image("a", "x"), {**image("b", "y"), "title": "T", "width": "320px", "height": 200}]
    links += [{**image("c"), "title": "no alt"}, {**image("d", "z"), "width": "50%", "height": [1], "title": 7}]
    rows, details = rows_of(wat_record("http://h.test/", links))
    assert [(row["text"], row["title"], row["declared_width"], row["declared_height"]) for row in rows] == [
        ("x", None, None, None),
        ("y", "T", 320, 200),
        ("z", None, None, None),
    ]
    assert details["references"] == {"without_alt": 1}


def test_headers_speak_of_consent(wat_record: Record) -> None:
    data = wat_record("http://h.test/", [image("x", "y")], headers={"X-Robots-Tag": "noimageai"})
    (row,), _ = rows_of(data)
    assert (row["opt_out"], row["reason"]) == ("noimageai", "opted_out")
    (row,), _ = rows_of(data, honour_opt_out=False)
    assert (row["opt_out"], row["reason"]) == ("noimageai", None)


def test_links_that_lead_nowhere_are_rows(wat_record: Record) -> None:
    links = [image("data:image/gif;base64,R0", "a"), image("", "b"), {"path": "IMG@/src", "alt": "c"}]
    links += [image("http://h.test/x", "d"), image("javascript:x()", "e"), image("//[", "f")]
    rows, _ = rows_of(wat_record("http://h.test/", links))
    assert [(row["text"], row["url"], row["reason"]) for row in rows] == [
        ("a", "data:image/gif;base64,R0", "unsupported_scheme"),
        ("b", "", "no_image_url"),
        ("c", "", "no_image_url"),
        ("d", "http://h.test/x", None),
        ("e", "javascript:x()", "unsupported_scheme"),
        ("f", "//[", "invalid_url"),
    ]


def test_images_without_alt_on_demand(wat_record: Record) -> None:
    rows, details = rows_of(wat_record("http://h.test/", LINKS[9:11]), wat_without_alt=True)
    assert [(row["text"], row["alt_state"]) for row in rows] == [("", "missing"), ("", "empty")]
    assert details == {"records": {"read": 1}}


def spoiled(record: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in record
    return record.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "bad"),
    [
        (b'"Envelope"', b'"Enve\x00ope"', 1),
        (b'"alt":"alt 5"', b'"alt":"al\x01 5"', 1),
        (b'"Links":[', b'"Links":{', 1),
        (b'"WARC-Target-URI":"', b'"WARC-Target-URI":{', 1),
        (b'"url":"5.png"', b'"url":5555555', 0),
        (b'"HTTP-Response-Metadata":{', b'"HTTP-Response-Metadata":[', 1),
    ],
    ids=["key", "inside a link", "array", "page", "a number for a URL", "object"],
)
def test_a_record_that_is_no_json_costs_itself(wat_record: Record, old: bytes, new: bytes, bad: int) -> None:
    records = [wat_record("http://h.test/", [image(f"{number}.png", f"alt {number}")]) for number in range(9)]
    assert old in records[5] and len(old) == len(new)
    records[5] = records[5].replace(old, new, 1)
    rows, details = rows_of(b"".join(records))
    assert [row["text"] for row in rows if row["reason"] is None] == [f"alt {n}" for n in range(9) if n != 5]
    assert details["records"].get("bad_record", 0) == bad


def test_damage_is_told_by_its_offset(wat_record: Record, gzipped: Callable[[bytes], bytes]) -> None:
    records = [wat_record("http://h.test/", [image(f"{number}.png", f"alt {number}")]) for number in range(6)]
    members = [gzipped(record) for record in records]
    members[2] = members[2][:100] + b"\xff\xff" + members[2][102:]
    members[4] = gzipped(records[4].replace(b'"Envelope"', b'"Env'))
    rows, details = rows_of(b"".join(members))
    assert [row["text"] for row in rows] == ["alt 0", "alt 1", "alt 3", "alt 5"]
    offsets = [sum(map(len, members[:2])), sum(map(len, members[:4]))]
    assert details["bad_records"] == {f"a.wat.gz@{offset}": 1 for offset in offsets}


def test_batches_are_bounded(wat_record: Record) -> None:
    data = b"".join(wat_record("http://h.test/", [image(f"{n}.png", "x") for n in range(50)]) for _ in range(20))
    counts = Counts()
    sizes = [
        batch.num_rows for batch in wat_batches(io.BytesIO(data), ExtractOptions(rows_per_batch=60), counts, name="a")
    ]
    assert sizes == [100] * 10


def test_common_crawl_record(shared_folder: Path) -> None:
    for name in ("whirlwind.warc.wat", "whirlwind.warc.wat.gz"):
        data = (shared_folder / "hostile" / "warc" / "whirlwind" / name).read_bytes()
        assert rows_of(data) == ([], {"records": {"read": 1}})
