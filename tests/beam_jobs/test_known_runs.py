"""Runs held against what an earlier run kept and against evaluation sets, from indexes that the command line writes."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from beam_jobs.cli import main
from beam_jobs.known.index import open_index
from beam_jobs.known.pictures import read_pictures
from filters.pdq import pdq

RunArguments = Callable[[Path], list[str]]
SELECT = """
  - against: {by: [uid, url, sha256, perceptual, near], cosine: 0.999}
  - decontaminate: {by: [pixels, perceptual], distance: 20}

select:
  - drop: against_duplicate_of is not null
    reason: in_corpus
  - drop: evaluation_duplicate_of is not null
    reason: in_evaluation_set
"""


@pytest.fixture(scope="module")
def holding(small_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small recipe, held against an earlier corpus and evaluation sets."""
    text = small_shards.read_text().replace("name: small", "name: holding")
    text = text.replace("  - pdq\n", "  - pdq\n  - pixel_hash\n").replace("\nselect:\n", SELECT)
    path = tmp_path_factory.mktemp("recipes") / "holding.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def corpus(undisturbed: Path, small_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("indexes") / "corpus"
    assert main(["index", f"--work={undisturbed}", f"--recipe={small_shards}", f"--to={to}"]) == 0
    return to


def images(work: Path) -> dict[str, dict[str, object]]:
    tables = [pq.read_table(path) for path in sorted((work / "images").glob("*.parquet"))]
    return {row["uid"]: row for table in tables for row in table.to_pylist()}


def groups(work: Path, label: str) -> dict[str, dict[str, object]]:
    tables = [pq.read_table(path) for path in sorted((work / "groups" / label).glob("*.parquet"))]
    return {row["uid"]: row for table in tables for row in table.to_pylist()}


