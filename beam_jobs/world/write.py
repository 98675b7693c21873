"""Writes the embedded world: a folder and a seed in; out a small web, its lists and its ground truth.

    DIR/web/<host>/<path>   pages and images, to be served by Host header (see `server.py`)
    DIR/pages.txt           the URL of each page, a line each
    DIR/urls.csv            url,text of each reference that a list of URLs could name (http, not opted out)
    DIR/truth.parquet       one row for each `<img>`, written last: where it exists, the world is whole

The same pairs, seed and `small` give the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_jobs.world.encoding import file_of
from beam_jobs.world.pages import render
from beam_jobs.world.truth import TRUTH, truth_rows
from beam_jobs.world.web import Page, Reference, pages

PAGES_PER_BATCH = 64
NOT_IN_LISTS = ("opted_out", "unsupported_scheme", "no_image_url", "invalid_url")


def write_world(folder: str | os.PathLike[str], *, pairs: int, seed: int, small: bool = False) -> None:
    """Writes a world of exactly `pairs` image references into `folder`, in place of a world that lies there.

    small: pictures of at most 128 pixels, four times as fast, for a world of many.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    truth = root / "truth.parquet"
    if truth.exists():
        truth.unlink()
        shutil.rmtree(root / "web", ignore_errors=True)
    unfinished = root / "truth.parquet.unfinished"
    with (
        open(root / "pages.txt", "w", encoding="utf-8", newline="\n") as page_list,
        open(root / "urls.csv", "w", encoding="utf-8", newline="") as url_list,
        pq.ParquetWriter(unfinished, TRUTH, compression="zstd") as truth_file,
    ):
        urls = csv.writer(url_list, lineterminator="\n")
        urls.writerow(["url", "text"])
        known: list[dict[str, Any]] = []
        for page in pages(rows=pairs, seed=seed, small=small):
            rows = truth_rows(page, _write_page(root / "web", page))
            page_list.write(page.url + "\n")
            urls.writerows((row["url"], row["text"]) for row in rows if row["expected"] not in NOT_IN_LISTS)
            known += rows
            if len(known) >= PAGES_PER_BATCH * 16:
                truth_file.write_table(_table(known))
                known = []
        if known:
            truth_file.write_table(_table(known))
    os.replace(unfinished, truth)


def _write_page(web: Path, page: Page) -> dict[str, str]:
    """Writes the page and its images; the SHA-256 of each image by `host/file`."""
    _write(web / page.host / page.file, render(page).encode())
    digests = {}
    for reference in page.references:
        data = file_of(reference.row)
        if data is None or not reference.file:
            continue
        digests[f"{reference.host}/{reference.file}"] = hashlib.sha256(data).hexdigest()
        if _owns_file(reference):
            _write(web / reference.host / reference.file, data)
    return digests


def _owns_file(reference: Reference) -> bool:
    return reference.row.place == reference.row.number


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TRUTH)
