"""Pages from folders, lists and WARC files: real pages, the archives of other projects' tests, odd responses."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from beam_jobs.extraction.html_pages import page_url
from beam_jobs.extraction.http_message import unchunk
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.reading import read_split
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.splits import plan_splits
from beam_jobs.fetching.addresses import parse_resolve
from beam_jobs.fetching.policy import FetchOptions
from beam_jobs.world.server import serve
from schemas.refusal import Refusal
from schemas.sources import Source

Rows = list[dict[str, Any]]
Response = Callable[..., bytes]
PAGE = "<img src=a.png alt='Größe'>".encode()


def read(source: Source, **options: Any) -> tuple[Rows, dict[str, dict[str, int]]]:
    counts = Counts()
    rows: Rows = []
    for split in plan_splits([source]):
        for batch in read_split(split, ExtractOptions(**options), counts=counts):
            rows.extend(batch.to_pylist())
    return rows, counts.details()


def listed(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [dict(row) for row in csv.DictReader(lines, delimiter="\t")]


def as_folder(page: str) -> str:
    """A page's URL as a folder of pages has it: an index page is its folder."""
    return page.removesuffix("index.html") if page.endswith("/index.html") else page


def found_pairs(rows: Rows) -> set[tuple[str, str, str, str]]:
    return {(row["page_url"], row["url"], row["text"], row["alt_state"]) for row in rows if row["text_source"] == "alt"}


def found_references(rows: Rows) -> Counter[tuple[str, str, str]]:
    return Counter((row["page_url"], row["src"], row["text"]) for row in rows if row["text_source"] == "alt")


def check_real_pages(web: Path, rows: Rows, name: Callable[[str], str]) -> None:
    pairs, references = found_pairs(rows), found_references(rows)
    wanted = listed(web / "pairs.tsv")
    assert len(wanted) == 993
    assert [
        row
        for row in wanted
        if (name(row["page_url"]), row["image_url"], row["alt"].replace("\\N", ""), row["alt_state"]) not in pairs
    ] == []
    unresolved = Counter(
        (name(row["page_url"]), row["src"], row["alt"].replace("\\N", ""))
        for row in listed(web / "unresolved_refs.tsv")
    )
    assert sum(unresolved.values()) == 177
    assert [key for key, times in unresolved.items() if references[key] < times] == []
    assert {row["reason"] for row in rows} == {None, "no_image_url"}


def test_real_pages_as_a_folder(shared_folder: Path) -> None:
    web = shared_folder / "web"
    rows, details = read(Source("html", str(web)))
    check_real_pages(web, rows, as_folder)
    assert details == {"pages": {"kept": 216}}
    assert {row["source"] for row in rows} <= {str(file.relative_to(web)) for file in web.rglob("*.htm*")}


def test_real_pages_as_a_warc(
    shared_folder: Path, tmp_path: Path, response: Response, gzipped: Callable[[bytes], bytes]
) -> None:
    web = shared_folder / "web"
    pages = {row["page_url"]: web / row["page_path"] for row in listed(web / "pairs.tsv")}
    for row in listed(web / "unresolved_refs.tsv"):
        path = row["page_url"].removeprefix("http://")
        pages.setdefault(row["page_url"], web / (f"{path}index.html" if path.endswith("/") else path))
    with (tmp_path / "pages.warc.gz").open("wb") as file:
        for url, path in sorted(pages.items()):
            file.write(gzipped(response(url, path.read_bytes())))
    rows, details = read(Source("warc", str(tmp_path / "pages.warc.gz")))
    check_real_pages(web, rows, lambda page: page)
    assert details == {"pages": {"kept": len(pages)}, "records": {"read": len(pages)}}


def test_pages_of_a_list_come_in_its_order(tmp_path: Path) -> None:
    for host in ("one.test", "two.test"):
        for number in range(60):
            page = tmp_path / "web" / host / f"{number}.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(
                f"<meta charset=utf-8><img src=/{number}.jpg alt='Nr {number} ü'>" + " " * (number % 7) * 9999
            )
    urls = [f"http://{host}/{number}.html" for number in range(60) for host in ("one.test", "two.test")]
    (tmp_path / "pages.txt").write_text("# a list\n" + "\n".join([*urls, "", "http://one.test/none.html"]) + "\n")
    with serve(str(tmp_path / "web")) as port:
        fetch = FetchOptions(resolve=(parse_resolve(f"*.test=127.0.0.1:{port}"),))
        rows, details = read(Source("html", str(tmp_path / "pages.txt")), fetch=fetch)
        assert [split.files for split in plan_splits([Source("html", str(tmp_path / "pages.txt"))])] == [
            (str(tmp_path / "pages.txt"),)
        ] * 2
    assert [row["page_url"] for row in rows] == urls
    assert [row["text"] for row in rows[::2]] == [f"Nr {number} ü" for number in range(60)]
    assert details == {"pages": {"http_404": 1, "kept": 120}}


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("h.test/index.html", "http://h.test/"),
        ("h.test/a/index.html", "http://h.test/a/"),
        ("h.test/a/b.htm", "http://h.test/a/b.htm"),
        ("h.test/ü b#?.html", "http://h.test/%C3%BC%20b%23%3F.html"),
        ("h.test/xindex.html", "http://h.test/xindex.html"),
    ],
)
def test_page_urls_of_a_folder(path: str, url: str) -> None:
    assert page_url(path) == url


