"""Recipe entries become scorers, or one clear line of refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from filters.image_facts import ImageFacts
from filters.registry import SCORERS, Entry, describe, make_scorer, make_scorers
from filters.scorer import require
from filters.text_facts import TextFacts
from schemas.refusal import Refusal


def test_a_name_or_a_name_with_options() -> None:
    assert make_scorer("image_facts") == ImageFacts()
    assert make_scorer({"image_facts": {"max_side": 128, "as": "coarse"}}) == ImageFacts(max_side=128, alias="coarse")
    assert make_scorer({"text_facts": None}) == TextFacts()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("image_fact", "score: unknown scorer 'image_fact'; known: " + ", ".join(sorted(SCORERS))),
        ({"image_facts": {"side": 1}}, "scorer 'image_facts': unknown option 'side'; known: as, max_side"),
        ({"image_facts": {"max_side": "64"}}, "option 'max_side' must be int; given '64'"),
        ({"image_facts": {"max_side": True}}, "option 'max_side' must be int; given True"),
        ({"text_facts": {"as": "Titles"}}, "`as` must be lower-case .* given 'Titles'"),
        ({"text_facts": {"as": "../up"}}, r"`as` must be lower-case .* given '\.\./up'"),
        ({"text_facts": [1]}, "expected a scorer's name, or one name with its options"),
        ({"image_facts": {}, "text_facts": {}}, "expected a scorer's name, or one name with its options"),
        (7, "expected a scorer's name, or one name with its options; given 7"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(entry: Entry, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        make_scorer(entry)


def test_labels_and_columns_must_differ() -> None:
    with pytest.raises(Refusal, match="two scorers are called 'text_facts'; give one another name with `as`"):
        make_scorers(["text_facts", {"text_facts": {"text": "title"}}])
    both = make_scorers(["text_facts", {"text_facts": {"text": "title", "as": "titles"}}])
    assert [scorer.label for scorer in both] == ["text_facts", "titles"]
    assert not set(both[0].outputs) & set(both[1].outputs)


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_every_scorer_keeps_the_contract(name: str) -> None:
    options = dict(SCORERS[name].example)
    entry: dict[str, Any] = {name: options}
    scorer = make_scorer(entry)
    assert scorer.name == name == scorer.label
    assert scorer.version >= 1
    assert (scorer.inputs or scorer.needs) and scorer.columns
    assert all(isinstance(each, pa.DataType) for each in scorer.outputs.values())
    assert all(column.meaning for column in scorer.columns)
    if "file" not in options:  # whose content would stand in it
        assert json.loads(json.dumps(scorer.configuration())) == scorer.configuration()
    renamed = make_scorer({name: {**entry[name], "as": "other"}})
    assert renamed.label == "other"
    assert all(column.startswith("other_") for column in renamed.outputs)
    assert renamed == replace(scorer, alias="other")


def test_describing_all_and_one() -> None:
    lines = describe().splitlines()
    assert [line.split()[0] for line in lines] == sorted(SCORERS)
    assert all(len(line.split()) > 3 for line in lines)
    text = describe("image_facts")
    assert "image_facts (version 1): Brightness, contrast" in text
    assert "max_side (default: 512): pixels of the longer side" in text
    assert "reads: image" in text
    assert "brightness (float): mean luma" in text
    assert "Hasler" in text
    with pytest.raises(Refusal, match="unknown scorer 'no_such'; known: "):
        describe("no_such")


def test_a_library_that_is_absent_is_refused_with_what_to_install() -> None:
    with pytest.raises(Refusal) as refused:
        require("no_such_library", install="pairmill[models]", wanted_by="scorer 'clip'")
    assert str(refused.value) == (
        "scorer 'clip' needs 'no_such_library', which is not installed: pip install 'pairmill[models]'"
    )
