"""A shard downloaded from a real server: every row accounted for, img2dataset's contract kept, the same bytes twice."""

from __future__ import annotations

import csv
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.fetching.addresses import ResolveRule
from beam_jobs.stages.download import DownloadOptions, DownloadTask, download_shard
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.keys import uid
from schemas.tables import IMG2DATASET, OUR_IMAGE_FIELDS, PLANNED, conform


def jpeg(seed: int, width: int = 320, height: int = 240) -> bytes:
    random = np.random.default_rng(seed)
    pixels = cv2.resize(random.integers(0, 255, (12, 16, 3), dtype=np.uint8), (width, height))
    return cv2.imencode(".jpg", pixels)[1].tobytes()


PAGES = {
    "/a.jpg": jpeg(1),
    "/b.png": cv2.imencode(".png", np.full((300, 500, 3), 200, np.uint8))[1].tobytes(),
    "/c.jpg": jpeg(3, 900, 700),
    "/page.html": b"<html>not an image</html>",
    "/drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "/half.jpg": jpeg(4)[:2000],
    "/tiny.jpg": jpeg(5, 20, 16),
    "/noai.jpg": jpeg(6),
}
ROWS = [
    ("/a.jpg", "a caption"),
    ("/missing.jpg", "gone"),
    ("/b.png", "ünïcode ☃ \U0001f600"),
    ("/page.html", ""),
    ("/drawing.svg", "vector"),
    ("/half.jpg", "half"),
    ("/tiny.jpg", "small\nin two lines"),
    ("/noai.jpg", "no"),
    ("/c.jpg", ""),
    ("/a.jpg", "the same image again"),
]


asked: list[str] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked.append(self.path)
        body = PAGES.get(self.path)
        self.send_response(200 if body is not None else 404)
        if self.path == "/noai.jpg":
            self.send_header("X-Robots-Tag", "noai")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