def test_files_that_are_no_pages(tmp_path: Path) -> None:
    folder = tmp_path / "h.test"
    folder.mkdir()
    (folder / "page").write_text("<img src=a.png>")
    (folder / "binary").write_bytes(b"\x00\x01<img src=no.png>")
    (folder / "b.png").write_bytes(b"<img src=no.png>")
    rows, details = read(Source("html", str(tmp_path)))
    assert [row["url"] for row in rows] == ["http://h.test/a.png"]
    assert details == {"pages": {"kept": 1, "not_html": 1}}


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/h.test"
    os.mkdir(folder)
    with open(folder + b"/\xff.html", "wb") as file:
        file.write(b"<img src=a.png>")
    rows, _ = read(Source("html", str(tmp_path)))
    assert [(row["page_url"], row["url"], row["source"]) for row in rows] == [
        ("http://h.test/%FF.html", "http://h.test/a.png", "h.test/\ufffd.html")
    ]


def test_sources_over_http(tmp_path: Path, response: Response, gzipped: Callable[[bytes], bytes]) -> None:
    folder = tmp_path / "127.0.0.1"
    folder.mkdir()
    (folder / "a.warc.gz").write_bytes(b"".join(gzipped(response(f"http://h.test/{n}", PAGE)) for n in range(5)))
    (folder / "b.csv").write_text("url,text\nhttp://h.test/x,one\n")
    (folder / "warc.paths").write_text("a.warc.gz\n")
    with serve(str(tmp_path)) as port:
        for name in ("a.warc.gz", "warc.paths"):
            rows, _ = read(Source("warc", f"http://127.0.0.1:{port}/{name}"))
            assert [row["page_url"] for row in rows] == [f"http://h.test/{n}" for n in range(5)]
            assert {row["source"] for row in rows} <= {f"http://127.0.0.1:{port}/a.warc.gz", "a.warc.gz"}
        rows, _ = read(Source("table", f"http://127.0.0.1:{port}/b.csv"))
        assert [(row["url"], row["text"]) for row in rows] == [("http://h.test/x", "one")]
        with pytest.raises(Refusal, match="does not exist"):
            plan_splits([Source("warc", f"http://127.0.0.1:{port}/none.warc.gz")])


# rows, and what became of pages and records, of the archives of other projects' tests
ARCHIVES = {
    "aut/warc/example.warc.gz": (
        788,
        {"http_301": 1, "http_302": 5, "http_404": 40, "kept": 132, "not_html": 121},
        132,
        0,
    ),
    "aut/warc/example.txt.warc.gz": (0, {"not_html": 2}, 0, 0),
    "aut/warc/issue-514.warc": (5, {"http_307": 1, "kept": 1}, 1, 0),
    "warcio/example-bad.warc.gz.bad": (0, {"http_302": 1, "kept": 1}, 1, 0),
    "warcio/example-iana.org-chunked.warc": (0, {"kept": 1}, 1, 0),
    "warcio/example-space-in-target-uri.warc.gz": (0, {}, 0, 0),
    "warcio/example-trunc.warc": (0, {"kept": 1}, 1, 0),
    "warcio/example-wrong-chunks.warc.gz": (0, {"kept": 1}, 1, 0),
    "warcio/example.warc.gz": (0, {"kept": 1}, 1, 0),
    "warcio/bad.arc": (0, {}, 0, 1),
    "warcio/example.arc.gz": (0, {}, 0, 1),
    "whirlwind/whirlwind.warc": (25, {"kept": 1}, 1, 0),
    "whirlwind/whirlwind.warc.gz": (25, {"kept": 1}, 1, 0),
    "whirlwind/whirlwind.warc.wet": (0, {}, 0, 0),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_of_others(shared_folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / (Path(name).name.removesuffix(".bad").removesuffix(".wet").removesuffix(".warc") + ".warc")
    copy = copy.with_name(copy.name.removesuffix(".warc")) if copy.name.endswith((".gz.warc", ".arc.warc")) else copy
    copy.write_bytes((shared_folder / "hostile" / "warc" / name).read_bytes())
    rows, details = read(Source("warc", str(copy)))
    expected, pages, good, bad = ARCHIVES[name]
    assert len(rows) == expected
    assert details.get("pages", {}) == pages
    assert details.get("records", {}) == {key: n for key, n in (("bad_record", bad), ("read", good)) if n}


def warc(tmp_path: Path, *records: bytes) -> tuple[Rows, dict[str, dict[str, int]]]:
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    return read(Source("warc", str(tmp_path / "a.warc")))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PAGE, ""),
        (PAGE, "Content-Type: text/html; charset=UTF-8\r\n"),
        (gzip.compress(PAGE), "Content-Type: text/html\r\nContent-Encoding: gzip\r\n"),
        (PAGE, "Content-Type: text/html\r\nContent-Encoding: gzip\r\n"),
        (zlib.compress(PAGE), "Content-Type: text/html\r\nContent-Encoding: deflate\r\n"),
        (brotli.compress(PAGE), "Content-Type: text/html\r\nContent-Encoding: br\r\n"),
        (zstandard.ZstdCompressor().compress(PAGE), "Content-Type: text/html\r\nContent-Encoding: zstd\r\n"),
        (b"1d\r\n" + PAGE + b"\r\n0\r\n\r\n", "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n"),
        (PAGE, "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n"),
        (PAGE, "Content-Type: application/xhtml+xml\r\n"),
    ],
    ids=["untyped", "typed", "gzip", "gzip not", "deflate", "br", "zstd", "chunked", "chunked not", "xhtml"],
)
def test_bodies(tmp_path: Path, response: Response, body: bytes, headers: str) -> None:
    rows, _ = warc(tmp_path, response("http://h.test/", body, headers=headers))
    assert [(row["url"], row["text"]) for row in rows] == [("http://h.test/a.png", "Größe")]


