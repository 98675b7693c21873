"""Tables of URLs and texts in each format, and WebDatasets, as rows; with their refusals."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.extraction import tables
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.reading import read_split, split_schema
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.splits import plan_splits
from schemas.refusal import Refusal
from schemas.sources import Source
from schemas.tables import PAIRS

ROWS: list[tuple[str | None, str | None, str]] = [
    ("http://h.test/1.jpg", "one", "a"),
    ("http://h.test/2.jpg", 'two, "quoted"\nand on', "b"),
    ("https://h.test/ü.jpg", "drei ü", "c"),
    ("ftp://h.test/4.jpg", "four", "d"),
    ("", "five", "e"),
    ("not a url", "six", "f"),
]
EXPECTED = [
    ("http://h.test/1.jpg", "one", None, "a"),
    ("http://h.test/2.jpg", 'two, "quoted"\nand on', None, "b"),
    ("https://h.test/ü.jpg", "drei ü", None, "c"),
    ("ftp://h.test/4.jpg", "four", "unsupported_scheme", "d"),
    ("", "five", "no_image_url", "e"),
    ("not a url", "six", "invalid_url", "f"),
]


def write_parquet(path: Path) -> None:
    columns = dict(zip(("link", "caption", "kind"), map(list, zip(*ROWS, strict=True)), strict=True))
    pq.write_table(pa.table(columns), path, row_group_size=2)


def write_csv(path: Path) -> None:
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, delimiter="\t" if ".tsv" in path.name else ",")
        writer.writerows([("link", "caption", "kind"), *ROWS])
        data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


def write_jsonl(path: Path) -> None:
    lines = [json.dumps(dict(zip(("link", "caption", "kind"), row, strict=True))) for row in ROWS]
    data = ("\n".join(lines) + "\n\n").encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


def read(source: Source, **options: Any) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    counts = Counts()
    rows: list[dict[str, Any]] = []
    for split in plan_splits([source]):
        for batch in read_split(split, ExtractOptions(**options), counts=counts):
            assert batch.schema == split_schema(split)
            rows.extend(batch.to_pylist())
    return rows, counts.details()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.parquet", write_parquet),
        ("a.csv", write_csv),
        ("a.csv.gz", write_csv),
        ("a.tsv", write_csv),
        ("a.tsv.gz", write_csv),
        ("a.jsonl", write_jsonl),
        ("a.jsonl.gz", write_jsonl),
    ],
)
@pytest.mark.parametrize("spelled", ["{folder}/{name}", "{folder}", "{folder}/*"])
def test_formats(tmp_path: Path, name: str, write: Callable[[Path], None], spelled: str) -> None:
    write(tmp_path / name)
    source = Source("table", spelled.format(folder=tmp_path, name=name), "link", "caption", ("kind",))
    rows, _ = read(source)
    assert [(row["url"], row["text"], row["reason"], row["kind"]) for row in rows] == EXPECTED
    assert {row["text_source"] for row in rows} == {"table"}
    assert [row["source_offset"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[0]["uid"] == "9d3d4d4aafc792c7c74b8fe9ed505177"
    assert rows[0]["source"].endswith(name)


def test_row_groups_make_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_PER_SPLIT", 4)
    write_parquet(tmp_path / "a.parquet")
    source = Source("table", str(tmp_path / "a.parquet"), "link", "caption")
    splits = plan_splits([source, source])
    assert [(split.part, split.start, split.stop) for split in splits] == [(0, 0, 2), (1, 2, 3), (2, 0, 2), (3, 2, 3)]
    rows = [row for split in splits[:2] for batch in read_split(split, ExtractOptions()) for row in batch.to_pylist()]
    assert [row["text"] for row in rows] == [row[1] for row in ROWS]
    assert [row["source_offset"] for row in rows] == [0, 1, 2, 3, 4, 5]


def test_texts_and_uids_are_kept_as_they_are(tmp_path: Path) -> None:
    table = pa.table(
        {
            "url": ["http://h.test/A"] * 4,
            "text": [" x ", "", None, "y"],
            "uid": ["F" * 32, "abc", None, ""],
            "width": pa.array([1, None, 3, 4], pa.int16()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _ = read(Source("table", str(tmp_path / "a.parquet"), extra_columns=("width",)))
    assert [(row["text"], row["alt_state"], row["uid"], row["width"]) for row in rows] == [
        (" x ", "text", "f" * 32, 1),
        ("", "empty", "0" * 29 + "abc", None),
        ("", "missing", "210dc81acf6119ac6722d34f9efce69c", 3),
        ("y", "text", "8e89fadb6c32c282a1412bd3bf2c0e4c", 4),
    ]


def test_bad_rows_of_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbfurl,text\nhttp://h.test/1,one\nhttp://h.test/2\nhttp://h.test/3,th\xffree,more\n\nhttp://h.test/4,four\n"
    )
    rows, _ = read(Source("table", str(tmp_path / "a.csv")))
    assert [(row["url"], row["text"], row["reason"], row["message"]) for row in rows] == [
        ("http://h.test/1", "one", None, None),
        ("http://h.test/2", "", "bad_row", "row 1 has 1 fields, its header 2"),
        ("http://h.test/3", "th\ufffdree", "bad_row", "row 2 has 3 fields, its header 2"),
        ("http://h.test/4", "four", None, None),
    ]


def test_bad_rows_of_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"url": "http://h.test/1", "text": "one", "more": {"a": 1}}\n{"url": \n[1]\n'
        '{"url": 5, "text": "\\ud800"}\n{}\n'
    )
    rows, _ = read(Source("table", str(tmp_path / "a.jsonl"), extra_columns=("more",)))
    assert [(row["url"], row["text"], row["reason"], row["more"]) for row in rows] == [
        ("http://h.test/1", "one", None, '{"a": 1}'),
        ("", "", "bad_row", None),
        ("", "", "bad_row", None),
        ("5", "\ufffd", "invalid_url", None),
        ("", "", "no_image_url", None),
    ]


def test_a_cut_gzip_gives_what_stands_before(tmp_path: Path) -> None:
    lines = [f"http://h.test/{number},{number * 7919}" for number in range(20_000)]
    data = gzip.compress(("url,text\n" + "\n".join(lines)).encode())
    (tmp_path / "a.csv.gz").write_bytes(data[: len(data) // 2])
    rows, _ = read(Source("table", str(tmp_path / "a.csv.gz")))
    assert len(rows) > 5_000
    assert [row["url"] for row in rows[:-1]] == [f"http://h.test/{number}" for number in range(len(rows) - 1)]
    assert (rows[-1]["reason"], rows[-1]["source_offset"]) == ("bad_row", len(rows) - 1)


def test_extra_columns_of_any_type(tmp_path: Path) -> None:
    table = pa.table(
        {
            "url": ["http://h.test/1", "http://h.test/2"],
            "text": ["a", "b"],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "score": pa.array([0.5, None], pa.float32()),
            "box": pa.array([[1.0, 2.0], None], pa.list_(pa.float64())),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _ = read(Source("table", str(tmp_path / "a.parquet"), extra_columns=("box", "kind", "score")))
    assert [(row["box"], row["kind"], row["score"]) for row in rows] == [([1.0, 2.0], "x", 0.5), (None, "y", None)]


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_shards(tmp_path: Path) -> None:
    for number in range(2):
        with tarfile.open(tmp_path / f"{number:05d}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            add(tar, "a/000.jpg", b"no image")
            add(
                tar, "a/000.json", json.dumps({"url": f"http://h.test/{number}", "uid": "ABC", "caption": "x"}).encode()
            )
            add(tar, "a/000.txt", "ein Bild ü".encode())
            add(tar, "a/001.json", b'{"url": "http://h.test/c", "caption": "from json"}')
            add(tar, "b/001.json", b"{broken")
            add(tar, "002.txt", b"no json")
    rows, details = read(Source("shards", str(tmp_path)))
    assert [(row["url"], row["text"], row["reason"]) for row in rows] == [
        ("http://h.test/0", "ein Bild ü", None),
        ("http://h.test/c", "from json", None),
        ("", "", "bad_row"),
        ("", "no json", "no_image_url"),
        ("http://h.test/1", "ein Bild ü", None),
        ("http://h.test/c", "from json", None),
        ("", "", "bad_row"),
        ("", "no json", "no_image_url"),
    ]
    assert rows[0]["uid"] == "0" * 29 + "abc"
    assert details == {}


def test_a_cut_shard_gives_what_stands_before(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(4):
            add(tar, f"{number}.json", json.dumps({"url": f"http://h.test/{number}", "text": "x" * 2000}).encode())
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[: 3 * 3072 + 700])
    rows, details = read(Source("shards", str(tmp_path / "a.tar")))
    assert [row["url"] for row in rows] == ["http://h.test/0", "http://h.test/1", "http://h.test/2"]
    assert details["records"] == {"bad_record": 1}


@pytest.mark.parametrize(
    ("kind", "url", "columns", "message"),
    [
        ("table", "{folder}/none.csv", {}, "source table:{folder}/none.csv does not exist"),
        ("table", "{folder}/a.csv", {"url_column": "URL"}, "no column 'URL' (--url_column); it has url, text"),
        ("table", "{folder}/a.csv", {"text_column": "alt"}, "no column 'alt' (--text_column); it has url, text"),
        ("table", "{folder}/a.csv", {"extra_columns": ("w",)}, "no column 'w' (extra column); it has url, text"),
        ("table", "{folder}/a.txt", {}, "expected a file that ends in .parquet .csv"),
        ("table", "{folder}/broken.parquet", {}, "is no readable parquet file"),
        ("table", "{folder}", {}, "mixes .csv, .parquet; expected files of one ending"),
        ("table", "{folder}/empty", {}, "has no file that ends in .parquet .csv"),
        ("table", "{folder}/*.tsv", {}, "matches no file that ends in"),
        ("warc", "{folder}/a.csv", {}, "expected a file that ends in .warc .warc.gz"),
        ("warc", "{folder}/none.warc.gz", {}, "does not exist"),
        ("wat", "{folder}/list.paths", {}, "names {folder}/crawl/x.wat.gz, which does not exist"),
        ("wat", "{folder}/bad.paths", {}, "names {folder}/x.csv: expected files that end in .wat"),
        ("shards", "{folder}/a.csv", {}, "expected a file that ends in .tar"),
        ("html", "{folder}/none", {}, "does not exist; expected a folder of pages, or a list of page URLs"),
        ("html", "{folder}/empty", {}, "has no page <host>/<path>"),
        ("html", "{folder}/page.html", {}, "is one page; expected the folder above its host"),
        ("html", "{folder}/a.txt", {}, "a.txt, line 2: expected a page URL, got 'nonsense'"),
        ("html", "{folder}/nothing.txt", {}, "holds nothing to read"),
    ],
)
def test_refusals(tmp_path: Path, kind: str, url: str, columns: dict[str, Any], message: str) -> None:
    (tmp_path / "a.csv").write_text("url,text\n")
    (tmp_path / "a.txt").write_text("# pages\nnonsense\n")
    (tmp_path / "nothing.txt").write_text("\n# none\n")
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "list.paths").write_text("crawl/x.wat.gz\n")
    (tmp_path / "bad.paths").write_text("x.csv\n")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Refusal) as refused:
        plan_splits([Source(kind, url.format(folder=tmp_path), **columns)])
    assert message.format(folder=tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_no_source() -> None:
    with pytest.raises(Refusal, match="no source is given"):
        plan_splits([])


def test_a_list_of_archives(tmp_path: Path) -> None:
    (tmp_path / "crawl-data" / "one").mkdir(parents=True)
    (tmp_path / "crawl-data" / "one" / "x.warc.gz").write_bytes(b"")
    listed = tmp_path / "crawl-data" / "one" / "warc.paths.gz"
    listed.write_bytes(gzip.compress(b"crawl-data/one/x.warc.gz\n"))
    (split,) = plan_splits([Source("warc", str(listed))])
    assert split.files == (str(tmp_path / "crawl-data" / "one" / "x.warc.gz"),)


def test_schema_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "h.test").mkdir()
    (tmp_path / "h.test" / "index.html").write_text("<p>")
    (split,) = plan_splits([Source("html", str(tmp_path))])
    assert split_schema(split) == PAIRS
    assert split.to_json()["files"] == ("h.test/index.html",)
