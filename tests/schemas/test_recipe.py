from __future__ import annotations

import dataclasses

import pytest

from schemas.grouping import GROUPERS, ExactOptions, NearOptions
from schemas.recipe import Limits, Write, parse_recipe
from schemas.recipe_steps import Preference, Rule, Sample, Top, Unique
from schemas.refusal import Refusal

WHOLE = """
name: mine
summary: one line
cites: Somebody, 2020
evidence: ["[paper] threshold"]
approximate: [the crawl is another one]
preselect:
  - drop: length(text) < 5
    reason: text_too_short
  - unique: [url, text]
download: {resize: keep_ratio, image_size: 512, max_aspect_ratio: 3, rows_per_shard: 1000}
score: [text_facts, clip: {model: tiny}]
group:
  - exact
  - near: {cosine: 0.9}
select:
  - keep: clip_similarity >= 0.3
    reason: clip_below_threshold
  - unique: [near_group]
    prefer: [-clip_similarity, width]
    reason: near_duplicate
  - top_fraction: 0.3
    by: [-clip_similarity]
    unless: clip_similarity > 0.5
  - top_k: 20
    by: [clip_similarity]
    per: [cluster]
    cut: value
    reason: full_cluster
  - sample: 0.5
  - sample: 80000
    seed: 7
    per: [cluster]
    reason: not_in_ladder
write: {samples_per_shard: 50}
limits: {failed_rows: 0.5}
"""


