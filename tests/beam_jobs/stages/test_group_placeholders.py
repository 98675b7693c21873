"""Placeholders: one content under many URLs and texts is marked; a logo and a picture seen everywhere are not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import GroupOptions, parse_group
from schemas.grouping_placeholders import PlaceholdersOptions
from schemas.keys import uid
from schemas.tables import IMAGES, conform

# content, URL, text; a row without content failed to download
ROWS: list[tuple[str | None, str, str]] = [
    *(("missing", f"http://shop{n % 3}.test/p/{n}.jpg", f"Product {n}") for n in range(12)),
    *(("logo", "http://news.test/logo.png", f"The news of day {n}") for n in range(12)),
    *(("viral", f"http://host{n}.test/cat.jpg", ["A cat", " a  CAT ", "Cat"][n % 3]) for n in range(12)),
    ("alone", "http://alone.test/a.jpg", "alone"),
    (None, "http://alone.test/b.jpg", "failed"),
]
MARKED = GroupOptions((PlaceholdersOptions(urls=10, texts=10),))


def lay_out(work: Path, shards: int) -> None:
    folder = RunFolder(str(work))
    for shard in range(shards):
        made = []
        for content, url, text in ROWS[shard::shards]:
            row = {"uid": uid(text, url), "url": url, "caption": text, "status": "failed_to_download", "reason": "dns"}
            if content is not None:
                row |= {"status": "success", "reason": None, "sha256": hashlib.sha256(content.encode()).hexdigest()}
            made.append(row)
        table = pa.Table.from_pylist(made, schema=IMAGES)
        write_table(folder.image_table(shard), conform(table, IMAGES))
        write_table(folder.planned(shard), table.select(["uid"]))


def told(work: Path, shards: int, options: GroupOptions) -> dict[str, tuple[object, ...]]:
    """Columns by URL and text, in the sidecars' order."""
    lay_out(work, shards)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        pipeline | GroupShards(str(work), shards=range(shards), options=options)
    folder = RunFolder(str(work))
    found = {}
    for shard in range(shards):
        sidecar = read_table(folder.groups("placeholder", shard))
        assert sidecar.column_names == [
            "uid",
            "placeholder",
            "placeholder_urls",
            "placeholder_texts",
            "placeholder_hosts",
        ]
        assert sidecar["uid"].equals(read_table(folder.image_table(shard), ["uid"])["uid"])
        for row in sidecar.to_pylist():
            found[row["uid"]] = tuple(row.values())[1:]
    return found


@pytest.mark.parametrize("shards", [1, 5])
def test_counts_and_marks_do_not_depend_on_how_rows_lie_in_shards(tmp_path: Path, shards: int) -> None:
    expected = {"missing": (True, 12, 12, 3), "logo": (False, 1, 12, 1), "viral": (False, 12, 2, 12)}
    expected |= {"alone": (False, 1, 1, 1)}
    found = told(tmp_path, shards, MARKED)
    for content, url, text in ROWS:
        assert found[uid(text, url)] == (expected[content] if content else (None,) * 4), url


def test_hosts_can_be_asked_for(tmp_path: Path) -> None:
    found = told(tmp_path, 2, GroupOptions((PlaceholdersOptions(urls=10, texts=10, hosts=4),)))
    assert [row for row in found.values() if row[0]] == []


def test_it_is_a_grouper_of_recipes() -> None:
    options = parse_group(["placeholders", {"placeholders": {"urls": 50, "label": "many"}}])
    assert [grouper.urls for grouper in options.groupers] == [20, 50]
    assert list(options.groupers[1].columns) == ["many", "many_urls", "many_texts", "many_hosts"]
    with pytest.raises(ValueError, match="urls: expected at least 2"):
        parse_group([{"placeholders": {"urls": 1}}])
    with pytest.raises(ValueError, match="texts: expected a whole number"):
        parse_group([{"placeholders": {"texts": "many"}}])
