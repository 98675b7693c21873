"""Perceptual duplicates of a run folder: real versions of one photograph, and nothing that depends on how it ran."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from beam_jobs.matching import perceptual_steps
from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.pdq import pdq
from schemas.grouping import GroupOptions, PerceptualOptions
from schemas.tables import IMAGES, conform

Row = tuple[str, str | None, int]


def lay_out(work: Path, rows: Sequence[Row], shards: int) -> None:
    """images/ and scores/pdq of rows (uid, hash, width); a row without a hash has failed."""
    folder = RunFolder(str(work))
    size = -(-len(rows) // shards)
    for shard in range(shards):
        part = rows[shard * size : (shard + 1) * size]
        status = ["failed_to_download" if digest is None else "success" for _, digest, _ in part]
        table = pa.table(
            {
                "uid": [uid for uid, _, _ in part],
                "status": status,
                "original_width": pa.array([width for _, _, width in part], pa.int32()),
                "original_height": pa.array([100] * len(part), pa.int32()),
            }
        )
        write_table(folder.image_table(shard), conform(table, IMAGES))
        write_table(folder.planned(shard), table.select(["uid"]))
        quality = pa.array([None if digest is None else 100 for _, digest, _ in part], pa.int32())
        digests = pa.array([digest for _, digest, _ in part], pa.string())
        scores = pa.table({"uid": table["uid"], "pdq": digests, "pdq_quality": quality})
        write_table(folder.scores("pdq", shard), scores)


def group(work: Path, shards: Sequence[int], count: int) -> dict[str, dict[str, object]]:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        options = GroupOptions((PerceptualOptions(keep=("most_pixels",)),))
        pipeline | GroupShards(str(work), shards=shards, options=options, scores=["pdq"])
    tables = [read_table(RunFolder(str(work)).groups("perceptual", shard)) for shard in range(count)]
    return {row["uid"]: row for table in tables for row in table.to_pylist()}


def test_versions_of_a_photograph_are_one_group_and_others_are_not(shared_folder: Path, tmp_path: Path) -> None:
    folder = shared_folder / "near_duplicates"
    with (folder / "manifest.tsv").open() as file:
        files = [
            row for row in csv.DictReader(file, delimiter="\t") if row["decodes"] == "True" and int(row["w"]) < 1200
        ]
    rows: list[Row] = []
    for row in files:
        with Image.open(folder / row["path"]) as image:
            digest, quality = pdq(image)
        if quality >= 50:
            rows.append((row["path"], digest, int(row["w"])))
    lay_out(tmp_path, [*rows, ("failed", None, 0)], shards=3)
    found = group(tmp_path, range(3), 3)
    squares = [uid for uid, _, _ in rows if "square-" in uid or "shrink-" in uid]
    assert len(squares) >= 4
    assert len({found[uid]["perceptual_group"] for uid in squares}) == 1
    survivor = max((row for row in rows if row[0] in squares), key=lambda row: row[2])[0]
    assert found[survivor]["perceptual_duplicate_of"] is None
    assert {found[uid]["perceptual_duplicate_of"] for uid in squares} == {None, survivor}
    hashes = {uid: int(digest or "0", 16) for uid, digest, _ in rows}
    for uid in set(squares) - {survivor}:
        assert found[uid]["perceptual_distance"] == (hashes[uid] ^ hashes[survivor]).bit_count()
    assert set(found["failed"].values()) == {"failed", None}


def test_parts_of_bands_lose_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 256, (600, 32), dtype=np.uint8)
    for row in range(0, 300, 2):
        bits = np.unpackbits(hashes[row])
        bits[rng.choice(256, row % 36, replace=False)] ^= 1
        hashes[row + 1] = np.packbits(bits)
    rows = [(f"{number:03d}", hashes[number].tobytes().hex(), 100) for number in range(600)]
    for name, shards in (("whole", 2), ("parted", 3)):
        lay_out(tmp_path / name, rows, shards)
    whole = group(tmp_path / "whole", range(2), 2)
    monkeypatch.setattr(perceptual_steps, "PART_ROWS", 8)
    assert perceptual_steps.prefix_bits(600) == 7
    parted = group(tmp_path / "parted", [2, 0, 1], 3)
    assert parted == whole
    joined = {row["uid"] for row in whole.values() if row["perceptual_size"] == 2}
    assert joined == {f"{row + side:03d}" for row in range(0, 300, 2) if row % 36 <= 31 for side in (0, 1)}
