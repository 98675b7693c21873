from __future__ import annotations

import json
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_jobs.homes import Homes, LoadSidecars
from beam_jobs.stages.selection import SelectShards
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.recipe import parse_recipe
from schemas.tables import IMAGES, PLANNED, SELECTED, conform

RECIPE = """
name: mine
download: {rows_per_shard: 4}
score: [text_facts]
group: [exact]
select:
  - drop: text_length < 5
    reason: text_too_short
  - keep: least(width, height) >= 100
    reason: image_too_small
  - unique: [exact_group]
    prefer: [-width]
    reason: duplicate_image
  - keep: language = 'en'
    reason: not_english
"""

# uid, download's reason, width, text_length, exact_group, language
ROWS = {
    0: [
        ("u0", None, 300, 12, "g1", "en"),  # kept
        ("u1", "dns", None, None, None, "en"),  # failed before
        ("u2", None, 300, 3, None, "en"),  # too short
        ("u3", None, 900, 3, "g1", "en"),  # too short, so its group is not lost with it
    ],
    1: [
        ("u4", None, 200, 12, "g1", "en"),  # smaller than u0
        ("u5", None, 50, 12, None, "fr"),  # too small before it is not English
        ("u6", None, 400, 12, "g2", "fr"),  # wins its group, then is not English
        ("u7", None, 399, 12, "g2", "en"),  # loses its group
    ],
    2: [("u8", "http_404", None, None, None, "en")],
}


def write_run(work: Path) -> None:
    folder = RunFolder(str(work))
    for shard, rows in ROWS.items():
        uid, reason, width, length, group, language = (list(column) for column in zip(*rows, strict=True))
        planned = conform(pa.table({"uid": uid}), PLANNED)
        write_table(folder.planned(shard), planned.append_column("language", pa.array(language, pa.string())))
        sizes = pa.array(width, pa.int32())
        images = pa.table({"uid": uid, "reason": pa.array(reason, pa.string()), "width": sizes, "height": sizes})
        write_table(folder.image_table(shard), conform(images, IMAGES))
        scores = pa.table({"uid": uid, "text_length": pa.array(length, pa.int32())})
        write_table(folder.scores("text_facts", shard), scores)
        write_table(folder.groups("exact", shard), pa.table({"uid": uid, "exact_group": pa.array(group, pa.string())}))


def select(work: Path, recipe: str, expected: list[tuple[int, int, dict[str, int]]]) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | SelectShards(str(work), shards=sorted(ROWS), recipe=parse_recipe(recipe, "mine.yaml"))
        found = made | beam.Map(lambda each: (each[0], each[1], each[2].rows_in, dict(each[2].reasons)))
        assert_that(found, equal_to([("select/mine", *each) for each in expected]))


def selected(work: Path, shard: int) -> list[tuple[str, bool, str | None]]:
    table = read_table(RunFolder(str(work)).selected("mine", shard))
    assert table.schema.remove_metadata() == SELECTED
    return list(zip(*(table[name].to_pylist() for name in SELECTED.names), strict=True))


def test_each_row_is_kept_or_has_its_first_reason(tmp_path: Path) -> None:
    write_run(tmp_path)
    select(
        tmp_path,
        RECIPE,
        [
            (0, 3, {"kept": 1, "text_too_short": 2}),
            (1, 4, {"duplicate_image": 2, "image_too_small": 1, "not_english": 1}),
            (2, 0, {}),
        ],
    )
    assert selected(tmp_path, 0) == [
        ("u0", True, None),
        ("u1", False, "dns"),
        ("u2", False, "text_too_short"),
        ("u3", False, "text_too_short"),
    ]
    assert selected(tmp_path, 1) == [
        ("u4", False, "duplicate_image"),
        ("u5", False, "image_too_small"),
        ("u6", False, "not_english"),
        ("u7", False, "duplicate_image"),
    ]
    assert selected(tmp_path, 2) == [("u8", False, "http_404")]


def test_top_contests_look_at_all_shards(tmp_path: Path) -> None:
    write_run(tmp_path)
    # By width: u3 900, u6 400, u7 399, then u0 and u2 300 (u2 is first in the order of uids), u4 200, u5 50.
    steps = """
select:
  - top_k: 4
    by: [-width]
  - top_fraction: 0.5
    by: [width]
    per: [language]
    reason: too_wide
"""
    select(
        tmp_path,
        f"name: mine\ndownload: {{rows_per_shard: 4}}\ngroup: [exact]\nscore: [text_facts]{steps}",
        [
            (0, 3, {"below_top_k": 1, "kept": 1, "too_wide": 1}),
            (1, 4, {"below_top_k": 2, "too_wide": 2}),
            (2, 0, {}),
        ],
    )
    assert selected(tmp_path, 0) == [
        ("u0", False, "below_top_k"),
        ("u1", False, "dns"),
        ("u2", True, None),
        ("u3", False, "too_wide"),
    ]
    assert selected(tmp_path, 1) == [
        ("u4", False, "below_top_k"),
        ("u5", False, "below_top_k"),
        ("u6", False, "too_wide"),  # half of one row is none
        ("u7", False, "too_wide"),  # and of three rows one
    ]


