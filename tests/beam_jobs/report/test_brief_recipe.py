"""The report shows a recipe as people wrote it: without the options that have their defaults."""

from __future__ import annotations

from beam_jobs.report.making import brief
from schemas.recipe import parse_recipe

RECIPE = """
name: mine
corpus: [repeats, ngrams: {text: title}, hosts: {label: places}, concepts: {vocabulary: v.txt, t: 20000}]
download: {image_size: 512}
group: [exact, concepts: {vocabulary: v.txt, tags: seen}, retrieved: {queries: q.txt}]
"""


def test_defaults_are_left_out_also_of_what_has_no_default() -> None:
    shown = brief(parse_recipe(RECIPE, "mine.yaml").to_json())
    assert shown["corpus"] == [
        "repeats",
        {"ngrams": {"text": "title"}},
        {"hosts": {"label": "places"}},
        {"concepts": {"vocabulary": "v.txt"}},
    ]
    assert shown["group"] == [
        "exact",
        {"concepts": {"vocabulary": "v.txt", "tags": "seen"}},
        {"retrieved": {"queries": "q.txt"}},
    ]
    assert shown["download"] == {"image_size": 512}
