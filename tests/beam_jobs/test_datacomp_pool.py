"""A scored run in DataComp's form: names, types, rows that belong together, and what DataComp's loaders do with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.cli import main
from beam_jobs.cli_command import REFUSED
from beam_jobs.datacomp_pool import file_name
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.faces import BOXES
from schemas.tables import IMAGES, conform

FACES = [[[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.6, 0.7]], None, [], [[0.0, 0.0, 1.0, 1.0]]]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Two shards of four rows each, the second row of each without a picture."""
    folder = RunFolder(str(tmp_path / "work"))
    for shard in (0, 1):
        uids = [f"{shard * 4 + row:032x}" for row in range(4)]
        images = {
            "uid": uids,
            "url": [f"http://a.test/{uid}" for uid in uids],
            "caption": ["one", "lost", "three", "four"],
            "reason": pa.array([None, "timeout", None, None], pa.string()),
            "original_width": pa.array([640, None, 30, 40], pa.int32()),
            "original_height": pa.array([480, None, 30, 50], pa.int32()),
            "sha256": pa.array(["a" * 64, None, "b" * 64, "c" * 64], pa.string()),
        }
        write_table(folder.image_table(shard), conform(pa.table(images), IMAGES))
        scores = pa.array([0.3, None, 0.1, 0.25], pa.float32())
        write_table(folder.scores("large", shard), pa.table({"uid": uids, "large_similarity": scores}))
        boxes = pa.array(FACES, BOXES)
        write_table(folder.scores("faces", shard), pa.table({"uid": uids, "face_bboxes": boxes}))
        write_embeddings(folder.image_embeddings("large", shard), np.full((3, 8), 0.25 + shard))
        write_embeddings(folder.text_embeddings("large", shard), np.full((3, 8), 0.5 + shard))
    return tmp_path / "work"


def test_files_are_as_datacomps(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pool"
    given = ["datacomp", str(out), "--work", str(work), "--embeddings", "l14=large", "--faces", "faces"]
    assert main(given) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"6 pairs in {out}"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{file_name(shard)}.{suffix}" for shard in (0, 1) for suffix in ("parquet", "npz")
    )
    assert all(len(path.stem) == 32 and int(path.stem, 16) for path in out.iterdir())
    table = pq.read_table(out / f"{file_name(1)}.parquet")
    assert table.schema.remove_metadata() == pa.schema(
        [
            ("uid", pa.string()),
            ("url", pa.string()),
            ("text", pa.string()),
            ("original_width", pa.int64()),
            ("original_height", pa.int64()),
            ("clip_l14_similarity_score", pa.float32()),
            ("face_bboxes", BOXES),
            ("sha256", pa.string()),
        ]
    )
    assert table["uid"].to_pylist() == [f"{row:032x}" for row in (4, 6, 7)]
    assert table["text"].to_pylist() == ["one", "three", "four"]
    assert table["face_bboxes"].to_pylist() == [FACES[0], FACES[2], FACES[3]]
    arrays = np.load(out / f"{file_name(1)}.npz", allow_pickle=False)
    assert sorted(arrays) == ["l14_img", "l14_txt"]
    assert arrays["l14_img"].shape == (3, 8) and float(arrays["l14_img"][0, 0]) == 1.25
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(given) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_best_third_as_datacomps_filter_takes_it(work: Path, tmp_path: Path) -> None:
    """Its way: all scores, the value at rank int(n * share), uids in two halves of 64 bits, sorted."""
    assert main(["datacomp", str(tmp_path / "pool"), "--work", str(work), "--embeddings", "l14=large"]) == 0
    tables = [pq.read_table(path) for path in sorted((tmp_path / "pool").glob("*.parquet"))]
    scores = np.concatenate([each["clip_l14_similarity_score"].to_numpy() for each in tables])
    uids = np.concatenate([each["uid"].to_numpy() for each in tables])
    threshold = -np.sort(-scores)[int(len(scores) * 0.34)]
    kept = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids[scores >= threshold]], np.dtype("u8,u8"))
    kept.sort()
    assert kept.tolist() == [(0, 0), (0, 3), (0, 4), (0, 7)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--embeddings", "l14"], "--embeddings: expected NAME=LABEL parted by commas, as l14=clip; given 'l14'"),
        (["--embeddings", "l14=clip"], "holds no scores of 'clip'; run the recipe's stage `score` first"),
        (["--embeddings", "l14=faces"], "holds no embeddings of 'faces': its scorer stores none"),
        (["--embeddings", "l14=large", "--faces", "large"], "'large' makes no column 'large_face_bboxes'"),
    ],
)
def test_what_is_not_there_is_refused(
    work: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    assert main(["datacomp", str(tmp_path / "pool"), "--work", str(work), *given]) == REFUSED
    assert message in capfd.readouterr().err
