"""Scripts of texts, written out."""

from __future__ import annotations

import pyarrow as pa
import pytest

from filters.scorer import Batch
from filters.script_facts import ScriptFacts, script_facts


@pytest.mark.parametrize(
    ("text", "script", "share", "mixed", "mixed_word"),
    [
        ("", "Zyyy", 0.0, False, False),
        (None, "Zyyy", 0.0, False, False),
        ("12 - 30 !", "Zyyy", 0.0, False, False),
        ("A red car", "Latn", 1.0, False, False),
        ("Ａ ｒｅｄ", "Latn", 1.0, False, False),
        ("e\u0301te\u0301", "Latn", 1.0, False, False),
        ("Красная сумка", "Cyrl", 1.0, False, False),
        ("Красная сумка Zara", "Cyrl", 12 / 16, True, False),
        ("p\u0430ypal", "Latn", 5 / 6, True, True),  # a Cyrillic letter among Latin ones
        ("赤い車", "Jpan", 1.0, False, False),
        ("红色手提包", "Hani", 1.0, False, False),
        ("사과 蘋果", "Kore", 1.0, False, False),
        ("iPhone用ケース", "Latn", 6 / 10, True, False),
        ("حقيبة يد", "Arab", 1.0, False, False),
        ("\U00010380\U00010381 ab c", "Latn", 3 / 5, True, False),
        ("\x00\x01\ufffd", "Zyyy", 0.0, False, False),
    ],
)
def test_facts_written_out(text: str | None, script: str, share: float, mixed: bool, mixed_word: bool) -> None:
    found = script_facts(pa.array([text], pa.string())).to_pylist()[0]
    assert found == {
        "script": script,
        "script_share": pytest.approx(share, abs=1e-6),
        "mixed_scripts": mixed,
        "mixed_word": mixed_word,
    }


def test_neighbours_and_cuts_do_not_matter() -> None:
    texts = ["a", "я", None, "", "aя", "猫ねこ", "z" * 50_000] * 50
    alone = [script_facts(pa.array([text], pa.string())).to_pylist()[0] for text in texts]
    assert script_facts(pa.array(texts)).to_pylist() == alone
    assert script_facts(pa.chunked_array([texts[:3], texts[3:]])).to_pylist() == alone
    assert script_facts(pa.chunked_array([], pa.string())).num_rows == 0


def test_scorer_makes_its_columns_under_its_label() -> None:
    scorer = ScriptFacts(text="alt", alias="alt")
    found = scorer.score(Batch(pa.table({"alt": ["Ένα αυτοκίνητο"]})), None).columns
    assert found.schema == scorer.schema
    assert found.to_pylist() == [
        {"alt_script": "Grek", "alt_script_share": 1.0, "alt_mixed_scripts": False, "alt_mixed_word": False}
    ]
