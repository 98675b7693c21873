"""Facts of captions, rules over them, and the one row a sample that they become."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.recaptioning.asking import Said
from beam_jobs.recaptioning.captions import judge_captions, reasons_counted, sidecar_of, sidecar_schema
from beam_jobs.recaptioning.plans import Plan
from captioners.captioner import Answer
from captioners.prompts import Prompt
from schemas.reasons import Failed
from schemas.recaption import parse_recaption
from schemas.recipe_text import Place, read_yaml

SHARD = ["u0", "u1", "u2", "u3"]
KEPT = np.array([True, False, True, True])
Row = dict[str, Any]


def judged(
    options: str, *said: Said, similarity: list[float] | None = None, **samples: list[Any]
) -> list[dict[str, Any]]:
    given = {"label": "one", "prompt": "p", **read_yaml(options, "mine.yaml")}
    captioner = parse_recaption({"captioners": [given]}, Place("mine.yaml")).captioners[0]
    plan = Plan(captioner, Prompt(name="p", version=2, text="x", source="a test"), "model@1")
    similarities = None
    if similarity is not None:
        similarities = {
            name: np.array(similarity, np.float32) for name in ("caption_similarity", "caption_text_similarity")
        }
    found = judge_captions(
        plan, said, originals=["a cat"] * len(said), samples=pa.table(samples), similarities=similarities
    )
    table = sidecar_of(plan, said, found, uids=pa.chunked_array([SHARD]), kept=KEPT)
    assert table.schema == sidecar_schema(captioner, similar=similarity is not None)
    assert sum(reasons_counted(said, found).values()) == len(said)
    rows: list[Row] = table.to_pylist()
    assert [row["uid"] for row in rows] == SHARD and rows[1]["one_model"] is None
    return [row for row, kept in zip(rows, KEPT, strict=True) if kept]


def said(*texts: str, finish: str = "stop") -> Said:
    return Said("the prompt", "d1", Answer(tuple(texts), (finish,) * len(texts), 7, 9))


def test_several_captions_keep_their_reasons_and_the_first_accepted_one_is_chosen() -> None:
    options = "{decoding: {n: 2, temperature: 1.0}, accept: [{keep: caption_words > 2, reason: short}]}"
    failed = Said("p", "d2", failed=Failed("caption_timeout", "no answer in 3 s"))
    first, second, third = judged(options, said("a cat", "a cat sits here"), failed, said("no", "", finish="length"))
    assert (first["one"], first["one_captions"], first["one_reason"]) == ("a cat sits here", ["a cat sits here"], None)
    assert (first["one_said"], first["one_said_reasons"]) == (["a cat", "a cat sits here"], ["short", None])
    assert (first["one_prompt"], first["one_model"], first["one_words"], first["one_tokens_out"]) == (
        "p@2",
        "model@1",
        4,
        9,
    )
    assert (second["one"], second["one_reason"], second["one_message"]) == (None, "caption_timeout", "no answer in 3 s")
    assert (third["one_captions"], third["one_said_reasons"]) == ([], ["short", "caption_empty"])
    assert (third["one_reason"], third["one_is_cut"]) == ("short", True)


def test_the_most_similar_accepted_caption_is_chosen() -> None:
    rules = "accept: [{drop: caption_is_refusal, reason: refusal}]"
    options = f"{{decoding: {{n: 3, temperature: 1.0}}, choose: most_similar, {rules}}}"
    several = said("a cat", "a black cat", "I cannot see the image")
    [row, *_] = judged(options, several, several, several, similarity=[0.2, 0.4, 0.9] * 3)
    assert (row["one"], row["one_captions"]) == ("a black cat", ["a black cat", "a cat"])
    assert row["one_similarities"] == pytest.approx([0.4, 0.2]) and row["one_similarity"] == pytest.approx(0.4)


def test_what_was_not_detected_is_invented() -> None:
    options = (
        "{objects: {detected: seen, vocabulary: [cat, dog, mouse]}, "
        "accept: [{drop: caption_invented_share > 0.5, reason: invents}]}"
    )
    seen = [["cat"], ["cat", "dog"], ["mouse"]]
    found = judged(options, said("two dogs"), said("a cat and a dog"), said("a cat and a mouse"), seen=seen)
    assert [row["one_reason"] for row in found] == ["invents", None, None]
    assert [row["one_invented"] for row in found] == [["dog"], [], ["cat"]]


def test_a_judge_scores_in_its_answer() -> None:
    options = "{prompt: judge_clair, accept: [{keep: caption_score >= 0.5, reason: judged_wrong}]}"
    good, bad = said('{"score": 80, "reason": "both a cat"}'), said('{"score": 10, "reason": "a dog"}')
    found = judged(options, good, bad, said("I like it"))
    assert [row["one_reason"] for row in found] == [None, "judged_wrong", "judged_wrong"]
    assert [row["one_score"] for row in found] == [pytest.approx(0.8), pytest.approx(0.1), None]
    assert found[1]["one_score_reason"] == "a dog"
