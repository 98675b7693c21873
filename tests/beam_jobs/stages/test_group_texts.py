"""Texts of dropped copies kept with their survivor, and copies by the hash of their pixels, in any layout of shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.files import write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import ExactOptions, Grouper, GroupOptions, NearOptions, PerceptualOptions
from schemas.tables import IMAGES, conform

# uid, what the picture shows, width, caption
ROWS = [
    ("a", "barn", 100, "a barn"),
    ("b", "barn", 300, "a red barn"),
    ("c", "barn", 200, "farm"),
    ("d", "barn", 200, "a red barn"),
    ("e", "barn", 100, "a barn"),
    ("f", "barn", 100, ""),
    ("g", "tree", 100, "an oak"),
    ("h", "tree", 200, "an oak"),
    ("i", "lake", 100, "a lake"),
]
BARN = ["a barn", "farm"]


def lay_out(work: Path, rows: Sequence[tuple[str, str, int, str]], shards: int) -> None:
    folder = RunFolder(str(work))
    shown = {name: number for number, name in enumerate(("barn", "tree", "lake"))}
    for shard in range(shards):
        part = [row for number, row in enumerate(rows) if number % shards == shard]
        table = pa.table(
            {
                "uid": [uid for uid, *_ in part],
                "status": ["success"] * len(part),
                "caption": [caption for *_, caption in part],
                "original_width": pa.array([width for _, _, width, _ in part], pa.int32()),
                "original_height": pa.array([10] * len(part), pa.int32()),
            }
        )
        write_table(folder.image_table(shard), conform(table, IMAGES))
        write_table(folder.planned(shard), table.select(["uid"]))
        pixels = [f"{shown[name]:02x}" * 32 for _, name, _, _ in part]
        quality = pa.array([100] * len(part), pa.int32())
        scores = {"uid": table["uid"], "pixel_sha256": pixels, "pdq": pixels, "pdq_quality": quality}
        write_table(folder.scores("hashes", shard), pa.table(scores))
        np.save(work / "vectors.npy", np.eye(3, dtype=np.float16)[[shown[name] for _, name, _, _ in part]])
        write_bytes(folder.image_embeddings("clip", shard), (work / "vectors.npy").read_bytes())


def group(work: Path, grouper: Grouper, shards: Sequence[int]) -> dict[str, dict[str, object]]:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | GroupShards(str(work), shards=shards, options=GroupOptions((grouper,)), scores=["hashes"])
    tables = [read_table(RunFolder(str(work)).groups(grouper.label, shard)) for shard in sorted(shards)]
    assert all(table.schema.field(-1).type == pa.list_(pa.string()) for table in tables)
    return {row["uid"]: row for table in tables for row in table.to_pylist()}


@pytest.mark.parametrize(
    "grouper",
    [
        ExactOptions(by="pixels", keep=("most_pixels",), texts=5),
        PerceptualOptions(keep=("most_pixels",), texts=5),
        NearOptions(keep=("most_pixels",), texts=5),
    ],
    ids=["exact", "perceptual", "near"],
)
def test_survivors_are_given_the_other_texts_of_their_copies(grouper: Grouper, tmp_path: Path) -> None:
    lay_out(tmp_path, ROWS, shards=3)
    found = group(tmp_path, grouper, [2, 0, 1])
    texts = {uid: row[f"{grouper.label}_texts"] for uid, row in found.items()}
    assert texts == {**dict.fromkeys("acdefghi"), "b": BARN}
    copies = {uid: row[f"{grouper.label}_duplicate_of"] for uid, row in found.items()}
    assert copies == {**dict.fromkeys("acdef", "b"), "g": "h", **dict.fromkeys("bhi")}


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_as_many_texts_as_asked_for_by_lowest_uid_on_any_layout(shards: int, tmp_path: Path) -> None:
    crowd = [(f"{number:03d}", "barn", 10, f"text {number % 40}") for number in range(1, 200)]
    rows = [("zzz", "barn", 900, "text 2"), *crowd]
    lay_out(tmp_path, rows, shards)
    found = group(tmp_path, ExactOptions(by="pixels", texts=4), range(shards))
    assert found["zzz"]["exact_texts"] == ["text 1", "text 3", "text 4", "text 5"]
    assert {row["exact_size"] for row in found.values()} == {200}


def test_no_column_of_texts_where_none_are_asked_for() -> None:
    assert "exact_texts" not in ExactOptions().columns
    with pytest.raises(ValueError, match="texts: expected a whole number of 0 to 1000; given -1"):
        ExactOptions(texts=-1)
    with pytest.raises(ValueError, match="unknown key 'colour'; known: sha256, pixels, url, text, uid"):
        ExactOptions(by="colour")
