"""Scorers that read what a CLIP scorer stored: no picture and no image tower again, the same bytes later as at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.lineage import lineage_of
from beam_jobs.stages.score import ScoreTask, score_shard
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.recipe_check import check_recipe
from filters.registry import make_scorers
from schemas.recipe import parse_recipe
from schemas.refusal import Refusal
from schemas.tables import IMAGES, PLANNED, conform

CLIP = {"clip": {"model": "tiny"}}
TEXTS = ("a red circle", None, "two blue squares", "a green star")


def written(folder: RunFolder, label: str) -> bytes:
    return Path(folder.scores(label, 0)).read_bytes()


def entries(head: Path) -> list[str | Mapping[str, Any]]:
    return [
        {"clip_tags": {"as": "tint", "categories": {"red": "a red circle", "blue": "two blue squares"}, "flagged": []}},
        {"head": {"as": "taste", "file": str(head)}},
        {"text_similarity": {"other": "title", "embedding": "clip"}},
        {"task_similarity": {"tasks": ["a red circle", "a blue square"]}},
    ]


@pytest.fixture
def head(tmp_path: Path) -> Path:
    np.savez(tmp_path / "head.npz", weight=np.eye(1, 128, dtype=np.float32), bias=np.ones(1, np.float32))
    return tmp_path / "head.npz"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A shard whose CLIP scores are done. It has no tar: whoever wants a picture fails."""
    made = RunFolder(str(tmp_path / "work"))
    store(made)
    return made


def store(made: RunFolder) -> None:
    from filters.clip import Clip
    from filters.loading import load_model

    uids = [f"{row:032x}" for row in range(len(TEXTS))]
    texts = [text or "lost" for text in TEXTS]
    reasons = pa.array([None if text else "timeout" for text in TEXTS], pa.string())
    planned = pa.table({"uid": uids, "url": uids, "text": texts, "title": ["a red circle"] * len(texts)})
    write_table(made.planned(0), conform(planned, PLANNED))
    images = pa.table({"uid": uids, "url": uids, "key": uids, "reason": reasons})
    write_table(made.image_table(0), conform(images, IMAGES))
    rows = load_model(Clip(), "cpu").model.encode_texts([text for text in TEXTS if text])
    write_embeddings(made.text_embeddings("clip", 0), rows)
    # Stands for what a picture of each text would give; the last picture could not be read.
    write_embeddings(made.image_embeddings("clip", 0), rows * [[1], [1], [0]])


def score(folder: RunFolder, scorers: Sequence[str | Mapping[str, Any]]) -> None:
    score_shard(ScoreTask(folder.work, 0, tuple(scorers), needed=(CLIP,)))


def test_stored_embeddings_are_enough(folder: RunFolder, head: Path) -> None:
    score(folder, entries(head))
    tint = pq.read_table(folder.scores("tint", 0))
    assert tint["tint_first"].to_pylist() == ["red", None, "blue", None]
    assert tint["tint_first_similarity"].to_pylist() == [
        pytest.approx(1, abs=2e-3),
        None,
        pytest.approx(1, abs=2e-3),
        None,
    ]
    taste = pq.read_table(folder.scores("taste", 0))["taste_score"].to_pylist()
    stored = np.load(folder.image_embeddings("clip", 0)).astype(np.float32)
    assert taste == [pytest.approx(1 + stored[0, 0]), None, pytest.approx(1 + stored[1, 0]), None]
    titles = pq.read_table(folder.scores("text_similarity", 0))["text_similarity"].to_pylist()
    assert titles[0] == pytest.approx(1, abs=2e-3) and titles[1] is None and titles[2] < 0.9
    tasks = pq.read_table(folder.scores("task_similarity", 0))
    assert tasks["task_nearest"].to_pylist()[:3] == ["a red circle", None, "a blue square"]


def test_the_same_bytes_together_and_apart(tmp_path: Path, head: Path) -> None:
    runs = []
    for name, calls in {"together": [entries(head)], "apart": [[entry] for entry in entries(head)]}.items():
        made = RunFolder(str(tmp_path / name))
        store(made)
        for scorers in calls:
            score(made, scorers)
        runs.append([written(made, label) for label in ("tint", "taste", "text_similarity", "task_similarity")])
    assert runs[0] == runs[1]


def test_another_clip_model_makes_other_tags_and_leaves_other_scores() -> None:
    def fingerprints(model: str, pretrained: str) -> dict[str, str]:
        clip = f"clip: {{model: {model}, pretrained: {pretrained}}}"
        recipe = parse_recipe(f"name: a\nscore: [{clip}, image_facts, clip_tags]", "a.yaml")
        return {each.ledger: each.fingerprint for each in lineage_of(recipe, [], make_scorers(recipe.score))}

    one, two = fingerprints("ViT-B-32", "openai"), fingerprints("ViT-B-16", "openai")
    assert one["score/clip_tags"] != two["score/clip_tags"]
    assert one["score/image_facts"] == two["score/image_facts"]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("[clip_tags]", "'clip_tags' reads the embeddings of 'clip', and no scorer before it stores such; known: none"),
        ("[clip_tags, clip: {model: tiny}]", "no scorer before it stores such"),
        ("[clip: {model: tiny, embeddings: false}, clip_tags]", "no scorer before it stores such"),
        ("[clip: {model: tiny, as: small}, clip_tags]", "known: small"),
    ],
)
def test_embeddings_that_nobody_stores_are_refused(score: str, message: str) -> None:
    recipe = parse_recipe(f"name: a\nscore: {score}", "a.yaml")
    with pytest.raises(Refusal, match=message):
        check_recipe(recipe, scorers=make_scorers(recipe.score))
