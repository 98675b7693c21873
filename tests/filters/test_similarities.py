"""Similarity of texts, and of texts to tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from filters.clip import Clip
from filters.loading import load_model
from filters.registry import check_files, make_scorer, make_scorers
from filters.scorer import Batch, Need
from filters.similarities import TaskSimilarity, TextSimilarity, sequence_cosine
from schemas.refusal import Refusal

TEXTS = ["a red circle", "", "three blue stars", "Two  GREEN squares"]
TITLES = ["a red circle", "a ring", None, "two green squares"]
TABLE = pa.table({"uid": list("abcd"), "text": TEXTS, "page_title": pa.array(TITLES, pa.string())})


def test_sequences_of_three_characters() -> None:
    # " cat " and " car " share " ca" of three each.
    assert sequence_cosine("cat", "car") == pytest.approx(1 / 3)
    assert sequence_cosine("Cat  food", "cat food") == pytest.approx(1)
    assert sequence_cosine("aaaa", "aaa") == pytest.approx((1 + 2 + 1) / (6 * 3) ** 0.5)
    assert sequence_cosine("cat", "dog") == 0 == sequence_cosine("", "cat")


def test_columns_are_compared_by_characters_where_no_model_is_given() -> None:
    scorer = make_scorer({"text_similarity": {"as": "title_match"}})
    assert scorer.needs == () and scorer.inputs == ("text", "page_title")
    found = scorer.score(Batch(TABLE), scorer.load()).columns
    assert found.schema == pa.schema([("title_match_text_similarity", pa.float32())])
    assert found["title_match_text_similarity"].to_pylist() == [1, None, None, 1]


def test_by_a_text_tower_what_is_stored_is_read() -> None:
    clip = Clip()
    scorer = TextSimilarity(embedding="clip")
    towers = load_model(clip, "cpu").model
    stored = towers.encode_texts(["a yellow moon", "", "three blue stars", "two green squares"])
    model = scorer.load_beside({"clip": clip}, "cpu")
    batch = Batch(TABLE, (), {Need("clip", "text"): stored})
    found = scorer.score(batch, model).columns["text_similarity"].to_pylist()
    titles = towers.encode_texts([title or "" for title in TITLES])
    expected = (stored * titles).sum(axis=1)
    assert found[0] == pytest.approx(float(expected[0]), abs=1e-5) and found[0] < 0.9
    assert found[3] == pytest.approx(float(expected[3]), abs=1e-5)
    assert found[1:3] == [None, None]


def test_the_closest_task_counts(tmp_path: Path) -> None:
    clip = Clip()
    towers = load_model(clip, "cpu").model
    (tmp_path / "tasks.txt").write_text("circle\n\nstar\ncircle\n square \n", encoding="utf-8")
    scorer = TaskSimilarity(file=str(tmp_path / "tasks.txt"), template="a {}")
    model = scorer.load_beside({"clip": clip}, "cpu")
    assert model.names == ("circle", "star", "square")
    texts = towers.encode_texts(["a star", "a square", "a circle"])
    batch = Batch(pa.table({"uid": list("abc")}), (), {Need("clip", "text"): texts})
    found = scorer.score(batch, model).columns
    assert found["task_nearest"].to_pylist() == ["star", "square", "circle"]
    np.testing.assert_allclose(found["task_similarity"].to_numpy(), 1, atol=1e-5)


def test_the_names_are_the_configuration_not_the_file(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("dog\ncat\n", encoding="utf-8")
    one, two = (TaskSimilarity(file=str(tmp_path / name)).configuration() for name in ("one.txt", "two.txt"))
    assert one == two == TaskSimilarity(tasks=("dog", "cat")).configuration()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"task_similarity": {}}, "give either `tasks`, a list of names, or `file`"),
        ({"task_similarity": {"tasks": ["a"], "file": "b"}}, "give either `tasks`"),
        ({"task_similarity": {"tasks": ["a", " "]}}, "`tasks` holds an empty name"),
        ({"task_similarity": {"tasks": ["a"], "template": "b"}}, "template must have {} in it"),
        ({"task_similarity": {"file": "absent.txt"}}, "the file 'absent.txt' cannot be read"),
        ({"text_similarity": {"other": "text"}}, "`text` and `other` must be two columns; given 'text', 'text'"),
        ({"text_similarity": {"embedding": "image_facts"}}, "'image_facts' is no CLIP scorer"),
    ],
)
def test_what_makes_no_sense_is_refused_at_launch(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        check_files(make_scorers([{"clip": {"model": "tiny"}}, "image_facts", entry]))