def refused(text: str) -> str:
    with pytest.raises(Refusal) as caught:
        parse_recipe(text, "mine.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_whole_recipe_is_read() -> None:
    recipe = parse_recipe(WHOLE, "mine.yaml")
    assert (recipe.name, recipe.summary, recipe.cites) == ("mine", "one line", "Somebody, 2020")
    assert recipe.evidence == ("[paper] threshold",)
    assert recipe.approximate == ("the crawl is another one",)
    assert recipe.preselect[1] == Unique(("url", "text"), (), "duplicate", recipe.preselect[1].place)
    assert (recipe.download.resize, recipe.download.image_size, recipe.download.max_aspect_ratio) == (
        "keep_ratio",
        512,
        3,
    )
    assert recipe.score == ("text_facts", {"clip": {"model": "tiny"}})
    assert recipe.group.groupers == (ExactOptions(), NearOptions(cosine=0.9))
    keep, unique, fraction, count, half, ladder = recipe.select
    assert keep == Rule("keep", "clip_similarity >= 0.3", "clip_below_threshold", keep.place)
    prefer = (Preference("clip_similarity", descending=True), Preference("width", descending=False))
    assert unique == Unique(("near_group",), prefer, "near_duplicate", unique.place)
    best = (Preference("clip_similarity", descending=True),)
    assert fraction == Top(0.3, None, best, (), "below_top_fraction", fraction.place, unless="clip_similarity > 0.5")
    worst = (Preference("clip_similarity", descending=False),)
    assert count == Top(None, 20, worst, ("cluster",), "full_cluster", count.place, cut="value")
    assert half == Sample(0.5, None, 0, (), "not_sampled", half.place)
    assert ladder == Sample(None, 80_000, 7, ("cluster",), "not_in_ladder", ladder.place)
    assert [step.place.dotted for step in recipe.select[:3]] == ["select[0]", "select[1]", "select[2]"]
    assert recipe.write == Write(samples_per_shard=50, caption="text")
    assert recipe.limits == Limits(failed_rows=0.5)


def test_a_name_alone_is_a_recipe_of_defaults() -> None:
    recipe = parse_recipe("name: plain", "mine.yaml")
    assert (recipe.preselect, recipe.score, recipe.group.groupers, recipe.select) == ((), (), (), ())
    assert recipe.write == Write(samples_per_shard=10_000, caption="text")
    assert recipe.limits == Limits(failed_rows=0.9)
    assert recipe.download.rows_per_shard == 10_000


def test_sections_hold_the_defaults_and_nothing_of_other_stages() -> None:
    recipe = parse_recipe(WHOLE, "mine.yaml")
    assert recipe.section("preselect") == {
        "rows_per_shard": 1000,
        "steps": [
            {"drop": "length(text) < 5", "reason": "text_too_short"},
            {"unique": ["url", "text"], "prefer": [], "reason": "duplicate"},
        ],
    }
    assert recipe.section("score") == [{"text_facts": {}}, {"clip": {"model": "tiny"}}]
    assert recipe.section("select")["steps"][1:] == [
        {"unique": ["near_group"], "prefer": ["-clip_similarity", "width"], "reason": "near_duplicate"},
        {
            "top_fraction": 0.3,
            "by": ["-clip_similarity"],
            "per": [],
            "cut": "places",
            "unless": "clip_similarity > 0.5",
            "reason": "below_top_fraction",
        },
        {
            "top_k": 20,
            "by": ["clip_similarity"],
            "per": ["cluster"],
            "cut": "value",
            "unless": None,
            "reason": "full_cluster",
        },
        {"sample": 0.5, "seed": 0, "per": [], "reason": "not_sampled"},
        {"sample": 80000, "seed": 7, "per": ["cluster"], "reason": "not_in_ladder"},
    ]
    assert recipe.section("write") == {"samples_per_shard": 50, "caption": "text"}
    assert recipe.section("report") == {}
    with pytest.raises(ValueError, match="unknown stage 'selct'"):
        recipe.section("selct")


def test_writing_a_default_out_changes_no_section() -> None:
    short = parse_recipe("name: a\nselect: [{unique: [sha256]}]\ngroup: [exact]", "a.yaml")
    long = parse_recipe(
        "name: a\nselect: [{unique: [sha256], prefer: [], reason: duplicate}]\ngroup: [exact: {by: sha256}]\n"
        "write: {samples_per_shard: 10000}\ndownload: {image_size: 256}\npreselect: []\n",
        "b.yaml",
    )
    assert short.to_json() == long.to_json()
    assert short == dataclasses.replace(long, select=short.select)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "mine.yaml: expected a mapping of keys to values; given nothing"),
        ("[a]", "mine.yaml: expected a mapping of keys to values; given a list of 1"),
        ("summary: x", "mine.yaml: a recipe needs a name"),
        ("name: yes", "mine.yaml: name: expected a text; given true"),
        (
            "name: ../up",
            "mine.yaml: name: expected letters, digits, `_`, `-` or `.`, at most 64; given '../up'",
        ),
        (
            "name: a\nselekt: []",
            (
                "mine.yaml: unknown key 'selekt'; known: name, summary, cites, evidence, approximate, "
                "offline_approximation, given, extract, corpus, preselect, download, score, group, select, columns, "
                "recaption, write, limits"
            ),
        ),
        ("name: a\nname: b", "mine.yaml: line 2: the key 'name' is given twice"),
        ("name: a\nwrite: {caption: x, caption: y}", "mine.yaml: write: line 2: the key 'caption' is given twice"),
        ("name: a\n1: b", "mine.yaml: line 2: expected a name as key; given 1"),
        (
            "name: a\nselect: [",
            "mine.yaml: line 2: not valid YAML: expected the node content, but found '<stream end>'",
        ),
        ("name: a\n---\nname: b", "mine.yaml: line 2: not valid YAML: but found another document"),
        (
            "name: &x a\ncites: *x",
            "mine.yaml: line 1: anchors and aliases (& and *) are not read here; write the value out",
        ),
        (
            "name: !!python/object/apply:os.system [ls]",
            (
                "mine.yaml: name: line 1: expected a text, number, true, false, list or mapping; "
                "given a python/object/apply:os.system"
            ),
        ),
        (
            "name: a\ncites: 2021-01-01",
            "mine.yaml: cites: line 2: expected a text, number, true, false, list or mapping; given a timestamp",
        ),
        ("name: a\n" + "x: " + "[" * 30 + "]" * 30, "mine.yaml: line 2: nested more than 20 deep"),
        ("name: a\napproximate: nothing", "mine.yaml: approximate: expected a list; given 'nothing'"),
        ("name: a\nscore: clip", "mine.yaml: score: expected a list; given 'clip'"),
        (
            "name: a\nscore: [[clip]]",
            "mine.yaml: score[0]: expected a scorer, or `scorer: {options}`; given a list of 1",
        ),
        (
            "name: a\nscore: [{clip: {}, nsfw: {}}]",
            "mine.yaml: score[0]: expected a scorer, or `scorer: {options}`; given a mapping of clip, nsfw",
        ),
        ("name: a\ndownload: 256", "mine.yaml: download: expected a mapping of keys to values; given 256"),
        (
            "name: a\ndownload: {resize: stretch}",
            (
                "mine.yaml: download: unknown resize 'stretch'; known: no, border, keep_ratio, keep_ratio_largest, "
                "center_crop"
            ),
        ),
        (
            "name: a\ngroup: [exactly]",
            f"mine.yaml: group: unknown grouper 'exactly'; known: {', '.join(GROUPERS)}",
        ),
        ("name: a\nwrite: {samples: 5}", "mine.yaml: write: unknown key 'samples'; known: samples_per_shard, caption"),
        (
            "name: a\nwrite: {samples_per_shard: 0}",
            "mine.yaml: write: samples_per_shard: expected a whole number of at least 1; given 0",
        ),
        (
            "name: a\nwrite: {samples_per_shard: 1e4}",
            "mine.yaml: write: samples_per_shard: expected a whole number of at least 1; given 10000.0",
        ),
        (
            "name: a\nlimits: {failed_rows: 20}",
            "mine.yaml: limits: failed_rows: expected a share from 0 to 1; given 20",
        ),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(text: str, expected: str) -> None:
    assert refused(text) == expected


def test_an_unknown_download_option_lists_those_that_exist() -> None:
    message = refused("name: a\ndownload: {size: 256}")
    assert message.startswith("mine.yaml: download: unknown key 'size'; known: resize, image_size, ")


def test_too_much_text_is_refused() -> None:
    assert refused("#" * 1_000_001) == "mine.yaml: expected at most 1000000 characters; given 1000001"


def test_a_number_with_an_exponent_is_a_number() -> None:
    assert parse_recipe("name: a\nlimits: {failed_rows: 1e-3}", "a.yaml").limits.failed_rows == 0.001
