"""Images by the queries that they are nearest to, and the files that groupers are given."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.recipes import launched_recipe
from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import GroupOptions
from schemas.grouping_clusters import RetrievedOptions
from schemas.keys import uid
from schemas.refusal import Refusal
from schemas.tables import IMAGES, conform

WIDTH = 16


@pytest.fixture
def run_folder(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Two shards of 300 rows; the second row of each has failed."""
    vectors = np.random.default_rng(4).standard_normal((600, WIDTH)).astype(np.float16)
    folder = RunFolder(str(tmp_path))
    for shard in range(2):
        names = [f"http://images.test/{shard}-{row}.jpg" for row in range(300)]
        rows = [{"uid": uid("text", url), "url": url, "status": "success"} for url in names]
        rows[1] |= {"status": "failed_to_download", "reason": "http_404"}
        write_table(folder.image_table(shard), conform(pa.Table.from_pylist(rows, schema=IMAGES), IMAGES))
        part = np.delete(vectors[shard * 300 : (shard + 1) * 300], 1, axis=0)
        write_embeddings(folder.image_embeddings("clip", shard), part.astype(np.float32))
    return tmp_path, vectors


def test_each_row_is_told_its_nearest_query_and_the_first_their_place(run_folder: tuple[Path, np.ndarray]) -> None:
    work, vectors = run_folder
    queries = np.random.default_rng(5).standard_normal((3, WIDTH)).astype(np.float32)
    np.save(work / "queries.npy", queries)
    options = RetrievedOptions(queries=str(work / "queries.npy"), top=20)
    with beam.Pipeline("FnApiRunner") as pipeline:
        pipeline | GroupShards(str(work), shards=[1, 0], options=GroupOptions((options,)))
    rows = [
        row for shard in range(2) for row in read_table(RunFolder(str(work)).groups("retrieved", shard)).to_pylist()
    ]
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    cosines = wide @ (queries / np.linalg.norm(queries, axis=1, keepdims=True)).T.astype(np.float64)
    for number, row in enumerate(rows):
        if number % 300 == 1:
            assert set(row.values()) == {row["uid"], None}
            continue
        assert row["retrieved_query"] == cosines[number].argmax()
        assert row["retrieved_similarity"] == pytest.approx(cosines[number].max(), abs=1e-6)
    for query in range(3):
        own = sorted(
            (row for row in rows if row["retrieved_query"] == query), key=lambda row: -row["retrieved_similarity"]
        )
        assert len(own) > 100
        assert [row["retrieved_place"] for row in own] == [*range(20), *[None] * (len(own) - 20)]


RECIPE = """
name: mine
given:
  queries: what to look for
score: [clip]
group:
  - retrieved: {queries: given:queries, top: 5}
select:
  - keep: retrieved_place is not null
    reason: not_retrieved
"""


def test_a_file_of_queries_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    file = tmp_path / "queries.npy"
    digests = []
    for value in (1, 2):
        np.save(file, np.full((1, WIDTH), value, np.float32))
        [grouper] = launched_recipe(str(tmp_path / "recipe.yaml"), {"queries": str(file)}).group.groupers
        assert isinstance(grouper, RetrievedOptions)
        digests.append(grouper.sha256)
    assert len(set(digests)) == 2
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "queries.npy cannot be read"),
        (np.zeros((2, 4), np.int32), "expected a matrix of floats, a row a query; it holds int32 of (2, 4)"),
        (np.zeros((2, 4), np.float32), "a query is all zero"),
    ],
)
def test_what_is_no_file_of_queries_is_refused_at_launch(tmp_path: Path, written: np.ndarray | None, said: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    if written is not None:
        np.save(tmp_path / "queries.npy", written)
    with pytest.raises(Refusal) as refused:
        launched_recipe(str(tmp_path / "recipe.yaml"), {"queries": str(tmp_path / "queries.npy")})
    assert "recipe.yaml: group[0].queries: " in str(refused.value)
    assert said in str(refused.value)


def test_annotations_without_labels_are_refused_at_launch(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("uid,kind\nabc,photo\n")
    recipe = RECIPE.replace("retrieved: {queries: given:queries, top: 5}", "clusters: {annotated: given:queries}")
    (tmp_path / "recipe.yaml").write_text(recipe.replace("retrieved_place is not null", "clusters_label = 'photo'"))
    with pytest.raises(Refusal, match="expected the columns label and one of uid, cluster; there are uid, kind"):
        launched_recipe(str(tmp_path / "recipe.yaml"), {"queries": str(tmp_path / "labels.csv")})
