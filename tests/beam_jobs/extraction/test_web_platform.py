"""The web-platform tests of srcset, base, URLs and encodings, with the results that they expect; and fuzzed pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ada_url
import pytest
from selectolax.lexbor import LexborHTMLParser

from beam_jobs.extraction.charset import charset_of_content
from beam_jobs.extraction.encodings import decode, encoding_of
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page import read_page
from beam_jobs.extraction.page_rows import FoundPage, page_rows
from beam_jobs.extraction.references import join
from beam_jobs.extraction.srcset import best_candidate, parse_srcset


@pytest.fixture(scope="module")
def hostile(shared_folder: Path) -> Path:
    return shared_folder / "hostile" / "html"


def test_srcset(hostile: Path) -> None:
    tree = LexborHTMLParser((hostile / "wpt" / "parse-a-srcset-attribute.html").read_text("utf-8"))
    images = [node.attributes for node in tree.css("img[srcset]")]
    assert len(images) == 105
    wrong = []
    for image in images:
        best = best_candidate(parse_srcset(image["srcset"] or ""))
        if ("" if best is None else best.url) != (image["data-expect"] or ""):
            wrong.append((image["srcset"], image["data-expect"], best))
    assert wrong == []


def test_document_base(hostile: Path) -> None:
    page = (hostile / "wpt" / "document-base-url.html").read_bytes()
    rows = list(page_rows(FoundPage("http://wpt.test/html/base.html", page, "base", 0), ExtractOptions()))
    assert [row["url"] for row in rows] == ["http://wpt.test/html/resources/cat.jpg"]


def test_url_resolution(hostile: Path) -> None:
    listed = json.loads((hostile / "url" / "urltestdata_a.json").read_text("utf-8"))
    cases = [case for case in listed if isinstance(case, dict)]
    assert len(cases) == 435
    wrong = []
    for case in cases:
        base = case.get("base")
        # our bases are pages: what must resolve by itself resolves on one that adds nothing
        found = join(case["input"], "about:blank" if base is None else base)
        if base is None and found is not None and not ada_url.check_url(case["input"]):
            found = None
        if found != case.get("href"):
            wrong.append((case["input"], base, case.get("href"), found))
    assert wrong == []


def test_encodings(hostile: Path) -> None:
    text = (hostile / "html5lib-tests" / "encoding" / "tests1.dat").read_bytes()
    cases = [part.split(b"\n#encoding\n") for part in re.split(rb"(?:^|\n)#data\n", text)[1:]]
    assert len(cases) == 59
    wrong = []
    for data, expected in cases:
        found = read_page(data).encoding
        if found != expected.strip().decode().lower():
            wrong.append((data[:200], expected, found))
    assert wrong == []


def test_undeclared_big5_is_read_somehow(hostile: Path) -> None:
    data = (hostile / "html5lib-tests" / "encoding" / "chardet" / "test_big5.txt").read_bytes()
    assert read_page(data).encoding == "windows-1252"
    assert read_page(data, charset="big5").encoding == "big5"
    assert decode(data, "big5").count("\ufffd") == 0


@pytest.mark.parametrize(
    ("label", "expected"),
    [("latin1", "windows-1252"), (" UTF8\n", "utf-8"), ("gb2312", "gbk"), ("x-sjis", "shift_jis"), ("none", None)],
)
def test_labels(label: str, expected: str | None) -> None:
    assert encoding_of(label) == expected


def test_code_page_holes_are_controls() -> None:
    assert decode(b"a\x81\x80", "windows-1252") == "a\x81€"


def test_content_charsets() -> None:
    assert charset_of_content('text/html; charset="utf-8"; x') == "utf-8"
    assert charset_of_content("charset charset=big5;") == "big5"
    assert charset_of_content("charset='unclosed") is None
    assert charset_of_content("text/html") is None


def test_fuzzed_pages_end(hostile: Path) -> None:
    corpus = sorted((hostile / "go-fuzz" / "stdhtml" / "corpus").iterdir())
    assert len(corpus) == 95
    rows = 0
    for file in corpus:
        data = file.read_bytes()
        for page in (data, b"<img src=a alt=b>" + data + b"<img src=c>", data * 50):
            rows += len(list(page_rows(FoundPage("http://h.test/", page, file.name, 0), ExtractOptions())))
    assert rows >= 95


def test_tokenizer_inputs_end(hostile: Path) -> None:
    for name in ("test1.test", "entities.test"):
        for case in json.loads((hostile / "html5lib-tests" / "tokenizer" / name).read_text("utf-8"))["tests"]:
            read_page(case["input"].encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "page",
    [
        b"<div>" * 100_000 + b"<img src=a.png>",
        b"<figure>" * 20_000 + b"<img src=a.png>" * 200,
        b"<img src=a.png " + b"x" * 500_000,
        b"<img srcset='" + b"a.png 1x," * 50_000 + b"'>",
        b"".join(b"<b a%d>" % number for number in range(5_000)) + b"<p>x" * 5_000 + b"<img src=a.png>",
        b"<table><tr><td>" * 30_000 + b"<img src=a.png>",
        b"\xff\xfe" + b"<\0i\0m\0g\0 \0s\0r\0c\0=\0a\0>\0" + b"\xd8",
        bytes(range(256)) * 100,
    ],
    ids=["deep", "deep figures", "long tag", "long srcset", "formatting", "tables", "utf-16 cut", "binary"],
)
def test_extreme_pages_end(page: bytes) -> None:
    list(page_rows(FoundPage("http://h.test/", page, "extreme", 0), ExtractOptions()))
