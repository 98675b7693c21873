"""Preselection keeps, drops with the first reason, and lays the living rows out in shards."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_jobs.stages.preselect import PreselectParts
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.keys import uid, uid_order
from schemas.recipe import parse_recipe
from schemas.tables import PAIRS, PLANNED, conform

RECIPE = """
name: test
preselect:
  - drop: text LIKE 'logo%'
    reason: boilerplate
  - unique: [url, text]
    reason: duplicate_pair
  - drop: url LIKE '%.ico'
    reason: icon
"""


def write_pairs(work: str, part: int, rows: list[tuple[str, str, str | None]]) -> None:
    table = pa.table(
        {
            "uid": [uid(text, url) for url, text, _ in rows],
            "url": [url for url, _, _ in rows],
            "text": [text for _, text, _ in rows],
            "page_url": [f"http://page.test/{part}"] * len(rows),
            "reason": pa.array([reason for *_, reason in rows], pa.string()),
        }
    )
    write_table(RunFolder(work).pairs(part), conform(table, PAIRS))


@pytest.fixture
def work(tmp_path: Path) -> str:
    write_pairs(
        str(tmp_path),
        0,
        [
            ("http://a.test/1.jpg", "one", None),
            ("http://a.test/1.jpg", "one", None),
            ("http://a.test/1.jpg", "logo", None),
            ("data:,", "inline", "unsupported_scheme"),
        ],
    )
    write_pairs(
        str(tmp_path),
        1,
        [
            ("http://a.test/1.jpg", "one", None),
            ("http://a.test/2.ico", "two", None),
            ("http://a.test/3.jpg", "three", None),
            ("http://a.test/1.jpg", "another", None),
        ],
    )
    return str(tmp_path)


def preselect(work: str, *, rows_per_shard: int) -> None:
    steps = parse_recipe(RECIPE, "test").preselect
    with beam.Pipeline("FnApiRunner") as pipeline:
        parts, shards = pipeline | PreselectParts(
            work, parts=[0, 1], rows=7, steps=steps, rows_per_shard=rows_per_shard
        )
        found = parts | beam.Map(lambda made: (made[0], made[1], made[2].rows_in, sorted(made[2].reasons.items())))
        assert_that(
            found,
            equal_to(
                [
                    ("preselect", 0, 3, [("boilerplate", 1), ("duplicate_pair", 1), ("kept", 1)]),
                    ("preselect", 1, 4, [("duplicate_pair", 1), ("icon", 1), ("kept", 2)]),
                ]
            ),
            label="Parts",
        )
        rows = shards | beam.Map(lambda made: made[2].rows_in) | beam.CombineGlobally(sum)
        assert_that(rows, equal_to([3]), label="Rows")


def test_every_row_has_its_first_reason_or_a_shard(work: str) -> None:
    preselect(work, rows_per_shard=100)
    first, second = (read_table(RunFolder(work).preselected(part)).to_pylist() for part in (0, 1))
    assert [(row["reason"], row["shard"]) for row in first] == [
        (None, 0),
        ("duplicate_pair", None),
        ("boilerplate", None),
        ("unsupported_scheme", None),
    ]
    assert [(row["reason"], row["shard"]) for row in second] == [
        ("duplicate_pair", None),
        ("icon", None),
        (None, 0),
        (None, 0),
    ]


def test_planned_rows_stand_in_the_order_of_their_uids_hashes(work: str) -> None:
    preselect(work, rows_per_shard=100)
    planned = read_table(RunFolder(work).planned(0))
    assert planned.schema == PLANNED
    places = [uid_order(each) for each in planned["uid"].to_pylist()]
    assert places == sorted(places)
    assert sorted(planned["text"].to_pylist()) == ["another", "one", "three"]


def test_a_shard_holds_no_more_than_its_rows(work: str) -> None:
    preselect(work, rows_per_shard=1)
    shards = [read_table(RunFolder(work).planned(shard)).num_rows for shard in range(3)]
    assert shards == [1, 1, 1]


def test_a_rerun_gives_the_same_bytes(work: str) -> None:
    def content() -> dict[str, bytes]:
        files = [*Path(work, "planned").iterdir(), *Path(work, "preselected").iterdir()]
        return {file.name: file.read_bytes() for file in files}

    preselect(work, rows_per_shard=2)
    before = content()
    preselect(work, rows_per_shard=2)
    assert content() == before
