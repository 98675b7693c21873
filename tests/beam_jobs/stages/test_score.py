"""Scoring a shard: alignment, embeddings in clip-retrieval's layout, the same bytes again, damaged pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from beam_jobs.accounting import Tally
from beam_jobs.stages.score import ScoreTask, score_shard
from beam_jobs.storage.files import atomic_write
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from filters.image_facts import FACTS
from schemas.keys import sample_key, uid
from schemas.refusal import Refusal
from schemas.tables import IMAGES, PLANNED, conform

CLIP = {"clip": {"model": "tiny", "batch_size": 4}}
# Row to text; None marks a row whose download failed.
ROWS: Sequence[str | None] = [
    "a red circle", None, "two blue squares", "", "ein grüner Kreis", None, None, "a yellow star on white", "猫",
    "x" * 400,
]  # fmt: skip
PICTURES = [row for row, text in enumerate(ROWS) if text is not None]


def picture(row: int) -> bytes:
    """A lossless picture whose colour tells its row."""
    image = Image.new("RGB", (40 + 5 * row, 64), (25 * row, 0, 0))
    ImageDraw.Draw(image).ellipse((5, 5, 30, 30), fill=(255, 255, 255))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def make_shard(folder: RunFolder, *, shard: int = 0, rows: Sequence[str | None] = ROWS, **damage: bytes) -> None:
    """Writes planned/ and images/ as download would; `damage` replaces the stored bytes of `row_N`."""
    texts = [text if text is not None else f"lost {row}" for row, text in enumerate(rows)]
    keys = [sample_key(shard, row, rows_per_shard=10_000) for row in range(len(rows))]
    urls = [f"http://pictures.test/{shard}/{row}.png" for row in range(len(rows))]
    uids = [uid(text, url) for text, url in zip(texts, urls, strict=True)]
    failed = [text is None for text in rows]
    planned = pa.table({"uid": uids, "url": urls, "text": texts, "title": [f"title {row}" for row in range(len(rows))]})
    images = {
        "uid": uids,
        "reason": pa.array(["timeout" if each else None for each in failed], pa.string()),
        "caption": texts,
        "url": urls,
        "key": keys,
        "status": ["failed_to_download" if each else "success" for each in failed],
        "width": pa.array([None if each else 40 + 5 * row for row, each in enumerate(failed)], pa.int32()),
    }
    write_table(folder.planned(shard), conform(planned, PLANNED))
    write_table(folder.image_table(shard), conform(pa.table(images), IMAGES))
    with atomic_write(folder.image_tar(shard)) as file:
        tar = TarShardWriter(file)
        for row, key in enumerate(keys):
            if not failed[row]:
                tar.add(f"{key}.png", damage.get(f"row_{row}", picture(row)))
                tar.add(f"{key}.txt", texts[row].encode())
        tar.close()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(str(tmp_path / "work"))
    make_shard(made)
    return made


def score(folder: RunFolder, *scorers: str | Mapping[str, object], shard: int = 0) -> dict[str, Tally]:
    return score_shard(ScoreTask(folder.work, shard, scorers))


def written(folder: RunFolder) -> dict[str, bytes]:
    """Every file below scores/ and embeddings/."""
    work = Path(folder.work)
    files = [path for top in ("scores", "embeddings") for path in (work / top).rglob("*") if path.is_file()]
    return {str(path.relative_to(work)): path.read_bytes() for path in files}


def test_sidecars_have_the_rows_and_order_of_the_images(folder: RunFolder) -> None:
    tallies = score(folder, "image_facts", "text_facts", CLIP)
    uids = pq.read_table(folder.image_table(0))["uid"].to_pylist()
    assert list(tallies) == ["score/image_facts", "score/text_facts", "score/clip"]
    for label in ("image_facts", "text_facts", "clip"):
        assert tallies[f"score/{label}"].rows_in == 7
        assert tallies[f"score/{label}"].reasons == {"kept": 7}
        sidecar = pq.read_table(folder.scores(label, 0))
        assert sidecar.column_names[0] == "uid"
        assert sidecar["uid"].to_pylist() == uids
        for name in sidecar.column_names[1:]:
            nulls = [row for row, value in enumerate(sidecar[name].to_pylist()) if value is None]
            assert nulls == [1, 5, 6], name


def test_scores_stand_in_the_rows_of_their_pictures_and_texts(folder: RunFolder) -> None:
    score(folder, "image_facts", {"text_facts": {"text": "title", "as": "titles"}}, "text_facts")
    facts = pq.read_table(folder.scores("image_facts", 0))
    assert facts.column_names == ["uid", *FACTS]
    # Redder and redder backgrounds, without the white disc: brightness grows with the row.
    brightness = [facts["brightness"][row].as_py() for row in PICTURES]
    assert brightness == sorted(brightness) and brightness[0] < 60 < brightness[-1]
    assert facts["saturation"][0].as_py() == 0.0 and facts["saturation"][9].as_py() > 0.8
    texts = pq.read_table(folder.scores("text_facts", 0))
    assert texts["text_length"].to_pylist() == [12, None, 16, 0, 16, None, None, 22, 1, 400]
    titles = pq.read_table(folder.scores("titles", 0))
    assert titles["titles_word_count"].to_pylist() == [2, None, 2, 2, 2, None, None, 2, 2, 2]


def test_embeddings_are_those_of_clip_retrieval(folder: RunFolder) -> None:
    score(folder, CLIP)
    images = np.load(folder.image_embeddings("clip", 0), allow_pickle=False)
    texts = np.load(folder.text_embeddings("clip", 0), allow_pickle=False)
    for path, rows in ((folder.image_embeddings("clip", 0), images), (folder.text_embeddings("clip", 0), texts)):
        assert Path(path).read_bytes()[:8] == b"\x93NUMPY\x01\x00"
        assert rows.dtype == np.float16 and rows.shape[0] == 7 and rows.flags.c_contiguous
        np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float32), axis=1), 1, atol=2e-3)
    similarity = pq.read_table(folder.scores("clip", 0))["clip_similarity"].drop_null().to_numpy()
    products = (images.astype(np.float32) * texts.astype(np.float32)).sum(axis=1)
    np.testing.assert_allclose(similarity, products, atol=2e-3)
    metadata = pq.read_table(folder.embedding_table("clip", 0))
    assert metadata.column_names == [
        *("image_path", "caption", "uid", "url", "key", "status", "error_message", "width", "height"),
        *("original_width", "original_height", "exif", "sha256"),
    ]
    assert metadata["image_path"].to_pylist() == [f"{row:09d}" for row in PICTURES]
    assert metadata["caption"].to_pylist() == [ROWS[row] for row in PICTURES]
    assert metadata["width"].to_pylist() == [40 + 5 * row for row in PICTURES]


def test_clip_retrievals_reader_takes_the_embeddings(folder: RunFolder) -> None:
    from embedding_reader import EmbeddingReader

    make_shard(folder, shard=1, rows=["a green square", None, "three stars"])
    score(folder, CLIP)
    score(folder, CLIP, shard=1)
    reader = EmbeddingReader(
        str(Path(folder.embeddings("clip")) / "img_emb"),
        file_format="parquet_npy",
        metadata_folder=str(Path(folder.embeddings("clip")) / "metadata"),
        meta_columns=["image_path", "caption", "uid"],
    )
    assert (reader.count, reader.byte_per_item) == (9, 2 * reader.dimension)
    read = [(rows, meta) for rows, meta in reader(batch_size=9, show_progress=False)]
    expected = np.concatenate([np.load(folder.image_embeddings("clip", shard)) for shard in (0, 1)])
    assert np.array_equal(np.concatenate([rows for rows, _ in read]), expected)
    paths = [path for _, meta in read for path in meta["image_path"]]
    assert paths == [f"{row:09d}" for row in PICTURES] + ["000010000", "000010002"]


def test_the_same_bytes_again_and_whoever_scores_beside(tmp_path: Path) -> None:
    runs = []
    orders = {"together": [["text_facts", "image_facts", CLIP]], "apart": [[CLIP], ["image_facts"], ["text_facts"]]}
    for name, calls in orders.items():
        run = RunFolder(str(tmp_path / name))
        make_shard(run)
        tallies = [score(run, *scorers) for scorers in calls]
        digests = {stage: tally.digest for made in tallies for stage, tally in made.items()}
        runs.append((written(run), digests))
    assert len(runs[0][0]) == 6
    assert runs[0] == runs[1]


def test_a_damaged_picture_fails_alone(folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    make_shard(folder, row_4=picture(4)[:150], row_8=b"no picture at all")
    tallies = score(folder, "image_facts", "text_facts", CLIP)
    assert tallies["score/image_facts"].reasons == {"kept": 5, "score_failed": 2}
    assert tallies["score/clip"].reasons == {"kept": 5, "score_failed": 2}
    assert tallies["score/text_facts"].reasons == {"kept": 7}
    similarity = pq.read_table(folder.scores("clip", 0))["clip_similarity"].to_pylist()
    assert [row for row, value in enumerate(similarity) if value is None] == [1, 4, 5, 6, 8]
    images = np.load(folder.image_embeddings("clip", 0))
    # A row per stored picture, so that rows keep their places; nothing stands for a picture that cannot be read.
    assert images.shape[0] == 7
    assert [row for row in range(7) if not images[row].any()] == [3, 5]
    assert "000000004" in caplog.text and "000000008" in caplog.text


def test_what_made_the_scores_stands_in_their_file(folder: RunFolder) -> None:
    score(folder, CLIP)
    for path in (folder.scores("clip", 0), folder.embedding_table("clip", 0)):
        told = json.loads(pq.read_schema(path).metadata[b"pairmill"])
        assert (told["scorer"], told["version"], told["options"]["model"]) == ("clip", 1, "tiny")
        assert told["computed_by"]["precision"] == "fp32"
        assert told["computed_by"]["preprocessing"]["resize_mode"] in ("shortest", "squash", "longest")
        assert str(Path(__file__).parents[3]) not in json.dumps(told), "a path of this machine"


def test_a_shard_without_pictures_has_empty_embeddings(folder: RunFolder) -> None:
    make_shard(folder, rows=[None, None])
    tallies = score(folder, CLIP, "image_facts")
    assert tallies["score/clip"].rows_in == 0
    assert np.load(folder.text_embeddings("clip", 0)).shape == np.load(folder.image_embeddings("clip", 0)).shape
    assert np.load(folder.image_embeddings("clip", 0)).shape[0] == 0
    assert pq.read_table(folder.scores("clip", 0))["clip_similarity"].to_pylist() == [None, None]
    assert pq.read_table(folder.scores("image_facts", 0))["brightness"].to_pylist() == [None, None]


def test_a_tar_that_is_not_its_tables_is_an_error(folder: RunFolder) -> None:
    other = RunFolder(str(Path(folder.work) / "other"))
    make_shard(other, rows=["one", "two"])
    Path(folder.image_tar(0)).write_bytes(Path(other.image_tar(0)).read_bytes())
    with pytest.raises(ValueError, match="the tar holds '000000001' where its table has"):
        score(folder, "image_facts")
    make_shard(other, rows=["a red circle"])
    Path(folder.image_tar(0)).write_bytes(Path(other.image_tar(0)).read_bytes())
    with pytest.raises(ValueError, match="the tar holds 1 samples, its table 7"):
        score(folder, "image_facts")
    assert not Path(folder.scores("image_facts", 0)).exists()


def test_a_column_that_no_table_has_is_refused(folder: RunFolder) -> None:
    with pytest.raises(Refusal, match="reads the column 'subtitle', which no table has; there are uid, url, text"):
        score(folder, {"text_facts": {"text": "subtitle"}})


def test_two_shards_at_once_are_as_one_after_the_other(tmp_path: Path) -> None:
    runs = []
    for threads in (1, 4):
        run = RunFolder(str(tmp_path / f"threads-{threads}"))
        for shard in range(4):
            make_shard(run, shard=shard, rows=[f"{shard} red circles {row}" for row in range(9)])
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda shard, run=run: score(run, "image_facts", CLIP, shard=shard), range(4)))  # type: ignore[misc]
        runs.append(written(run))
    assert len(runs[0]) == 4 * 5
    assert runs[0] == runs[1]
