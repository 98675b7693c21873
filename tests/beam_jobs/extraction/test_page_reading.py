"""What a page gives: references, texts, context, licences, consent, charsets; each from a page of a few lines."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from beam_jobs.extraction.clean_alt import clean_alt, clean_alts
from beam_jobs.extraction.image_attributes import pixels
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page import read_page
from beam_jobs.extraction.page_rows import FoundPage, page_rows
from schemas.keys import uid

PAGE = "http://host.test/folder/page.html"


def rows_of(html: str | bytes, **options: Any) -> list[dict[str, Any]]:
    data = html if isinstance(html, bytes) else html.encode()
    headers = options.pop("headers", {})
    found = FoundPage(PAGE, data, "page.html", 7, options.pop("charset", None), headers)
    return list(page_rows(found, ExtractOptions(**options)))


def ends(html: str, **options: Any) -> list[tuple[str, str | None]]:
    return [(row["url"], row["reason"]) for row in rows_of(html, **options)]


def test_a_row() -> None:
    html = """<!doctype html><html lang="de"><title> Birds
      of Europe </title><h1>Owls <i>here</i></h1><p>An owl sits.</p>
      <figure><img src="../owl 1.jpg#x" alt="  A snowy owl " title="Bubo" width="640px" height="50%">
      <figcaption>A <b>snowy</b>  owl</figcaption></figure><p>It flew away.</p>"""
    (row,) = rows_of(html)
    assert row == {
        "uid": uid("  A snowy owl ", "http://host.test/owl%201.jpg#x"),
        "url": "http://host.test/owl%201.jpg#x",
        "text": "  A snowy owl ",
        "clean_text": "A snowy owl",
        "alt_state": "text",
        "text_source": "alt",
        "page_url": PAGE,
        "src": "../owl 1.jpg#x",
        "reference": "src",
        "title": "Bubo",
        "figcaption": "A snowy owl",
        "page_title": "Birds of Europe",
        "page_language": "de",
        "detected_language": "en",
        "heading": "Owls here",
        "text_before": "Owls here An owl sits.",
        "text_after": "A snowy owl It flew away.",
        "position": 0,
        "declared_width": 640,
        "declared_height": None,
        "licence": None,
        "page_licence": None,
        "opt_out": None,
        "source": "page.html",
        "source_offset": 7,
        "reason": None,
        "message": None,
    }


def test_alt_states() -> None:
    rows = rows_of("<img src=a alt=x><img src=b alt=''><img src=c alt><img src=d>")
    assert [(row["text"], row["alt_state"], row["position"]) for row in rows] == [
        ("x", "text", 0),
        ("", "empty", 1),
        ("", "empty", 2),
        ("", "missing", 3),
    ]


def test_references_that_lead_nowhere() -> None:
    html = "<img alt=1><img src='' alt=2><img src=' ' alt=3><img src='data:image/gif;base64,R0' alt=4>"
    html += "<img src='javascript:x' alt=5><img src='http://[' alt=6><img src='//' alt=7><img src='ftp://h/x' alt=8>"
    assert [(row["text"], row["reason"]) for row in rows_of(html)] == [
        ("1", "no_image_url"),
        ("2", "no_image_url"),
        ("3", "no_image_url"),
        ("4", "unsupported_scheme"),
        ("5", "unsupported_scheme"),
        ("6", "invalid_url"),
        ("7", "invalid_url"),
        ("8", "unsupported_scheme"),
    ]


def test_every_distinct_reference_of_an_element() -> None:
    html = """<picture><source type="image/webp" srcset="p-400.webp 400w, p-1600.webp 1600w">
      <source type="image/svg+xml" srcset="p.svg"><img src="p.jpg" srcset="p.jpg 1x, p-2x.jpg 2x"
      data-src="p.jpg" data-srcset="lazy-1.jpg 1x, lazy-3.jpg 3x" alt="p"></picture>"""
    assert [(row["src"], row["reference"]) for row in rows_of(html)] == [
        ("p.jpg", "src"),
        ("p-2x.jpg", "srcset"),
        ("p-1600.webp", "picture"),
        ("lazy-3.jpg", "lazy"),
    ]
    assert [row["src"] for row in rows_of(html, references=("src",))] == ["p.jpg"]
    assert {row["position"] for row in rows_of(html)} == {0}


def test_lazy_images() -> None:
    html = """<img src="data:image/gif;base64,R0lG" data-src="/real.jpg" alt="x">
      <noscript><img src="/real.jpg" alt="x"></noscript>
      <img data-lazy-src="b.jpg" data-lazy="true" data-original="{}" alt="y">"""
    assert [row["reference"] for row in rows_of(html)] == ["src", "lazy", "noscript", "lazy"]
    assert ends(html, references=("noscript",)) == [("http://host.test/real.jpg", None)]
    assert ends(html) == [
        ("data:image/gif;base64,R0lG", "unsupported_scheme"),
        ("http://host.test/real.jpg", None),
        ("http://host.test/real.jpg", None),
        ("http://host.test/folder/b.jpg", None),
    ]


def test_aria_label_is_a_text_of_its_own() -> None:
    rows = rows_of("<img src=a alt=one aria-label=two><img src=b aria-label=three><img src=c alt=x aria-label=x>")
    assert [(row["text"], row["text_source"], row["alt_state"]) for row in rows] == [
        ("one", "alt", "text"),
        ("two", "aria_label", "text"),
        ("", "alt", "missing"),
        ("three", "aria_label", "missing"),
        ("x", "alt", "text"),
    ]


def test_open_graph() -> None:
    html = """<meta property="og:title" content="Title"><meta property="og:image" content="/one.jpg">
      <meta property="og:image:alt" content="First"><meta property="og:image" content="two.jpg">"""
    assert [(row["url"], row["text"], row["text_source"]) for row in rows_of(html)] == [
        ("http://host.test/one.jpg", "First", "og"),
        ("http://host.test/folder/two.jpg", "Title", "og"),
    ]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("<base href='/b/'>", "http://host.test/b/i.jpg"),
        ("<base target=_top><base href='//other.test/c/d'><base href='/e/'>", "http://other.test/c/i.jpg"),
        ("<base href='http://['>", "http://host.test/folder/i.jpg"),
        ("<base href='data:text/plain,x'>", "http://host.test/folder/i.jpg"),
        ("<base href=''>", "http://host.test/folder/i.jpg"),
    ],
)
def test_base(base: str, expected: str) -> None:
    assert [row["url"] for row in rows_of(base + "<img src=i.jpg>")] == [expected]


def test_context_is_bounded_and_leaves_scripts_out() -> None:
    words = " ".join(f"w{number:03d}" for number in range(200))
    html = (
        f"<p>{words}</p><script>var secret</script><style>x</style><img src=a><template>hidden</template><p>{words}</p>"
    )
    (row,) = rows_of(html)
    assert row["text_before"] == " ".join(f"w{number:03d}" for number in range(160, 200))
    assert row["text_after"] == " ".join(f"w{number:03d}" for number in range(40))


def test_heading_is_the_nearest_before() -> None:
    rows = rows_of("<img src=a><h2>One</h2><p>x<img src=b></p><h3>Two<img src=c></h3><div><img src=d></div>")
    assert [row["heading"] for row in rows] == [None, "One", "Two", "Two"]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a rel="license nofollow" href="https://l.test/by">x</a>', "https://l.test/by"),
        (
            '<a href="https://creativecommons.org/licenses/by/4.0/">x</a>',
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        ('<a href="https://creativecommons.org/about">x</a>', None),
        ('<link rel="license" href="/terms">', "/terms"),
        ('<span></span><a property="cc:license" href="https://l.test/rdfa">x</a>', "https://l.test/rdfa"),
        (
            '<script type="application/ld+json">{"@graph":[{"license":{"@id":"https://l.test/ld"}}]}</script>',
            "https://l.test/ld",
        ),
        ('<script type="application/ld+json">{"license": broken</script>', None),
        ('<meta name="dcterms.license" content="https://l.test/dc">', "https://l.test/dc"),
        ('<p about="http://host.test/folder/page.html"><a rel="license" href="/me">x</a></p>', "/me"),
        ('<a rel="cc:license" href="https://l.test/cc">x</a>', "https://l.test/cc"),
    ],
)
def test_page_licence(html: str, expected: str | None) -> None:
    (row,) = rows_of(html + "<img src=a>")
    assert (row["licence"], row["page_licence"]) == (expected, expected)


@pytest.mark.parametrize(
    "own",
    [
        "<figure><img src=a.png><a rel=license href=/own>x</a></figure>",
        "<p itemscope itemtype='https://schema.org/ImageObject'><img src=a.png><a itemprop=license href=/own>x</a></p>",
        "<div typeof='schema:ImageObject'><p><img src=a.png></p><a property='cc:license' href=/own>x</a></div>",
        "<img src=a.png><p about='a.png'><a rel='license' href=/own>x</a></p>",
        '<img src=a.png><script type="application/ld+json">'
        '{"@type":"ImageObject","contentUrl":"/folder/a.png","license":"/own"}</script>',
        '<img src=a.png><script type="application/ld+json">{"@graph":[{"@type":["ImageObject"],'
        '"url":"http://host.test/folder/a.png","license":{"@id":"/own"}}]}</script>',
    ],
    ids=["figure", "microdata", "RDFa type", "RDFa about", "JSON-LD", "JSON-LD graph"],
)
def test_what_is_said_of_an_image_is_said_of_no_other(own: str) -> None:
    rows = rows_of(own + "<link rel=license href=/page><img src=b.png>")
    assert [(row["licence"], row["page_licence"]) for row in rows] == [("/own", "/page"), ("/page", "/page")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A red square", "A red square"),
        ("  A\tred \n square ", "A red square"),
        ("fish &amp; chips &#8211; caf&eacute;", "fish & chips – café"),
        ("AT&T; R&D, a & b", "AT&T; R&D, a & b"),
        ("a <b>bold</b> <br/>word", "a bold word"),
        ("1 < 2 and 3 > 2, I <3 owls", "1 < 2 and 3 > 2, I <3 owls"),
        ("\ufeffze\u200bro\u00adwidth\u202e", "zerowidth"),
        ("e\u0301te\u0301", "été"),
        ("\u200d👩\u200d🚀 \u0641\u200c\u06cc", "\u200d👩\u200d🚀 \u0641\u200c\u06cc"),
        ("\x00\x1f", ""),
    ],
)
def test_cleaned_texts(text: str, expected: str) -> None:
    assert clean_alt(text) == expected
    column = pa.array([text, "plain"], pa.string())
    assert clean_alts([text, "plain"], column).to_pylist() == [expected, "plain"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Die Eule sitzt auf einem Ast und schaut in die Nacht hinaus.", "de"),
        ("Сова сидит на ветке и смотрит в ночь, пока все спят.", "ru"),
        ("x1 y2", None),
        ("", None),
    ],
)
def test_detected_language(text: str, expected: str | None) -> None:
    (row,) = rows_of(f"<html lang=xx><p>{text}</p><script>this is English and no text of the page</script><img src=a>")
    assert (row["page_language"], row["detected_language"]) == ("xx", expected)


@pytest.mark.parametrize(
    ("html", "headers", "directives", "dropped"),
    [
        ('<meta name="robots" content="index, follow">', {}, None, False),
        ('<meta name="ROBOTS" content="NoAI, NoImageAI">', {}, "noai,noimageai", True),
        ('<meta name="robots" content="noindex,nofollow">', {}, "noindex", True),
        ('<meta name="robots" content="none">', {}, "none", True),
        ('<meta name="googlebot" content="noindex">', {}, "googlebot:noindex", False),
        ('<meta name="gptbot" content="noml">', {}, "gptbot:noml", True),
        ('<meta name="pairmill" content="noimageindex">', {}, "pairmill:noimageindex", True),
        ('<meta name="description" content="none of the noai noindex">', {}, None, False),
        ('<meta name="tdm-reservation" content="1">', {}, "tdm-reservation", True),
        ('<meta name="tdm-reservation" content="0">', {}, None, False),
        ("", {"x-robots-tag": ("noimageai",)}, "noimageai", True),
        ("", {"x-robots-tag": ("otherbot: noindex, nofollow",)}, "otherbot:noindex", False),
        ("", {"x-robots-tag": ("unavailable_after: 25 Jun 2010, noml",)}, "noml", True),
        ("", {"tdm-reservation": ("1",)}, "tdm-reservation", True),
    ],
)
def test_consent(html: str, headers: dict[str, tuple[str, ...]], directives: str | None, dropped: bool) -> None:
    (row,) = rows_of(html + "<img src=a alt=x>", headers=headers)
    assert (row["opt_out"], row["reason"]) == (directives, "opted_out" if dropped else None)
    (row,) = rows_of(html + "<img src=a alt=x>", headers=headers, honour_opt_out=False)
    assert (row["opt_out"], row["reason"]) == (directives, None)


def test_directives_may_be_chosen() -> None:
    html = "<meta name=robots content=noindex><img src=a>"
    assert ends(html, disallowed_directives=("noai",)) == [("http://host.test/folder/a", None)]
    with pytest.raises(ValueError, match="unknown disallowed_directives nosuch; known: noai"):
        ExtractOptions(disallowed_directives=("nosuch",))


@pytest.mark.parametrize(
    ("data", "charset", "encoding", "alt"),
    [
        ("<img src=a alt='é'>".encode(), None, "utf-8", "é"),
        ("<img src=a alt='é'>".encode("cp1252"), None, "windows-1252", "é"),
        ("<meta charset=windows-1251><img src=a alt='ж'>".encode("cp1251"), None, "windows-1251", "ж"),
        ("<meta charset=utf-8><img src=a alt='ж'>".encode("cp1251"), "cp1251", "windows-1251", "ж"),
        ("\ufeff<meta charset=latin1><img src=a alt='é'>".encode("utf-8"), "cp1251", "utf-8", "é"),
        ("\ufeff<img src=a alt='é'>".encode("utf-16-le"), None, "utf-16le", "é"),
        (b"<!--" + b"x" * 2000 + b"--><meta charset=shift_jis><img src=a alt='\x83e'>", None, "shift_jis", "テ"),
        ("<?xml version='1.0' encoding='koi8-r'?><img src=a alt='ж'>".encode("koi8-r"), None, "koi8-r", "ж"),
        (b"<meta charset=utf-16><img src=a alt='x'>", None, "utf-8", "x"),
        (b"<meta charset=hz-gb-2312><img src=a alt='x'>", None, "replacement", None),
    ],
)
def test_charsets(data: bytes, charset: str | None, encoding: str, alt: str | None) -> None:
    page = read_page(data, charset=charset)
    assert page.encoding == encoding
    assert [image.alt for image in page.images] == ([] if alt is None else [alt])


@pytest.mark.parametrize(
    ("given", "expected"),
    [("10", 10), (" 12px", 12), ("7.9", 7), ("50%", None), ("", None), (None, None), ("auto", None), ("9" * 12, None)],
)
def test_pixels(given: str | None, expected: int | None) -> None:
    assert pixels(given) == expected


def test_a_page_whose_url_is_none_still_gives_absolute_references() -> None:
    found = FoundPage("urn:nothing:here", b"<img src=http://h.test/a><img src=b>", "x", 0)
    assert [(row["url"], row["reason"]) for row in page_rows(found, ExtractOptions())] == [
        ("http://h.test/a", None),
        ("b", "invalid_url"),
    ]


def test_a_long_data_url_is_shown_in_short() -> None:
    (row,) = rows_of("<img src='data:image/png;base64," + "A" * 100_000 + "'>")
    assert (row["reason"], len(row["url"]), len(row["src"])) == ("unsupported_scheme", 2048, 2048)


def test_numeric_references_to_surrogates_are_text() -> None:
    (row,) = rows_of("<img src=a alt='x&#xD800;y'>")
    assert row["text"] == "x\ufffdy"
