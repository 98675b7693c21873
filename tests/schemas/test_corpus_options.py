"""The `corpus` section: what it takes, what its counters make, and what is refused."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from schemas.corpus import ConceptsOptions, parse_corpus
from schemas.recipe import parse_recipe
from schemas.refusal import Refusal


def test_defaults_are_written_out() -> None:
    found = parse_corpus(
        ["repeats", {"hosts": None}, {"ngrams": {"text": "title"}}, {"concepts": {"vocabulary": "v.txt"}}]
    )
    assert found.to_json() == [
        {"repeats": {"label": "repeats", "text": "text", "image": "url"}},
        {"hosts": {"label": "hosts"}},
        {"ngrams": {"label": "ngrams", "text": "title"}},
        {
            "concepts": {
                "label": "concepts",
                "vocabulary": "v.txt",
                "text": "text",
                "boundary": "padded",
                "fold_case": False,
                "per": None,
                "t": 20000,
                "seed": 0,
            }
        },
    ]


def test_columns_begin_with_a_label_of_their_own() -> None:
    plain, named = ConceptsOptions(vocabulary="v"), ConceptsOptions(vocabulary="v", label="classes", per="language")
    assert plain.columns["concepts"] == pa.list_(pa.string())
    assert [name for name in named.columns if name.endswith(("_draw", "_number"))] == [
        "classes_concept_number",
        "classes_concept_draw",
    ]
    assert plain.reads == ("uid", "text") and named.reads == ("uid", "text", "language")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("hosts", "expected a list of counters (repeats, hosts, ngrams, concepts); given 'hosts'"),
        (["host"], "unknown counter 'host'; known: repeats, hosts, ngrams, concepts"),
        (
            [{"hosts": {}, "repeats": {}}],
            "expected one counter as `name: {options}`; given {'hosts': {}, 'repeats': {}}",
        ),
        ([{"hosts": 3}], "hosts: expected its options as a mapping; given 3"),
        ([{"repeats": {"texts": "a"}}], "repeats: unknown option 'texts'; known: label, text, image"),
        ([{"repeats": {"image": 3}}], "repeats: image: expected the name of a column; given 3"),
        (
            [{"concepts": {"vocabulary": "v", "seed": -1}}],
            "concepts: seed: expected a whole number of at least 0; given -1",
        ),
        (["concepts"], "concepts: vocabulary: expected a file of entries; given ''"),
        (
            [{"concepts": {"vocabulary": "v", "boundary": "words"}}],
            "concepts: boundary: expected one of padded, scripts; given 'words'",
        ),
        ([{"concepts": {"vocabulary": "v", "t": 0}}], "concepts: t: expected a whole number of at least 1; given 0"),
        (
            [{"concepts": {"vocabulary": "v", "fold_case": "yes"}}],
            "concepts: fold_case: expected true or false; given 'yes'",
        ),
        (
            [{"hosts": {"label": "Hosts"}}],
            "hosts: label: expected lower-case words joined by `_`, at most 32 letters; given 'Hosts'",
        ),
        (["hosts", "hosts"], "the label 'hosts' stands for two counters; give one of them a `label:` of its own"),
    ],
)
def test_what_is_wrong_is_said(section: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        parse_corpus(section)


def test_a_recipe_refuses_it_at_its_place() -> None:
    with pytest.raises(Refusal) as refused:
        parse_recipe("name: a\ncorpus: [{ngrams: {text: 2}}]", "mine.yaml")
    assert str(refused.value) == "mine.yaml: corpus: ngrams: text: expected the name of a column; given 2"
