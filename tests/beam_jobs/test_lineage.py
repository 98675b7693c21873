"""What a change of recipe makes anew, what it leaves, and what it may not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.lineage import Lineage, check_folder, difference, lineage_of
from beam_jobs.storage.ledger import Ledger, Manifest
from beam_jobs.storage.run_folder import RunFolder
from filters.registry import make_scorers
from schemas.recipe import parse_recipe
from schemas.refusal import Refusal
from schemas.sources import parse_source

RECIPE = """
name: mine
preselect:
  - drop: text_length < 5
    reason: short
download: {image_size: 256}
score: [image_facts, text_facts]
group: [exact]
select:
  - keep: contrast > 0.1
    reason: flat
write: {samples_per_shard: 100}
"""


def lineage(text: str = RECIPE, source: str = "html:pages.txt") -> Lineage:
    recipe = parse_recipe(text, "mine.yaml")
    return lineage_of(recipe, [parse_source(source)], make_scorers(recipe.score))


def changed(before: str, after: str) -> set[str]:
    """The ledgers whose fingerprint another spelling of the recipe changes."""
    assert before in RECIPE
    old, new = lineage(), lineage(RECIPE.replace(before, after))
    return {product.ledger for product in old if new[product.ledger].fingerprint != product.fingerprint}


CHEAP = {"select/mine", "write/mine", "report/mine"}
STORED = {"download", "score/image_facts", "score/text_facts", "group/exact"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("contrast > 0.1", "contrast > 0.2", CHEAP),
        ("samples_per_shard: 100", "samples_per_shard: 200", {"write/mine", "report/mine"}),
        ("image_size: 256", "image_size: 128", STORED | CHEAP),
        ("image_size: 256", "image_size: 256, resize: border", set()),
        ("text_length < 5", "text_length < 6", {"preselect", "planned"} | STORED | CHEAP),
        ("[exact]", "[exact: {by: url}]", {"group/exact"} | CHEAP),
    ],
)
def test_a_change_reaches_what_comes_after_it_and_nothing_else(before: str, after: str, expected: set[str]) -> None:
    assert changed(before, after) == expected


def test_another_source_is_another_run() -> None:
    other = lineage(source="html:others.txt")
    assert all(other[product.ledger].fingerprint != product.fingerprint for product in lineage())


def test_permanent_products_are_refused_and_cheap_ones_made_anew(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    old = lineage()
    for product in old:
        manifest = Manifest(product.ledger, product.fingerprint, "done", product.configuration, 0)
        Ledger(folder.ledger(product.ledger)).write_manifest(manifest)
    assert check_folder(folder, list(old)) == []
    looser = lineage(RECIPE.replace("contrast > 0.1", "contrast > 0.0"))
    assert {product.ledger for product in check_folder(folder, list(looser))} == CHEAP
    with pytest.raises(Refusal, match=r"holds download made with another .*image_size: 256, now 64\); use another"):
        check_folder(folder, list(lineage(RECIPE.replace("image_size: 256", "image_size: 64"))))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b: 1, now 2"),
        ({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "y"}]}, "a[1].b: 'x', now 'y'"),
        ({"a": [1]}, {"a": [1, 2]}, "a: [1], now [1, 2]"),
        ({}, {"a": 1}, "a: None, now 1"),
    ],
)
def test_the_first_difference_is_named(before: object, now: object, expected: str) -> None:
    assert difference(before, now) == expected