@pytest.mark.parametrize(
    ("threshold", "expected", "kept"),
    [
        # Half of the seven rows are three places. By width: u3 900, u6 400, u7 399, u2 300, u0 300, u4 200, u5 50.
        (500, [{"kept": 1, "below": 2}, {"kept": 2, "below": 2}], {"u3", "u6", "u7"}),
        (100, [{"kept": 3}, {"kept": 3, "below": 1}], {"u3", "u6", "u7", "u2", "u0", "u4"}),
    ],
)
def test_a_least_share_stays_where_too_few_meet_a_threshold(
    tmp_path: Path, threshold: int, expected: list[dict[str, int]], kept: set[str]
) -> None:
    write_run(tmp_path)
    step = f"{{top_fraction: 0.5, by: [-width], unless: width > {threshold}, reason: below}}"
    select(tmp_path, f"name: mine\nselect: [{step}]", [(0, 3, expected[0]), (1, 4, expected[1]), (2, 0, {})])
    assert {uid for shard in (0, 1) for uid, keep, _ in selected(tmp_path, shard) if keep} == kept


def test_without_steps_all_that_was_downloaded_is_kept(tmp_path: Path) -> None:
    write_run(tmp_path)
    select(tmp_path, "name: mine", [(0, 3, {"kept": 3}), (1, 4, {"kept": 4}), (2, 0, {})])
    assert selected(tmp_path, 0)[:2] == [("u0", True, None), ("u1", False, "dns")]


def test_a_sidecar_of_other_rows_is_an_error(tmp_path: Path) -> None:
    write_run(tmp_path)
    folder = RunFolder(str(tmp_path))
    table = read_table(folder.scores("text_facts", 1))
    write_table(folder.scores("text_facts", 1), table.take(pa.array([1, 0, 2, 3])))
    load = LoadSidecars(str(tmp_path), Homes.of(parse_recipe(RECIPE, "mine.yaml")))
    with pytest.raises(ValueError, match=r"00001\.parquet does not have the rows of .*00001\.parquet"):
        load(1, ["text_length"])


def test_columns_are_read_from_the_sidecar_that_holds_them(tmp_path: Path) -> None:
    write_run(tmp_path)
    load = LoadSidecars(str(tmp_path), Homes.of(parse_recipe(RECIPE, "mine.yaml")))
    table, alive = load(0, ["width", "language", "text_length", "exact_group", "uid"])
    assert table.column_names == ["uid", "width", "language", "text_length", "exact_group"]
    assert table.to_pylist()[3] == {
        "uid": "u3",
        "width": 900,
        "language": "en",
        "text_length": 3,
        "exact_group": "g1",
    }
    assert alive.tolist() == [True, False, True, True]


def test_what_is_kept_is_binned_and_weighed_and_told(tmp_path: Path) -> None:
    recipe = """
name: mine
score: [text_facts]
select: [{drop: text_length < 5, reason: short}]
columns:
  - {bins: 2, of: width, as: size}
  - {weight: width / m, as: weight, means: {m: width}}
"""
    write_run(tmp_path)
    select(tmp_path, recipe, [(0, 3, {"kept": 1, "short": 2}), (1, 4, {"kept": 4}), (2, 0, {})])
    folder = RunFolder(str(tmp_path))
    facts = json.loads((tmp_path / "selected/mine/columns.json").read_text())
    # Kept: 300, 200, 50, 400, 399.
    assert facts == {"size": {"edges": [50.0, 225.0, 400.0]}, "weight": {"means": {"m": 269.8}}}
    found = [read_table(folder.selected("mine", shard)) for shard in sorted(ROWS)]
    assert [table["size"].to_pylist() for table in found] == [[1, None, None, None], [0, 0, 1, 1], [None]]
    assert [table["size_low"].to_pylist() for table in found][1] == [50.0, 50.0, 225.0, 225.0]
    assert found[0]["weight"].to_pylist() == [300 / 269.8, None, None, None]
    assert found[2].schema.field("size").type == pa.int32()
