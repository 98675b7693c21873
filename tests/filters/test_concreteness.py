"""Values of words, written out; and lexicons that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.concreteness import Concreteness
from filters.registry import make_scorer
from filters.scorer import Batch, Scorer
from schemas.refusal import Refusal

RATINGS = """Word\tBigram\tConc.M
banana\t0\t5
idea\t0\t1.5
berry\t0\t4.5
leaf\t0\t5.0
leaves\t0\t4.0
ice cream\t1\t5
été\t0\t3
"""


def scored(scorer: Scorer, texts: list[str | None]) -> list[dict[str, Any]]:
    found = scorer.score(Batch(pa.table({"text": pa.array(texts, pa.string())})), scorer.load()).columns
    assert found.schema == scorer.schema
    return found.to_pylist()


@pytest.mark.parametrize(
    ("text", "mean", "highest", "known"),
    [
        ("", None, None, 0.0),
        (None, None, None, 0.0),
        ("12 - 34", None, None, 0.0),
        ("A BANANA, an idea.", 3.25, 5.0, 2 / 4),
        ("two bananas", 5.0, 5.0, 1 / 2),
        ("berries", 4.5, 4.5, 1.0),
        ("leaves", 4.0, 4.0, 1.0),  # the lexicon's own word, not the plural of leaf
        ("e\u0301te\u0301 ÉTÉ", 3.0, 3.0, 1.0),
        ("ice cream", None, None, 0.0),
        ("бананы 猫", None, None, 0.0),
        ("banana\x00idea\n", 3.25, 5.0, 1.0),
        ("idea " * 200_000, 1.5, 1.5, 1.0),
        ("x" * 1_000_000, None, None, 0.0),
    ],
)
def test_values_by_a_lexicon_of_the_user(
    tmp_path: Path, text: str | None, mean: float | None, highest: float | None, known: float
) -> None:
    file = tmp_path / "ratings.txt"
    file.write_text(RATINGS, encoding="utf-8")
    scorer = make_scorer({"concreteness": {"file": str(file), "word_column": "Word", "value_column": "Conc.M"}})
    scorer.check_files({})
    assert scored(scorer, ["idea", text, None])[1] == {
        "concreteness": mean,
        "concreteness_max": highest,
        "concreteness_known": pytest.approx(known, abs=1e-6),
    }


def test_the_shipped_list_tells_what_can_be_seen() -> None:
    texts = [
        "A black cat sleeping on a red sofa",
        "Two children with wooden boats",
        "our commitment to quality",
        "qwertz",
    ]
    assert [row["concreteness"] for row in scored(Concreteness(), texts)] == [1.0, 1.0, 0.0, None]


def test_another_lexicon_is_another_configuration(tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("word,value\na,1\n")
    two.write_text("word,value\na,2\n")
    first, second = (Concreteness(file=str(file)).configuration() for file in (one, two))
    assert first != second
    two.write_text("word,value\na,1\n")
    assert Concreteness(file=str(two)).configuration() == first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read as a lexicon: No such file"),
        ("", "cannot be read as a lexicon"),
        ("word\nbanana\n", "has no column 'value'; it has word"),
        ("noun,value\nbanana,5\n", "has no column 'word'; it has noun, value"),
        ("word,value\nbanana,high\n", "has no number in 'value' for the word 'banana'"),
        ("word,value\nbanana,\n", "has no number in 'value' for the word 'banana'"),
        ("word,value\nbanana,nan\n", "has no number in 'value' for the word 'banana'"),
        ("word,value\nice cream,5\n", "lists no single word in 'word'"),
        ("word,value\n", "lists no single word in 'word'"),
    ],
)
def test_a_file_that_is_no_lexicon_is_refused_at_launch(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "lexicon.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Refusal, match=message) as refused:
        Concreteness(file=str(file)).check_files({})
    assert "\n" not in str(refused.value) and "lexicon.csv" in str(refused.value)