def test_chunks() -> None:
    assert unchunk(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n") == b"abcde"
    assert unchunk(b"3\r\nabc\r\nff\r\nde") == b"abcde"
    assert unchunk(b"3\r\nabc\r\nno chunk") == b"abcno chunk"
    assert unchunk(b"no chunk") == b"no chunk"


def test_what_is_no_page_is_counted(tmp_path: Path, response: Response) -> None:
    rows, details = warc(
        tmp_path,
        response("http://h.test/1", PAGE, status="404 Not Found"),
        response("http://h.test/2", PAGE, headers="Content-Type: image/png\r\n"),
        response("<http://h.test/3/>", PAGE),
        response("", PAGE),
        response("http://h.test/5", b"", headers="Content-Type: text/html\r\n"),
    )
    assert [row["url"] for row in rows] == ["http://h.test/3/a.png"]
    assert details["pages"] == {"http_404": 1, "kept": 2, "no_page_url": 1, "not_html": 1}


def test_headers_of_the_response_count(tmp_path: Path, response: Response) -> None:
    headers = "Content-Type: text/html; charset=windows-1251\r\nX-Robots-Tag: noai\r\nContent-Language: ru\r\n"
    rows, _ = warc(tmp_path, response("http://h.test/", "<img src=a alt='ж'>".encode("cp1251"), headers=headers))
    assert [(row["text"], row["page_language"], row["opt_out"], row["reason"]) for row in rows] == [
        ("ж", "ru", "noai", "opted_out")
    ]


def test_a_damaged_record_costs_itself(tmp_path: Path, response: Response, gzipped: Callable[[bytes], bytes]) -> None:
    pages = [b"".join(b"<img src=%d-%d.png alt=x>" % (page, n) for n in range(40)) for page in range(30)]
    members = [gzipped(response(f"http://h.test/{number}", page)) for number, page in enumerate(pages)]
    members[11] = members[11][:120] + b"\x00\xff\x00\xff" + members[11][124:]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    rows, details = read(Source("warc", str(tmp_path / "a.warc.gz")))
    assert Counter(row["page_url"] for row in rows) == {f"http://h.test/{n}": 40 for n in range(30) if n != 11}
    offset = sum(map(len, members[:11]))
    assert details["bad_records"] == {f"{tmp_path}/a.warc.gz@{offset}": 1}
    assert rows[-1]["source_offset"] == sum(map(len, members[:29]))


def test_a_huge_page_is_read_in_part(tmp_path: Path, response: Response) -> None:
    body = b"<img src=a.png>" + b" " * 3_000_000 + b"<img src=b.png>"
    (tmp_path / "a.warc").write_bytes(response("http://h.test/", body))
    rows, _ = read(Source("warc", str(tmp_path / "a.warc")), max_page_bytes=1_000_000)
    assert [row["src"] for row in rows] == ["a.png"]


def test_a_resource_record_is_a_page(tmp_path: Path, response: Response) -> None:
    record = io.BytesIO(response("http://h.test/", PAGE)).read()
    record = record.replace(b"WARC-Type: response", b"WARC-Type: resource")
    record = record.replace(b"application/http; msgtype=response", b"text/html; charset=utf-8")
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    record = record.replace(b"Content-Length: %d" % (len(block) + len(PAGE)), b"Content-Length: %d" % len(PAGE))
    rows, _ = warc(tmp_path, record.replace(block, b""))
    assert [row["text"] for row in rows] == ["Größe"]
