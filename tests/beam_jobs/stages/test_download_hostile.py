"""Bad and odd files of other projects' tests, through a whole shard: no crash, no hang, every row accounted for."""

from __future__ import annotations

import csv
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pytest

from beam_jobs.fetching.addresses import ResolveRule
from beam_jobs.stages.download import DownloadOptions, DownloadTask, download_shard
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import iter_samples
from schemas.keys import uid
from schemas.reasons import FAILURES
from schemas.tables import PLANNED, conform


@pytest.fixture
def files(shared_folder: Path) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """The port of a server of the hostile files, and what is known of each."""
    folder = shared_folder / "hostile"

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = folder / unquote(self.path).lstrip("/")
            body = path.read_bytes() if path.is_file() else b""
            self.send_response(200 if path.is_file() else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with open(folder / "manifest.tsv", newline="", encoding="utf-8") as file:
        known = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, known
    server.shutdown()
    server.server_close()


def test_every_hostile_file_ends_with_an_image_or_a_reason(files, tmp_path):
    port, known = files
    folder = RunFolder(str(tmp_path))
    urls = [f"http://host{number % 20}.test/{quote(row['path'])}" for number, row in enumerate(known)]
    columns = {"uid": [uid("a text", url) for url in urls], "url": urls, "text": ["a text"] * len(urls)}
    write_table(folder.planned(0), conform(pa.table(columns), PLANNED))
    section = {"resize": "keep_ratio", "max_pixels": 40_000_000}
    options = DownloadOptions.build(section, resolve=[ResolveRule("*.test", "127.0.0.1", port)], deadline=120.0)
    tally = download_shard(DownloadTask(str(tmp_path), 0, options))

    rows = read_table(folder.image_table(0)).to_pylist()
    assert (tally.rows_in, sum(tally.reasons.values()), len(rows)) == (692, 692, 692)
    assert [row["url"] for row in rows] == urls
    assert {row["reason"] for row in rows} - {None} <= set(FAILURES)
    assert all((row["status"] == "success") == (row["reason"] is None) for row in rows)
    with open(folder.image_tar(0), "rb") as file:
        stored = [sample.key for sample in iter_samples(file) if sample.members["jpg"]]
    assert stored == [row["key"] for row in rows if row["reason"] is None]

    by_kind: dict[str, Counter[str]] = {}
    for about, row in zip(known, rows, strict=True):
        by_kind.setdefault(about["path"].partition("/")[0], Counter())[row["reason"] or "kept"] += 1
    assert not by_kind["images"].keys() & {"decoder_crash", "decoder_timeout", "timeout", "connect", "bad_response"}
    assert by_kind["images"]["kept"] > 250
    assert by_kind["warc"] == {"not_an_image": 18}
    assert by_kind["html"].keys() <= {"not_an_image", "svg", "empty_body"}
