"""Clusters of a run folder: each row's nearest centres, what is known of its cluster, and that no order changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.matching import centres
from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.files import list_files, read_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import GroupOptions
from schemas.grouping_clusters import ClustersOptions
from schemas.keys import uid
from schemas.tables import IMAGES, conform

TOPICS, ROWS, SHARDS, WIDTH = 20, 4000, 4, 32


def lay_out(work: Path, vectors: np.ndarray, shards: int) -> list[str]:
    """Writes images/ and embeddings/ of these vectors, some rows failed; all uids in the order of their rows."""
    folder = RunFolder(str(work))
    uids = []
    for shard, part in enumerate(np.array_split(vectors, shards)):
        rows, kept = [], []
        for number, vector in enumerate(part):
            url = f"http://images.test/{shard}-{number}.jpg"
            row: dict[str, object] = {"uid": uid("text", url), "url": url, "status": "success"}
            if number % 50 == 49:
                row |= {"status": "failed_to_download", "reason": "http_404"}
            else:
                kept.append(vector)
            rows.append(row)
            uids.append(row["uid"])
        write_table(folder.image_table(shard), conform(pa.Table.from_pylist(rows, schema=IMAGES), IMAGES))
        write_embeddings(folder.image_embeddings("clip", shard), np.array(kept, dtype=np.float32))
    return uids


def run_clusters(work: Path, options: ClustersOptions, shards: Sequence[int], *flags: str) -> list[bytes]:
    """Runs the grouper; the bytes of all that it wrote, in order."""
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *flags])) as pipeline:
        pipeline | GroupShards(str(work), shards=shards, options=GroupOptions((options,)))
    folder = RunFolder(str(work))
    parts = list_files(folder.group_folder(options.label) + "/clusters")
    files = [folder.groups(options.label, shard) for shard in sorted(shards)]
    files += [folder.clusters(options.label, number) for number in range(len(parts))]
    return [read_bytes(url) for url in [*files, folder.centroids(options.label)]]


def topics(seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Rows about 20 directions, the first one far more often than the others, and which is whose."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((TOPICS, WIDTH))
    topic = np.where(rng.random(ROWS) < 0.5, 0, rng.integers(1, TOPICS, ROWS))
    vectors = directions[topic] / np.linalg.norm(directions[topic], axis=1, keepdims=True)
    vectors = vectors + 0.05 * rng.standard_normal(vectors.shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), topic


def told(work: Path, label: str, shards: int) -> pa.Table:
    return pa.concat_tables([read_table(RunFolder(str(work)).groups(label, shard)) for shard in range(shards)])


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, list[bytes]]:
    work = tmp_path_factory.mktemp("clusters")
    vectors, topic = topics()
    uids = lay_out(work, vectors, SHARDS)
    (work / "labels.csv").write_text(
        "uid,label\n" + "".join(f"{uid},topic {topic[row]}\n" for row, uid in enumerate(uids) if row % 20 == 3)
    )
    options = ClustersOptions(k=60, top=5, prototypes=10, annotated=str(work / "labels.csv"))
    return work, topic, run_clusters(work, options, range(SHARDS))


def test_each_row_is_told_its_nearest_centres(clustered: tuple[Path, np.ndarray, list[bytes]]) -> None:
    work = clustered[0]
    table = told(work, "clusters", SHARDS)
    centroids = np.load(work / "groups" / "clusters" / "centroids.npy").astype(np.float64)
    assert centroids.shape == (60, WIDTH)
    images = np.concatenate([np.load(RunFolder(str(work)).image_embeddings("clip", shard)) for shard in range(SHARDS)])
    units = images.astype(np.float64) / np.linalg.norm(images.astype(np.float64), axis=1, keepdims=True)
    kept = table.filter(table["clusters_id"].is_valid())
    assert kept.num_rows == len(images) == 3920
    cosines = units @ centroids.T
    expected = np.argsort(-cosines, axis=1, kind="stable")[:, :5]
    assert kept["clusters_top"].to_pylist() == expected.tolist()
    assert kept["clusters_id"].to_pylist() == expected[:, 0].tolist()
    similar = np.array(kept["clusters_top_similarities"].to_pylist())
    assert np.abs(similar - np.take_along_axis(cosines, expected, axis=1)).max() < 1e-6
    assert (kept["clusters_similarity"].to_numpy() == similar[:, 0].astype(np.float32)).all()


def test_sizes_are_those_of_the_whole_run_and_places_count_from_the_prototype(
    clustered: tuple[Path, np.ndarray, list[bytes]],
) -> None:
    rows = [row for row in told(clustered[0], "clusters", SHARDS).to_pylist() if row["clusters_id"] is not None]
    sizes = Counter(row["clusters_id"] for row in rows)
    assert all(row["clusters_size"] == sizes[row["clusters_id"]] for row in rows)
    assert sum(sizes.values()) == 3920
    table = read_table(RunFolder(str(clustered[0])).clusters("clusters", 0)).to_pylist()
    assert {row["cluster"]: row["size"] for row in table} == sizes
    for cluster in table:
        own = [row for row in rows if row["clusters_id"] == cluster["cluster"]]
        ranked = sorted(own, key=lambda row: row["clusters_place"] if row["clusters_place"] is not None else 99)
        places = [row["clusters_place"] for row in ranked]
        assert places == [*range(min(10, len(own))), *[None] * (len(own) - 10)]
        assert [row["uid"] for row in ranked[:10]] == cluster["prototypes"]
        similar = [row["clusters_similarity"] for row in ranked]
        assert similar[:10] == sorted(similar, reverse=True)[:10]
        assert cluster["mean_similarity"] == pytest.approx(np.mean(similar), abs=1e-5)


def test_labels_of_a_few_rows_are_spread_over_their_clusters(
    clustered: tuple[Path, np.ndarray, list[bytes]],
) -> None:
    work, topic, _ = clustered
    table = told(work, "clusters", SHARDS)
    labels = table["clusters_label"].to_pylist()
    named = [row for row, label in enumerate(labels) if label is not None]
    assert len(named) > 3500
    right = sum(labels[row] == f"topic {topic[row]}" for row in named)
    assert right >= 0.95 * len(named)
    assert min(share for share in table["clusters_label_share"].to_pylist() if share is not None) > 0.5


def test_failed_rows_hold_nulls(clustered: tuple[Path, np.ndarray, list[bytes]]) -> None:
    rows = told(clustered[0], "clusters", SHARDS).to_pylist()
    failed = [row for row in rows if row["clusters_id"] is None]
    assert len(failed) == 80
    assert all(value is None for row in failed for name, value in row.items() if name != "uid")


def test_neither_order_nor_workers_change_a_byte(clustered: tuple[Path, np.ndarray, list[bytes]]) -> None:
    work, _, made = clustered
    options = ClustersOptions(k=60, top=5, prototypes=10, annotated=str(work / "labels.csv"))
    flags = ("--direct_num_workers=2", "--direct_running_mode=multi_threading")
    assert run_clusters(work, options, [2, 0, 3, 1], *flags) == made


def test_labels_of_clusters_are_given_to_their_rows(
    clustered: tuple[Path, np.ndarray, list[bytes]], tmp_path: Path
) -> None:
    vectors, _ = topics()
    lay_out(tmp_path, vectors, SHARDS)
    (tmp_path / "labels.tsv").write_text("cluster\tlabel\n0\tfirst\n7\tseventh\n")
    run_clusters(tmp_path, ClustersOptions(k=60, annotated=str(tmp_path / "labels.tsv")), range(SHARDS))
    table = told(tmp_path, "clusters", SHARDS)
    found = {
        (row["clusters_id"], row["clusters_label"]) for row in table.to_pylist() if row["clusters_label"] is not None
    }
    assert found == {(0, "first"), (7, "seventh")}


def test_many_centres_are_fitted_in_two_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threshold is lowered, so that 400 of 4,000 rows' centres are fitted as a million's would be."""
    monkeypatch.setattr(centres, "TWO_LEVELS_FROM", 300)
    vectors, topic = topics()
    lay_out(tmp_path, vectors, SHARDS)
    made = run_clusters(tmp_path, ClustersOptions(k=400), range(SHARDS))
    known = centres.clusters_known(str(tmp_path), "clusters")
    assert (known["groups"], known["rows"], known["sampled"]) == (20, 3920, 3920)
    assert 380 <= known["clusters"] <= 400
    table = told(tmp_path, "clusters", SHARDS)
    ids = table["clusters_id"].to_pylist()
    of_cluster: dict[int, Counter[int]] = {}
    for row, cluster in enumerate(ids):
        if cluster is not None:
            of_cluster.setdefault(cluster, Counter())[int(topic[row])] += 1
    pure = sum(counts.most_common(1)[0][1] for counts in of_cluster.values())
    assert pure >= 0.98 * 3920
    assert run_clusters(tmp_path, ClustersOptions(k=400), [3, 2, 1, 0]) == made


def test_no_embedding_at_all(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    rows = [{"uid": uid("text", "a"), "status": "failed_to_download", "reason": "http_404", "url": "a"}]
    write_table(folder.image_table(0), conform(pa.Table.from_pylist(rows, schema=IMAGES), IMAGES))
    write_embeddings(folder.image_embeddings("clip", 0), np.zeros((0, 8), dtype=np.float32))
    run_clusters(tmp_path, ClustersOptions(), [0])
    [row] = told(tmp_path, "clusters", 1).to_pylist()
    assert {value for name, value in row.items() if name != "uid"} == {None}
