"""Counting over what was downloaded: contents instead of URLs, and concepts of texts and tags."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest

from beam_jobs.grouping.given_files import pinned_groupers
from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.recipe_check import check_recipe
from schemas.grouping import GroupOptions, parse_group
from schemas.keys import uid
from schemas.recipe import parse_recipe
from schemas.recipe_text import Place
from schemas.refusal import Refusal
from schemas.tables import IMAGES, PLANNED, conform

# (URL, text, content or None where the download failed, tags)
Image = tuple[str, str, str | None, list[str] | None]
SHARDS: list[list[Image]] = [
    [
        ("http://a.test/1", "a dog", "one", ["dog", "grass", "dog"]),
        ("http://a.test/2", "a dog", "one", ["dog"]),
        ("http://a.test/3", "a dog", None, None),
    ],
    [
        ("http://a.test/4", "a cat", "one", ["Dog"]),
        ("http://a.test/5", "a dog", "two", ["cat", "dog"]),
        ("http://a.test/6", "", "two", None),
    ],
]


@pytest.fixture
def work(tmp_path: Path) -> str:
    folder = RunFolder(str(tmp_path / "work"))
    for shard, images in enumerate(SHARDS):
        uids = [uid(text, url) for url, text, _, _ in images]
        failed = [content is None for _, _, content, _ in images]
        planned = {"uid": uids, "url": [url for url, *_ in images], "text": [text for _, text, _, _ in images]}
        write_table(folder.planned(shard), conform(pa.table(planned), PLANNED))
        stored = {
            "uid": uids,
            "url": planned["url"],
            "status": ["failed_to_download" if bad else "success" for bad in failed],
            "reason": pa.array(["http_404" if bad else None for bad in failed], pa.string()),
            "sha256": pa.array([content for _, _, content, _ in images], pa.string()),
        }
        write_table(folder.image_table(shard), conform(pa.table(stored), IMAGES))
        tags = pa.array([tags for *_, tags in images], pa.list_(pa.string()))
        first = pa.array([tags[0] if tags else None for *_, tags in images], pa.string())
        write_table(folder.scores("seen", shard), pa.table({"uid": uids, "tags": tags, "first_tag": first}))
    return folder.work


@pytest.fixture
def vocabulary(tmp_path: Path) -> str:
    path = tmp_path / "vocabulary.txt"
    path.write_text("cat\ndog\nbird\n")
    return str(path)


def group(work: str, section: list[object]) -> GroupOptions:
    options = pinned_groupers(parse_group(section), Place("recipe"))
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | GroupShards(work, shards=[0, 1], options=options, scores=["seen"])
    return options


def columns(work: str, label: str) -> dict[str, list[object]]:
    tables = [read_table(RunFolder(work).groups(label, shard)) for shard in (0, 1)]
    for shard, table in enumerate(tables):
        assert table["uid"] == read_table(RunFolder(work).image_table(shard), ["uid"])["uid"]
    return pa.concat_tables(tables).drop_columns(["uid"]).to_pydict()


def test_images_are_told_apart_by_content(work: str) -> None:
    group(work, ["repeats", {"repeats": {"image": "url", "label": "by_url"}}])
    assert columns(work, "content") == {
        "content_images_per_text": [2, 2, None, 1, 2, None],
        "content_texts_per_image": [2, 2, None, 2, 1, None],
    }
    assert columns(work, "by_url")["by_url_images_per_text"] == [3, 3, None, 1, 3, None]


def test_concepts_of_texts_and_of_tags(work: str, vocabulary: str) -> None:
    options = group(work, [{"concepts": {"vocabulary": vocabulary, "tags": "tags", "t": 2}}])
    found = columns(work, "stored")
    assert list(found) == list(options.groupers[0].columns)
    assert found["stored_concepts"] == [["dog"], ["dog"], None, ["cat"], ["dog"], []]
    assert found["stored_concept_counts"] == [[3], [3], None, [1], [3], []]
    assert found["stored_concept_probability"] == pytest.approx([2 / 3, 2 / 3, None, 1.0, 2 / 3, 0.0])
    assert found["stored_tag_concepts"] == [["dog"], ["dog"], None, [], ["cat", "dog"], []]
    assert found["stored_tag_counts"] == [[3], [3], None, [], [1, 3], []]
    assert found["stored_joint_concepts"] == [["dog"], ["dog"], None, [], ["dog"], []]
    assert found["stored_joint_counts"] == [[3], [3], None, [], [3], []]
    assert found["stored_aligned"] == [True, True, None, None, True, None]
    assert read_table(RunFolder(work).group_counts("stored")).to_pydict() == {
        "concept": ["cat", "dog", "bird"],
        "text": [1, 3, 0],
        "tags": [1, 3, 0],
        "joint": [0, 3, 0],
    }


def test_one_tag_a_row_and_case_folded(work: str, vocabulary: str) -> None:
    section = {"vocabulary": vocabulary, "tags": "first_tag", "fold_case": True, "label": "first"}
    group(work, [{"concepts": section}])
    found = columns(work, "first")
    assert found["first_tag_concepts"] == [["dog"], ["dog"], None, ["dog"], ["cat"], []]
    assert found["first_aligned"] == [True, True, None, False, False, None]


def test_only_rows_that_are_asked_for_count(work: str, vocabulary: str) -> None:
    where = "sha256 = 'one' and first_tag is not null"
    group(work, [{"concepts": {"vocabulary": vocabulary, "where": where}}, {"repeats": {"where": where}}])
    found = columns(work, "stored")
    assert found["stored_concepts"] == [["dog"], ["dog"], None, ["cat"], None, None]
    assert found["stored_concept_counts"] == [[2], [2], None, [1], None, None]
    assert columns(work, "content")["content_texts_per_image"] == [2, 2, None, 2, None, None]


def test_what_is_wrong_is_refused_at_launch(vocabulary: str) -> None:
    with pytest.raises(Refusal, match=r"nowhere\.txt: expected a file of entries; it cannot be read"):
        pinned_groupers(parse_group([{"concepts": {"vocabulary": "nowhere.txt"}}]), Place("recipe"))
    with pytest.raises(ValueError, match=r"^tags: expected the name of a column; given 3$"):
        parse_group([{"concepts": {"vocabulary": vocabulary, "tags": 3}}])
    recipe = parse_recipe(f"name: a\ngroup: [{{concepts: {{vocabulary: {vocabulary}, tags: seen}}}}]", "mine.yaml")
    with pytest.raises(Refusal, match=r"group\[0\]: grouper 'stored' reads no column 'seen'"):
        check_recipe(recipe, scorers=())
    numbers = parse_recipe("name: a\ngroup: [repeats: {image: byte_size}]", "mine.yaml")
    with pytest.raises(Refusal, match=r"group\[0\]: expected a column of texts to count; 'byte_size' is int64"):
        check_recipe(numbers, scorers=())
    asking = parse_recipe("name: a\ngroup: [repeats: {where: nsfw < 1}]", "mine.yaml")
    with pytest.raises(Refusal, match=r"group\[0\]\.where: group reads no column 'nsfw'"):
        check_recipe(asking, scorers=())
    with pytest.raises(ValueError, match=r"^where: expected an expression; given ''$"):
        parse_group([{"repeats": {"where": ""}}])


def test_rules_may_read_what_was_counted(vocabulary: str) -> None:
    recipe = parse_recipe(
        f"""
name: a
group: [repeats, concepts: {{vocabulary: {vocabulary}}}]
select:
  - drop: content_texts_per_image > 1000
    reason: many_texts
  - keep: stored_concept_draw < 20000
    reason: not_drawn
  - keep: array_length(stored_concepts) < 9
    reason: many_concepts
""",
        "mine.yaml",
    )
    check_recipe(recipe, scorers=())
