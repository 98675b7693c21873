from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from beam_jobs.overview import catalogue_lines
from beam_jobs.recaptioning.launching import plan_captioning
from beam_jobs.recipes import list_recipes, load_recipe, recipe_text
from filters.recipe_check import check_recipe
from filters.registry import make_scorers
from schemas.recipe import parse_recipe
from schemas.refusal import Refusal

PUBLISHED = [name for name in list_recipes() if name not in ("base", "demo")]


# What the source of a recipe must carry, where no stage makes it.
CARRIED = {
    "concept_frequency": pa.schema([("image_tags", pa.list_(pa.string()))]),
    "compress_align": pa.schema([("reward", pa.float64())]),
}


def test_the_packaged_recipes_are_known_by_name() -> None:
    known = list_recipes()
    assert known == sorted(known) and {"base", "datacomp_clip_score", "laion400m"} < set(known)


@pytest.mark.parametrize("name", list_recipes())
def test_a_packaged_recipe_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary and len(recipe.summary) <= 120
    assert recipe.cites
    scorers = make_scorers(recipe.score)
    known = check_recipe(recipe, scorers=scorers, source_columns=CARRIED.get(name))
    captioning = plan_captioning(recipe, scorers, known)
    assert [plan.label for plan in captioning.plans] == [each.label for each in recipe.recaption.captioners]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_says_where_its_numbers_are_from_and_what_differs(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.evidence and recipe.approximate
    assert all("[" in mark and "]" in mark for mark in recipe.evidence)


def test_base_downloads_pairs_without_a_text() -> None:
    assert [step.to_json() for step in load_recipe("base").preselect] == [
        {"unique": ["url", "text"], "prefer": [], "reason": "duplicate_pair"}
    ]


def test_the_numbers_of_laion400m() -> None:
    recipe = load_recipe("laion400m")
    assert recipe.section("preselect") == {
        "rows_per_shard": 10_000,
        "steps": [
            {"drop": "text_length < 5", "reason": "text_too_short"},
            {"unique": ["url", "text"], "prefer": [], "reason": "duplicate_pair"},
        ],
    }
    assert recipe.section("score")[0] == {"clip": {"model": "ViT-B-32", "pretrained": "openai"}}
    assert recipe.section("select")["steps"][0] == {"keep": "clip_similarity >= 0.3", "reason": "clip_below_threshold"}
    assert (recipe.download.resize, recipe.download.image_size, recipe.download.min_bytes) == ("border", 256, 5000)


def test_a_recipe_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nselect: [{keep: width > 5, reason: small}]\n")
    assert load_recipe(str(file)).name == "mine"
    assert recipe_text(str(file))[1] == str(file)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("bas", "unknown recipe 'bas'; known: "),
        ("{folder}/none.yaml", "no recipe file {folder}/none.yaml"),
        ("{folder}/latin.yaml", "{folder}/latin.yaml: not UTF-8 at byte 6"),
        ("{folder}/wrong.yaml", "{folder}/wrong.yaml: unknown key 'nmae'; known: name, "),
    ],
)
def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path, given: str, expected: str) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xa0\xe9")
    (tmp_path / "wrong.yaml").write_text("nmae: a")
    with pytest.raises(Refusal) as caught:
        load_recipe(given.replace("{folder}", str(tmp_path)))
    assert str(caught.value).startswith(expected.replace("{folder}", str(tmp_path)))


@pytest.mark.parametrize("name", list_recipes())
def test_a_printed_recipe_stays_one_and_says_what_it_needs(name: str) -> None:
    lines = catalogue_lines("recipes", name)
    assert parse_recipe("\n".join(lines), name).to_json() == load_recipe(name).to_json()
    start = lines.index("# columns that it reads, and what makes them")
    carried = [line.split()[2] for line in lines[start:] if line.endswith("the source must carry it")]
    assert carried == CARRIED.get(name, pa.schema([])).names
    assert not any(line.startswith("# scorers that cannot be made") for line in lines)


def test_the_needs_of_cit() -> None:
    lines = catalogue_lines("recipes", "cit")
    assert lines[lines.index("# columns that it reads, and what makes them") :] == [
        "# columns that it reads, and what makes them",
        "#   score      text                         stage extract",
        "#   select     task_similarity              scorer task_similarity",
        "#   write      text                         stage extract",
        "# weights",
        "#   scorer clip: model ViT-B-32, pretrained openai",
        "#   scorer task_similarity: file given:tasks",
        "# given at launch",
        "#   --given tasks=VALUE  names of the tasks' classes, one a line",
    ]
