"""The section `recaption` of a recipe: what it reads, and each fault in one line."""

from __future__ import annotations

import pytest

from schemas.decoding import Decoding
from schemas.recaption import EngineOptions, Recaption, Source
from schemas.recipe import parse_recipe
from schemas.refusal import Refusal

WHOLE = """
name: mine
recaption:
  captioners:
    - label: long
      prompt: caption_long
      decoding: {max_tokens: 64, temperature: 0.7, top_p: 0.9, n: 2, seed: 3, stop: ["\\n"]}
      input: {alt: [text, title], language: "'German'"}
      image_side: null
      choose: most_similar
      accept: [{keep: caption_words > 2, reason: too_short}]
  similarity: clip
  seed: 4
  texts_at: read
  texts: [{as: mixed, p_original: 0.15, other: long}]
"""


def test_all_of_it_is_read() -> None:
    section = parse_recipe(WHOLE, "mine.yaml").recaption
    (captioner,) = section.captioners
    assert captioner.engine == EngineOptions("transformers", "tiny", {})
    assert captioner.decoding == Decoding(64, 0.7, 0.9, 2, 3, ("\n",))
    assert captioner.given == {"alt": (Source("text"), Source("title")), "language": (Source(constant="German"),)}
    assert (captioner.image, captioner.image_side, captioner.choose) == (None, None, "most_similar")
    assert [rule.to_json() for rule in captioner.accept] == [{"keep": "caption_words > 2", "reason": "too_short"}]
    assert (section.similarity, section.seed, section.texts_at, section.makes_texts) == ("clip", 4, "read", False)
    assert section.to_json()["texts"] == [{"as": "mixed", "one_of": ["text", "long"], "weights": [0.15, 0.85]}]


def test_a_recipe_without_it_has_none() -> None:
    recipe = parse_recipe("name: mine", "mine.yaml")
    assert not recipe.recaption and recipe.recaption == Recaption() and recipe.to_json()["recaption"] == {}


def test_engine_options_are_known_by_all_of_them() -> None:
    keys = {
        EngineOptions(*given).key
        for given in (("vllm", "m"), ("endpoint", "m"), ("vllm", "n"), ("vllm", "m", {"at_once": 3}))
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("label: long", "label: Long", "captioners[0].label: expected lower-case letters, digits and _,"),
        ("label: long", "label: texts", "captioners[0].label: expected lower-case letters, digits and _,"),
        ("label: long", "lable: long", "captioners[0]: unknown key 'lable'; known: label, engine,"),
        ("max_tokens: 64", "max_tokens: 0", "captioners[0].decoding: max_tokens: expected a whole number"),
        ("max_tokens: 64", "tokens: 64", "captioners[0].decoding: unknown key 'tokens'; known: max_tokens,"),
        ("image_side: null", "image_side: 2", "captioners[0].image_side: expected a whole number"),
        ("choose: most_similar", "choose: best", "captioners[0].choose: expected one of first,"),
        ("keep: caption_words > 2, reason: too_short", "sample: 0.5", "captioners[0].accept[0]: expected `keep` or"),
        ("texts_at: read", "texts_at: once", "texts_at: expected one of write, read; given 'once'"),
        ("seed: 4", "sead: 4", "unknown key 'sead'; known: captioners, similarity,"),
    ],
)  # fmt: skip
def test_faults_are_refused_at_their_place(before: str, after: str, message: str) -> None:
    assert before in WHOLE
    with pytest.raises(Refusal) as refusal:
        parse_recipe(WHOLE.replace(before, after), "mine.yaml")
    dotted = "" if message.startswith("unknown key 'sead'") else "."
    start = f"mine.yaml: recaption{dotted or ': '}"
    assert str(refusal.value).startswith(f"{start}{message}")
