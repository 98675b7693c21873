"""Index files of embeddings, opened as others open them: by faiss, and with clip-retrieval's way to the metadata."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.cli import main
from beam_jobs.search_index import kind_of_index, write_search_indexes
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder

ROWS, WIDTH, SHARDS = 3000, 32, 3


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Rows about 60 directions in three shards, with their metadata; a row that cannot be compared."""
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((60, WIDTH))
    vectors = directions[rng.integers(0, 60, ROWS)] + 0.7 * rng.standard_normal((ROWS, WIDTH))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    vectors[1500] = 0
    work = tmp_path_factory.mktemp("embedded")
    folder = RunFolder(str(work))
    for shard, part in enumerate(np.array_split(np.arange(ROWS), SHARDS)):
        write_embeddings(folder.image_embeddings("clip", shard), vectors[part])
        write_embeddings(folder.text_embeddings("clip", shard), vectors[part][:, ::-1])
        captions = [f"picture {row}" for row in part]
        write_table(folder.embedding_table("clip", shard), pa.table({"image_path": captions, "caption": captions}))
    return work, vectors


def captions_of(work: Path) -> list[str]:
    """As clip-retrieval numbers them: the rows of all files of metadata/, by name."""
    files = sorted((work / "embeddings" / "clip" / "metadata").glob("*.parquet"))
    return pa.concat_tables([read_table(str(file)) for file in files])["caption"].to_pylist()


def test_a_flat_index_finds_what_brute_force_finds(embedded: tuple[Path, np.ndarray]) -> None:
    work, vectors = embedded
    image, text = write_search_indexes(str(work), "clip")
    assert (image.file, image.kind, image.rows, image.width, image.recall_10) == ("image.index", "Flat", 3000, 32, 1.0)
    assert text.file == "text.index"
    opened = faiss.read_index(str(work / "embeddings" / "clip" / "image.index"))
    assert opened.ntotal == ROWS
    asked = vectors[[5, 1700, 2900]].astype(np.float32)
    _, found = opened.search(asked, 10)
    wide = vectors.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9)
    expected = np.argsort(-(asked.astype(np.float64) @ wide.T), axis=1, kind="stable")[:, :10]
    assert [set(row) for row in found.tolist()] == [set(row) for row in expected.tolist()]
    assert [captions_of(work)[row] for row in found[:, 0]] == ["picture 5", "picture 1700", "picture 2900"]


@pytest.mark.parametrize(
    ("most_bytes", "kind"),
    [(ROWS * (2 * WIDTH + 8), "IVF76,SQfp16"), (ROWS * (WIDTH + 8), "IVF76,SQ8")],
)
def test_less_memory_makes_a_smaller_index_that_still_finds_them(
    embedded: tuple[Path, np.ndarray], most_bytes: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_jobs.search_index.FLAT_ROWS", 1000)
    work, vectors = embedded
    image, _ = write_search_indexes(str(work), "clip", most_bytes=most_bytes)
    assert image.kind == kind
    path = work / "embeddings" / "clip" / "image.index"
    opened = faiss.read_index(str(path))
    assert opened.nprobe == image.probes
    assert path.stat().st_size < most_bytes + 76 * WIDTH * 4 + 100_000
    assert image.recall_10 >= 0.95
    _, found = opened.search(vectors[:200].astype(np.float32), 10)
    similar = vectors.astype(np.float32) @ vectors[:200].astype(np.float32).T
    expected = np.argsort(-similar.T, axis=1)[:, :10]
    recall = np.mean([np.isin(row, hits).mean() for row, hits in zip(expected, found, strict=True)])
    assert recall >= 0.9
    written = path.read_bytes()
    assert write_search_indexes(str(work), "clip", most_bytes=most_bytes)[0] == image
    assert path.read_bytes() == written


def test_product_codes_take_a_fraction_of_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_jobs.search_index.FLAT_ROWS", 100)
    vectors = np.random.default_rng(1).standard_normal((600, 128))
    folder = RunFolder(str(tmp_path))
    write_embeddings(folder.image_embeddings("clip", 0), vectors)
    write_table(folder.embedding_table("clip", 0), pa.table({"image_path": ["x"] * 600}))
    [index] = write_search_indexes(str(tmp_path), "clip", most_bytes=600 * 40)
    assert index.kind == "IVF15,PQ32np"
    opened = faiss.read_index(str(tmp_path / "embeddings" / "clip" / "image.index"))
    _, found = opened.search(vectors[:50].astype(np.float32), 5)
    assert np.mean([row in hits for row, hits in enumerate(found)]) >= 0.9


@pytest.mark.parametrize(
    ("rows", "most_bytes", "kind"),
    [
        (20_000, 4 << 30, "Flat"),
        (1_000_000, 4 << 30, "IVF4000,SQfp16"),
        (5_000_000, 4 << 30, "IVF8944,SQ8"),
        (100_000_000, 16 << 30, "IVF40000,PQ128np"),
        (5_000_000_000, 128 << 30, "IVF282842,PQ16np"),
    ],
)
def test_the_kind_follows_from_rows_and_memory(rows: int, most_bytes: int, kind: str) -> None:
    assert kind_of_index(rows, 512, most_bytes) == kind


def test_the_command_writes_both_and_tells_their_recall(
    embedded: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    work = embedded[0]
    assert main(["faiss", f"--work={work}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "image.index: 3,000 x 32 as Flat, recall@10 1.000",
        "text.index: 3,000 x 32 as Flat, recall@10 1.000",
    ]
    assert main(["faiss", f"--work={work}", "--embedding=dino"]) == 2
    assert "dino holds no embeddings" in capsys.readouterr().err
    assert main(["faiss", f"--work={work}", "--memory=much"]) == 2
    assert "expected a size such as 500MB" in capsys.readouterr().err