def test_an_index_holds_what_was_kept_and_no_picture(corpus: Path, undisturbed: Path) -> None:
    index = open_index(str(corpus), option="--against")
    kept = {
        row["uid"]
        for path in (undisturbed / "shards/small").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    known = {uid for part in range(len(index.parts)) for uid in index.read_rows(part, ["uid"])["uid"].to_pylist()}
    assert known == kept
    assert (index.name, index.rows, index.since) == ("corpus", len(kept), None)
    assert index.holds == ("uid", "url", "sha256", "perceptual", "near", "text")
    assert sorted(path.name for path in corpus.iterdir()) == ["embeddings", "index.json", "rows"]


def test_a_crawl_held_against_the_corpus_keeps_none_of_it_again(
    corpus: Path,
    undisturbed: Path,
    holding: Path,
    run_arguments: RunArguments,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    work, exam = tmp_path / "work", tmp_path / "exam"
    shutil.copytree(undisturbed, work)
    arguments = [*(one for one in run_arguments(work) if not one.startswith("--recipe")), f"--recipe={holding}"]
    before = open_index(str(corpus), option="--against")
    assert main(arguments) == 2
    assert "--against: the recipe's grouper 'against' holds images against an index; expected --against URL" in (
        capfd.readouterr().err
    )
    rows = images(work)
    corpus_uids = {
        uid for part in range(len(before.parts)) for uid in before.read_rows(part, ["uid"])["uid"].to_pylist()
    }
    lost = sorted(uid for uid, row in rows.items() if row["status"] == "success" and uid not in corpus_uids)
    assert len(lost) > 5
    exam.mkdir()
    hit = []
    for uid in lost:
        with tarfile.open(
            next(path for path in sorted((work / "images").glob("*.tar")) if has(path, rows[uid]["key"]))
        ) as tar:
            picture = Image.open(tar.extractfile(f"{rows[uid]['key']}.jpg")).convert("RGB")
        if pdq(picture)[1] >= 50 and len(hit) < 2:
            hit.append(uid)
            picture.save(exam / f"{len(hit)}.png")
    (exam / "broken.jpg").write_bytes(b"no picture")
    to = tmp_path / "exam-index"
    assert main(["index", f"--source=folder:{exam}", f"--recipe={holding}", f"--to={to}", "--since=2020-01-01"]) == 0
    index = open_index(str(to), option="--decontaminate")
    assert (index.rows, index.since, index.parts[0].pictures) == (2, "2020-01-01", 2)
    names = index.read_rows(0, ["uid", "name"]).to_pylist()
    assert sorted(row["name"] for row in names) == ["1.png", "2.png"]
    assert set(read_pictures(str(to), 0, [row["uid"] for row in names])) == {row["uid"] for row in names}
    assert main([*arguments, f"--against={corpus}", f"--decontaminate=exam={to}"]) == 0
    known = groups(work, "against")
    assert all(known[uid]["against_kind"] == "uid" for uid in corpus_uids)
    found = groups(work, "evaluation")
    named = {row["uid"]: row["name"] for row in names}
    for number, uid in enumerate(hit, start=1):
        assert named[found[uid]["evaluation_duplicate_of"]] == f"{number}.png"
        assert found[uid]["evaluation_index"] == "exam"
    manifest = json.loads((work / "shards/holding/dataset/manifest.json").read_text())
    kept = {
        row["uid"] for path in (work / "shards/holding").glob("*.parquet") for row in pq.read_table(path).to_pylist()
    }
    assert manifest["samples"] == len(kept)
    assert not kept & (corpus_uids | set(hit))
    page = (work / "report/holding/index.html").read_text()
    section = page[page.index('<section id="known">') : page.index("</section>", page.index('<section id="known">'))]
    assert f"{len(corpus_uids)}" in section
    assert "corpus, by uid" in section
    assert "exam, by perceptual" in section
    assert section.count("1.png") >= 1
    assert section.count("data:image/webp") >= 4
    capfd.readouterr()
    assert main([*arguments, "--stages=select:"]) == 0
    assert capfd.readouterr().err.count("done before") >= 2


def has(tar: Path, key: object) -> bool:
    with tarfile.open(tar) as file:
        return f"{key}.jpg" in file.getnames()


def test_tables_of_hashes_and_embeddings_become_indexes(holding: Path, tmp_path: Path) -> None:
    table = pa.table(
        {
            "sha256": ["ab" * 32, None],
            "pdq": ["00" * 32, "ff" * 32],
            "embedding": np.eye(2, 4).tolist(),
        }
    )
    pq.write_table(table, tmp_path / "list.parquet")
    to = tmp_path / "index"
    source = f"--source=table:{tmp_path / 'list.parquet'}"
    assert main(["index", source, f"--recipe={holding}", f"--to={to}", "--embedding=clip", "--name=list"]) == 0
    index = open_index(str(to), option="--decontaminate")
    assert (index.name, index.rows, index.holds) == ("list", 2, ("sha256", "perceptual", "near"))
    rows = {row["uid"]: row for row in index.read_rows(0, ["uid", "sha256", "perceptual", "quality"]).to_pylist()}
    assert rows["row-0"] == {"uid": "row-0", "sha256": b"\xab" * 32, "perceptual": bytes(32), "quality": 100}
    assert index.read_embeddings("clip", 0)[1].tolist() == np.eye(2, 4)[[int(uid[-1]) for uid in rows]].tolist()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ["--against=missing"],
            "--against: missing holds no index (index.json is absent); `pairmill index` writes one",
        ),
        (
            ["--against={corpus}", "--against={corpus}"],
            "--against: two indexes are called 'corpus'; give one as NAME=URL",
        ),
        (["--against=none"], "--decontaminate: the recipe's grouper 'evaluation' holds images against an index"),
        (
            ["--against=none", "--decontaminate={other}"],
            "were made otherwise than this recipe's (model: 'another', here 'tiny')",
        ),
        (
            ["--against=none", "--decontaminate={texts}"],
            "index 'texts' holds uid, text; grouper 'evaluation' compares pixels",
        ),
    ],
)
def test_an_index_that_is_absent_or_does_not_fit_is_refused(
    change: list[str],
    expected: str,
    corpus: Path,
    undisturbed: Path,
    holding: Path,
    run_arguments: RunArguments,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    manifest = json.loads((corpus / "index.json").read_text())
    for name, new in (
        ("other", {"embeddings": {"clip": {**manifest["embeddings"]["clip"], "model": "another"}}}),
        ("texts", {"holds": ["uid", "text"]}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.json").write_text(json.dumps({**manifest, "name": name, **new}))
    recipe = tmp_path / "holding.yaml"
    recipe.write_text(holding.read_text().replace("by: [pixels, perceptual]", "by: [pixels, near]"))
    values = {"corpus": corpus, "other": tmp_path / "other", "texts": tmp_path / "texts"}
    arguments = [one for one in run_arguments(undisturbed) if not one.startswith("--recipe")]
    assert main([*arguments, f"--recipe={recipe}", *(one.format(**values) for one in change)]) == 2
    told = capfd.readouterr().err
    assert expected in told
    assert len(told.splitlines()) == 1


def test_what_the_recipe_does_not_ask_for_is_refused(
    corpus: Path, undisturbed: Path, run_arguments: RunArguments, small_shards: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*run_arguments(undisturbed), f"--against={corpus}"]) == 2
    assert "the recipe holds no images against an index; add `- against` to its `group`" in capfd.readouterr().err
    assert main(["index", f"--work={undisturbed}", f"--recipe={small_shards}", f"--to={corpus}"]) == 2
    assert "holds an index already; name another folder" in capfd.readouterr().err
    assert main(["index", f"--recipe={small_shards}", "--to=x"]) == 2
    assert "expected either --work, for what a run kept, or --source, for other images" in capfd.readouterr().err