def serve(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    yield from serve(_Handler)


def plan(work: Path, pairs: list[tuple[str, str]], shard: int = 0) -> None:
    urls, texts = [list(column) for column in zip(*pairs, strict=True)]
    table = pa.table({"uid": [uid(text, url) for url, text in pairs], "url": urls, "text": texts})
    write_table(RunFolder(str(work)).planned(shard), conform(table, PLANNED))


def task(work: Path, port: int, shard: int = 0, **section: object) -> DownloadTask:
    rule = ResolveRule("*.test", "127.0.0.1", port)
    options = DownloadOptions.build(section, resolve=[rule], timeout=10.0, deadline=30.0, retries=0)
    return DownloadTask(str(work), shard, options)


@pytest.fixture(scope="module")
def downloaded(port, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    plan(work, [(f"http://images.test{path}", text) for path, text in ROWS], shard=7)
    tally = download_shard(task(work, port, 7, resize="keep_ratio", min_image_size=32))
    return work, tally


def test_every_row_ends_with_a_reason(downloaded):
    _, tally = downloaded
    assert tally.rows_in == 10
    assert tally.reasons == {
        "kept": 4,
        "http_404": 1,
        "not_an_image": 1,
        "svg": 1,
        "truncated": 1,
        "too_small": 1,
        "blocked_by_tag": 1,
    }


def test_the_table_has_the_rows_and_order_of_the_plan(downloaded):
    work, _ = downloaded
    table = pq.read_table(work / "images" / "00007.parquet")
    assert table.schema.equals(pa.schema([*OUR_IMAGE_FIELDS, *IMG2DATASET]))
    assert table["url"].to_pylist() == [f"http://images.test{path}" for path, _ in ROWS]
    assert table["caption"].to_pylist() == [text for _, text in ROWS]
    assert table["key"].to_pylist() == [f"00007{index:04d}" for index in range(10)]
    assert table["status"].to_pylist() == [
        "success",
        "failed_to_download",
        "success",
        "failed_to_resize",
        "failed_to_resize",
        "failed_to_resize",
        "failed_to_resize",
        "failed_to_download",
        "success",
        "success",
    ]
    assert table["error_message"].to_pylist() == [
        None,
        "HTTP Error 404: Not Found",
        None,
        "Image decoding error",
        "an SVG is a vector image: only rasters are taken",
        "Image decoding error",
        "image too small",
        "Use of image disallowed by X-Robots-Tag directive",
        None,
        None,
    ]
    sizes = table.select(["width", "height", "original_width", "original_height", "format"]).to_pylist()
    assert [tuple(sizes[index].values()) for index in (0, 1, 2, 8)] == [
        (341, 256, 320, 240, "JPEG"),
        (None, None, None, None, None),
        (427, 256, 500, 300, "PNG"),
        (329, 256, 900, 700, "JPEG"),
    ]
    assert table["http_status"].to_pylist() == [200, 404, 200, 200, 200, 200, 200, 200, 200, 200]


def test_the_tar_holds_the_successes_in_row_order(downloaded):
    work, _ = downloaded
    rows = pq.read_table(work / "images" / "00007.parquet").to_pylist()
    with tarfile.open(work / "images" / "00007.tar") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [
            f"{key}.{extension}"
            for key in ("000070000", "000070002", "000070008", "000070009")
            for extension in ("jpg", "json", "txt")
        ]
        assert {(member.mode, member.uname, member.gname, member.mtime) for member in members} == {
            (0o444, "bigdata", "bigdata", 0)
        }
        assert not any(member.pax_headers for member in members)
        contents = {member.name: tar.extractfile(member).read() for member in members}
    assert contents["000070002.json"].decode() == json.dumps(rows[2], indent=4)
    assert contents["000070002.txt"].decode() == "ünïcode ☃ \U0001f600"
    assert contents["000070008.txt"] == b""
    assert cv2.imdecode(np.frombuffer(contents["000070000.jpg"], np.uint8), cv2.IMREAD_COLOR).shape == (
        256,
        341,
        3,
    )


def test_the_statistics_add_up(downloaded):
    work, _ = downloaded
    stats = json.loads((work / "images" / "00007_stats.json").read_text())
    assert [stats[name] for name in ("count", "successes", "failed_to_download", "failed_to_resize")] == [
        10,
        4,
        2,
        4,
    ]
    assert stats["status_dict"] == {
        "success": 4,
        "Image decoding error": 2,
        "HTTP Error 404: Not Found": 1,
        "an SVG is a vector image: only rasters are taken": 1,
        "image too small": 1,
        "Use of image disallowed by X-Robots-Tag directive": 1,
    }
    assert stats["duration"] == stats["end_time"] - stats["start_time"]


def test_a_rerun_gives_the_same_bytes(downloaded, port):
    work, tally = downloaded
    before = {name: (work / "images" / name).read_bytes() for name in ("00007.tar", "00007.parquet")}
    again = download_shard(task(work, port, 7, resize="keep_ratio", min_image_size=32))
    assert (again.digest, again.reasons) == (tally.digest, tally.reasons)
    assert {name: (work / "images" / name).read_bytes() for name in before} == before
    assert sorted(path.name for path in (work / "images").iterdir()) == [
        "00007.parquet",
        "00007.tar",
        "00007_stats.json",
    ]


def test_what_failed_is_fetched_again_into_the_same_shard(tmp_path, port):
    plan(tmp_path, [(f"http://images.test{path}", text) for path, text in [*ROWS, ("/late.jpg", "late")]])
    first = download_shard(task(tmp_path, port, resize="keep_ratio"))
    before = pq.read_table(tmp_path / "images" / "00000.parquet").to_pylist()
    asked.clear()
    PAGES["/late.jpg"] = jpeg(77)
    try:
        again = replace(task(tmp_path, port, resize="keep_ratio"), again=frozenset({"http_404", "dns"}))
        second = download_shard(again)
    finally:
        del PAGES["/late.jpg"]
    after = pq.read_table(tmp_path / "images" / "00000.parquet").to_pylist()
    assert sorted(path for path in asked if path != "/robots.txt") == ["/late.jpg", "/missing.jpg"]
    assert (first.reasons["http_404"], second.reasons["http_404"]) == (2, 1)
    assert second.kept == first.kept + 1
    assert second.digest != first.digest
    assert after[:10] == before[:10]
    with tarfile.open(tmp_path / "images" / "00000.tar") as tar:
        kept = [name.removesuffix(".jpg") for name in tar.getnames() if name.endswith(".jpg")]
        image = tar.extractfile(f"{kept[-1]}.jpg").read()
    assert kept == [row["key"] for row in after if row["status"] == "success"]
    assert cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).shape == (256, 341, 3)


def test_rows_planned_otherwise_are_not_mixed_with_a_shard(tmp_path, port):
    plan(tmp_path, [("http://images.test/a.jpg", "one")])
    download_shard(task(tmp_path, port))
    plan(tmp_path, [("http://images.test/a.jpg", "another")])
    with pytest.raises(ValueError, match="does not have the rows of its plan"):
        download_shard(replace(task(tmp_path, port), again=frozenset({"dns"})))


def test_an_empty_shard(tmp_path, port):
    write_table(RunFolder(str(tmp_path)).planned(0), conform(pa.table({}), PLANNED))
    tally = download_shard(task(tmp_path, port))
    assert (tally.rows_in, dict(tally.reasons)) == (0, {})
    assert pq.read_table(tmp_path / "images" / "00000.parquet").num_rows == 0
    with tarfile.open(tmp_path / "images" / "00000.tar") as tar:
        assert tar.getmembers() == []


@pytest.fixture(scope="module")
def beside_img2dataset(port, tmp_path_factory) -> tuple[Path, Path]:
    """The same rows through img2dataset and through us: folders with shard 0 of each."""
    pytest.importorskip("img2dataset", reason="img2dataset is not installed")
    folder = tmp_path_factory.mktemp("both")
    pairs = [(f"http://127.0.0.1:{port}{path}", text) for path, text in ROWS]
    with open(folder / "urls.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("url", "caption"), *pairs])
    program = f"""
import img2dataset
if __name__ == "__main__":
    img2dataset.download(url_list={str(folder / "urls.csv")!r}, input_format="csv", url_col="url",
        caption_col="caption",
        output_folder={str(folder / "theirs")!r}, output_format="webdataset", image_size=256, resize_mode="keep_ratio",
        min_image_size=32, processes_count=1, thread_count=4, timeout=3, disallowed_header_directives=["noai"])
"""
    (folder / "run.py").write_text(program)
    offline = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    subprocess.run([sys.executable, "run.py"], cwd=folder, check=True, capture_output=True, timeout=240, env=offline)
    plan(folder, [(url.replace("127.0.0.1", "images.test"), text) for url, text in pairs])
    download_shard(task(folder, port, resize="keep_ratio", min_image_size=32))
    return folder / "theirs", folder / "images"


def test_columns_types_and_order_are_img2datasets(beside_img2dataset):
    theirs, ours = (pq.read_schema(folder / "00000.parquet") for folder in beside_img2dataset)
    shared = pa.schema([field for field in ours if field.name not in OUR_IMAGE_FIELDS.names])
    expected = {name: theirs.field(name) for name in theirs.names}
    assert [shared.field(name) for name in shared.names] == [expected[name] for name in shared.names]
    assert set(shared.names) == set(theirs.names)
    order = [name for name in theirs.names if name not in ("url", "caption")]
    assert [name for name in shared.names if name not in ("url", "caption")] == order
    assert shared.names[:2] == theirs.names[:2]
    compressions = {
        pq.ParquetFile(folder / "00000.parquet").metadata.row_group(0).column(0).compression
        for folder in beside_img2dataset
    }
    assert compressions == {"SNAPPY"}


def test_rows_are_img2datasets_but_for_where_it_says_less(beside_img2dataset):
    compared = ["caption", "key", "status", "error_message", "width", "height", "original_width", "sha256"]
    theirs, ours = (
        sorted(pq.read_table(folder / "00000.parquet").select(compared).to_pylist(), key=lambda row: row["key"])
        for folder in beside_img2dataset
    )
    differing = {ROWS[index][0] for index in range(10) if theirs[index] != ours[index]}
    assert differing == {"/drawing.svg"}  # img2dataset calls it undecodable


def test_members_and_statistics_are_img2datasets(beside_img2dataset):
    theirs, ours = beside_img2dataset
    members, owners = [], []
    for folder in (theirs, ours):
        with tarfile.open(folder / "00000.tar") as tar:
            found = tar.getmembers()
            members.append({member.name for member in found})
            owners.append({(member.mode, member.uname, member.gname) for member in found})
            kinds = [member.name.split(".")[1] for member in found]
            assert kinds == ["jpg", "json", "txt"] * (len(found) // 3)
    assert members[0] == members[1]
    assert owners[0] == owners[1]
    stats = [json.loads((folder / "00000_stats.json").read_text()) for folder in (theirs, ours)]
    assert list(stats[0]) == list(stats[1])
    assert {type(stats[1][name]) for name in ("duration", "start_time", "end_time")} == {float}


def test_json_members_have_the_parquet_columns_in_order(beside_img2dataset):
    for folder in beside_img2dataset:
        names = pq.read_schema(folder / "00000.parquet").names
        with tarfile.open(folder / "00000.tar") as tar:
            member = io.TextIOWrapper(tar.extractfile("000000000.json"), "utf-8").read()
        assert list(json.loads(member)) == names


def test_webdataset_reads_the_shard(beside_img2dataset):
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    samples = list(
        webdataset.WebDataset(str(beside_img2dataset[1] / "00000.tar"), shardshuffle=False, empty_check=False)
    )
    assert [sample["__key__"] for sample in samples] == ["000000000", "000000002", "000000008", "000000009"]
    assert samples[1]["txt"].decode() == "ünïcode ☃ \U0001f600"
