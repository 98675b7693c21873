"""Neighbours of a run folder against brute force: which they are, how near, and with which texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.files import read_bytes, read_json
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import GroupOptions
from schemas.grouping_clusters import NeighboursOptions
from schemas.keys import uid
from schemas.tables import IMAGES, conform

WIDTH, SHARDS = 32, 4


def lay_out(work: Path, vectors: np.ndarray) -> dict[str, int]:
    """Writes images/ and embeddings/, a row of each fifty failed; the number of each image's vector by uid."""
    folder, numbers = RunFolder(str(work)), {}
    for shard, part in enumerate(np.array_split(np.arange(len(vectors)), SHARDS)):
        rows, kept = [], []
        for number in part.tolist():
            url = f"http://images.test/{number}.jpg"
            row = {"uid": uid("text", url), "url": url, "status": "success", "caption": f"picture {number}"}
            if number % 50 == 49:
                row |= {"status": "failed_to_download", "reason": "http_404"}
            else:
                kept.append(vectors[number])
                numbers[row["uid"]] = number
            rows.append(row)
        write_table(folder.image_table(shard), conform(pa.Table.from_pylist(rows, schema=IMAGES), IMAGES))
        write_embeddings(folder.image_embeddings("clip", shard), np.array(kept, dtype=np.float32))
    return numbers


def run_neighbours(
    work: Path, options: NeighboursOptions, shards: Sequence[int] = range(SHARDS), *flags: str
) -> list[bytes]:
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *flags])) as pipeline:
        pipeline | GroupShards(str(work), shards=shards, options=GroupOptions((options,)))
    return [read_bytes(RunFolder(str(work)).groups("neighbours", shard)) for shard in range(SHARDS)]


def told(work: Path) -> list[dict[str, object]]:
    tables = [read_table(RunFolder(str(work)).groups("neighbours", shard)) for shard in range(SHARDS)]
    return [row for table in tables for row in table.to_pylist()]


def topics(count: int) -> np.ndarray:
    rng = np.random.default_rng(17)
    centres = rng.standard_normal((count // 40, WIDTH))
    vectors = centres[rng.integers(0, len(centres), count)] + 0.5 * rng.standard_normal((count, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def brute_force(
    vectors: np.ndarray, numbers: dict[str, int], k: int, below: float
) -> dict[str, list[tuple[str, float]]]:
    uids = sorted(numbers)
    wide = vectors[[numbers[each] for each in uids]].astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    cosines = wide @ wide.T
    np.fill_diagonal(cosines, -2)
    cosines[cosines >= below] = -2
    first = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return {
        name: [(uids[other], cosines[row, other]) for other in first[row] if cosines[row, other] > -2]
        for row, name in enumerate(uids)
    }


def test_in_one_block_they_are_those_of_brute_force(tmp_path: Path) -> None:
    vectors = topics(1200)
    vectors[7] = vectors[3]
    vectors[1100] = vectors[3]
    numbers = lay_out(tmp_path, vectors)
    made = run_neighbours(tmp_path, NeighboursOptions(k=4, below=0.97))
    expected = brute_force(vectors, numbers, 4, 0.97)
    rows = told(tmp_path)
    assert len(rows) == 1200
    for row in rows:
        if row["uid"] not in expected:
            assert row["neighbours_uids"] is row["neighbours_texts"] is row["neighbours_similarities"] is None
            continue
        near = expected[row["uid"]]
        assert row["neighbours_uids"] == [name for name, _ in near]
        assert row["neighbours_similarities"] == pytest.approx([cosine for _, cosine in near], abs=1e-6)
        assert row["neighbours_texts"] == [f"picture {numbers[name]}" for name, _ in near]
    again = run_neighbours(
        tmp_path,
        NeighboursOptions(k=4, below=0.97),
        [3, 1, 0, 2],
        "--direct_num_workers=2",
        "--direct_running_mode=multi_threading",
    )
    assert again == made


def test_over_cells_no_more_are_missed_than_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one block forbidden, so that 4,000 rows lie in 62 cells as millions do in thousands."""
    monkeypatch.setattr("beam_jobs.matching.neighbour_steps.ONE_BLOCK_ROWS", 0)
    vectors = topics(4000)
    numbers = lay_out(tmp_path, vectors)
    run_neighbours(tmp_path, NeighboursOptions(k=5, recall=0.95))
    facts = read_json(str(tmp_path / "groups" / "neighbours" / "cells.json"))
    assert facts["cells"] == 62
    assert facts["measured_recall"] >= 0.95
    assert facts["mean_visits"] < 20
    expected = brute_force(vectors, numbers, 5, 0.999)
    rows = {row["uid"]: row["neighbours_uids"] for row in told(tmp_path)}
    found = sum(len({name for name, _ in near} & set(rows[uid])) for uid, near in expected.items())
    assert found >= 0.95 * 5 * len(expected)


def test_a_crowd_of_identical_images_has_no_neighbours_in_itself(tmp_path: Path) -> None:
    vectors = topics(400)
    vectors[:200] = vectors[0]
    numbers = lay_out(tmp_path, vectors)
    run_neighbours(tmp_path, NeighboursOptions(k=3))
    crowd = {name for name, number in numbers.items() if number < 200}
    for row in told(tmp_path):
        if row["uid"] in crowd:
            assert len(row["neighbours_uids"]) == 3
            assert not crowd & set(row["neighbours_uids"])
