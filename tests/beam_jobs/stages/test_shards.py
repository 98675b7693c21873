"""Training shards hold exactly N samples, in order, with every column, and the same bytes each time."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from beam_jobs.stages.shards import Slice, WriteTask, finish_dataset, plan_slices, write_shard
from beam_jobs.storage.files import atomic_write, write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from schemas.recipe import parse_recipe
from schemas.tables import IMAGES, PLANNED, SELECTED, conform


@pytest.mark.parametrize(
    ("kept", "samples_per_shard", "expected"),
    [
        ({0: 5, 1: 0, 2: 4}, 3, [((0, 0, 3),), ((0, 3, 5), (2, 0, 1)), ((2, 1, 4),)]),
        ({0: 1, 1: 1, 2: 1}, 10, [((0, 0, 1), (1, 0, 1), (2, 0, 1))]),
        ({0: 7}, 3, [((0, 0, 3),), ((0, 3, 6),), ((0, 6, 7),)]),
        ({2: 1, 1: 2}, 2, [((1, 0, 2),), ((2, 0, 1),)]),
        ({0: 0}, 3, []),
        ({}, 3, []),
    ],
)
def test_shards_are_full_but_the_last(
    kept: dict[int, int], samples_per_shard: int, expected: list[tuple[tuple[int, int, int], ...]]
) -> None:
    planned = plan_slices(kept, samples_per_shard=samples_per_shard)
    assert planned == [tuple(Slice(*part) for part in parts) for parts in expected]


def image_shard(folder: RunFolder, shard: int, rows: list[tuple[str, str, bool]]) -> None:
    """rows: uid, text, whether it is kept; a row whose text is `failed` has no image."""
    keys = [f"{shard:05d}{index}" for index in range(len(rows))]
    alive = [text != "failed" for _, text, _ in rows]
    uids = [uid for uid, _, _ in rows]
    texts = [text for _, text, _ in rows]
    write_table(folder.planned(shard), conform(pa.table({"uid": uids, "text": texts}), PLANNED))
    status = ["success" if ok else "failed_to_download" for ok in alive]
    width = pa.array([8 if ok else None for ok in alive], pa.int32())
    images = pa.table({"uid": uids, "key": keys, "caption": texts, "status": status, "width": width})
    write_table(folder.image_table(shard), conform(images, IMAGES))
    write_table(folder.scores("clip", shard), pa.table({"uid": uids, "clip_similarity": [0.5] * len(rows)}))
    kept = [keep for *_, keep in rows]
    write_table(folder.selected("tiny", shard), conform(pa.table({"uid": uids, "keep": kept}), SELECTED))
    with atomic_write(folder.image_tar(shard)) as file:
        tar = TarShardWriter(file)
        for key, text, ok in zip(keys, texts, alive, strict=True):
            if ok:
                tar.add(f"{key}.jpg", f"pixels of {text}".encode())
                tar.add(f"{key}.json", b"{}")
                tar.add(f"{key}.txt", text.encode())
        tar.close()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(str(tmp_path))
    image_shard(folder, 0, [("a", "one", True), ("b", "failed", False), ("c", "two", False), ("d", "drei ü", True)])
    image_shard(folder, 1, [("e", "four", True), ("e", "four", True), ("f", "five", True)])
    return folder


def task(folder: RunFolder, shard: int, *slices: Slice) -> WriteTask:
    return WriteTask(folder.work, "tiny", shard, slices, ("clip",), (), "text")


def members(path: str) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar.getmembers()}  # type: ignore[union-attr]


def test_a_shard_takes_its_rows_from_several_image_shards(folder: RunFolder) -> None:
    tally = write_shard(task(folder, 0, Slice(0, 1, 2), Slice(1, 0, 2)))
    found = members(folder.shard_tar("tiny", 0))
    assert list(found) == [
        "d-0.jpg",
        "d-0.json",
        "d-0.txt",
        "e-0.jpg",
        "e-0.json",
        "e-0.txt",
        "e-1.jpg",
        "e-1.json",
        "e-1.txt",
    ]
    assert found["d-0.jpg"] == "pixels of drei ü".encode()
    assert found["d-0.txt"] == "drei ü".encode()
    assert tally.rows_in == tally.kept == 3


def test_json_and_table_have_every_column_learned(folder: RunFolder) -> None:
    write_shard(task(folder, 0, Slice(0, 0, 2)))
    row = json.loads(members(folder.shard_tar("tiny", 0))["a-0.json"])
    assert (row["uid"], row["text"], row["width"], row["clip_similarity"]) == ("a", "one", 8, 0.5)
    assert (row["key"], row["image_key"]) == ("a-0", "000000")
    table = read_table(folder.shard_table("tiny", 0))
    assert table.to_pylist()[0] == row
    assert "reason" not in table.column_names and "status" not in table.column_names


def test_the_bytes_are_the_same_each_time(folder: RunFolder) -> None:
    first = write_shard(task(folder, 0, Slice(0, 0, 2), Slice(1, 0, 3)))
    content = Path(folder.shard_tar("tiny", 0)).read_bytes()
    assert write_shard(task(folder, 0, Slice(0, 0, 2), Slice(1, 0, 3))) == first
    assert Path(folder.shard_tar("tiny", 0)).read_bytes() == content
    assert first.digest.startswith(hashlib.sha256(content).hexdigest())


def test_a_missing_image_is_an_error_not_a_shorter_shard(folder: RunFolder) -> None:
    with atomic_write(folder.image_tar(0)) as file:
        TarShardWriter(file).close()
    with pytest.raises(KeyError, match="sample 000000 is not at its place"):
        write_shard(task(folder, 0, Slice(0, 0, 1)))
    assert not Path(folder.shard_tar("tiny", 0)).exists()


def test_sidecars_of_other_rows_are_refused(folder: RunFolder) -> None:
    write_table(folder.scores("clip", 0), pa.table({"uid": ["x"] * 4, "clip_similarity": [0.5] * 4}))
    with pytest.raises(ValueError, match="do not have the same rows"):
        write_shard(task(folder, 0, Slice(0, 0, 1)))


def test_the_manifest_counts_and_an_earlier_larger_result_goes(folder: RunFolder) -> None:
    for name in ("00001.tar", "00001.parquet", "00001_stats.json", "00002.tar"):
        write_bytes(f"{folder.shards('tiny')}/{name}", b"old")
    tally = write_shard(task(folder, 0, Slice(0, 0, 2)))
    finish_dataset(folder, parse_recipe("name: tiny\nsummary: for tests\n", "test"), [tally])
    names = sorted(path.name for path in Path(folder.shards("tiny")).iterdir())
    assert names == ["00000.parquet", "00000.tar", "00000_stats.json", "dataset"]
    manifest = json.loads(Path(folder.manifest("tiny")).read_text())
    assert manifest["samples"] == 2
    [shard] = manifest["shards"]
    assert shard["tar_sha256"] == hashlib.sha256(Path(folder.shard_tar("tiny", 0)).read_bytes()).hexdigest()
    assert "2 image-text pairs in 1 WebDataset shards" in Path(folder.card("tiny")).read_text()
