from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pytest

from filters.recipe_check import check_recipe
from filters.scorer import IMAGE, Column, Scorer
from schemas.recipe import parse_recipe
from schemas.refusal import Refusal

EXTRA = pa.schema([("language", pa.string()), ("rank", pa.float64())])


@dataclass(frozen=True, kw_only=True)
class Similarity(Scorer):
    """A scorer of one column, with embeddings."""

    name: ClassVar[str] = "clip"
    version: ClassVar[int] = 1
    embeds: ClassVar[bool] = True
    made: Mapping[str, pa.DataType]
    text: str = "text"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (IMAGE, self.text)

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(name, kind, "") for name, kind in self.made.items())


CLIP = Similarity(made={"clip_similarity": pa.float32()})


def check(text: str, *, scorers: tuple[Scorer, ...] = (CLIP,)) -> None:
    check_recipe(parse_recipe(f"name: a\n{text}", "a.yaml"), scorers=scorers, source_columns=EXTRA)


def refused(text: str, *, scorers: tuple[Scorer, ...] = (CLIP,)) -> str:
    with pytest.raises(Refusal) as caught:
        check(text, scorers=scorers)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "preselect: [{drop: length(text) < 5, reason: b}, {keep: language = 'en', reason: c}, {unique: [url, text]}]",
        "preselect: [{drop: text_length < 5 or is_file_name, reason: b}]",
        "select: [{keep: 'clip_similarity >= 0.3 and least(width, height) > 200', reason: b}]",
        "group: [exact, near]\nselect: [{unique: [exact_group], prefer: [-clip_similarity, rank]}]",
        (
            "group: [near: {keep: [most_pixels, -clip_similarity]}]\n"
            "select: [{top_k: 5, by: [-clip_similarity], per: [cluster]}, {drop: near_size > 9, reason: b}]"
        ),
        "write: {caption: page_title}",
    ],
)
def test_what_exists_where_it_is_read_passes(text: str) -> None:
    check(text)


def test_an_unknown_column_is_refused_with_those_that_exist() -> None:
    message = refused("select: [{keep: clip_similarty >= 0.3, reason: b}]")
    assert message.startswith(
        "a.yaml: select[0]: select reads no column 'clip_similarty': nothing makes it; known: uid, url, text, "
    )
    assert message.endswith("original_width, original_height, exif, sha256, clip_similarity")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What later stages make is not there before the download.
        ("preselect: [{keep: width > 1, reason: b}]", "preselect[0]: preselect reads no column 'width'"),
        ("preselect: [{keep: clip_similarity > 1, reason: b}]", "preselect[0]: preselect reads no column 'clip_"),
        ("preselect: [{unique: [sha256]}]", "preselect[0]: preselect reads no column 'sha256'"),
        # A rule never computes a score: what no scorer of the recipe makes is not there.
        ("select: [{drop: text_length < 5, reason: b}]", "select[0]: select reads no column 'text_length'"),
        ("select: [{unique: [near_group]}]", "select[0]: select reads no column 'near_group'"),
        ("select: [{unique: [url], prefer: [-score]}]", "select[0]: select reads no column 'score'"),
        ("select: [{top_k: 5, by: [-rank], per: [country]}]", "select[0]: select reads no column 'country'"),
        ("select: [{keep: reason is null, reason: b}]", "select[0]: select reads no column 'reason'"),
        ("select: [{keep: sum(width) > 1, reason: b}]", "select[0].keep: 'sum' looks at other rows"),
        ("select: [{keep: width, reason: b}]", "select[0].keep: 'width' must be true or false for each row"),
        ("select: [{keep: text > 3, reason: b}]", "select[0].keep: 'text > 3' does not fit its columns"),
        ("select: [{top_k: 5, by: [-rank], unless: rnk > 1}]", "select[0]: select reads no column 'rnk'"),
        ("select: [{top_k: 5, by: [-rank], unless: rank >}]", "select[0].unless: cannot parse 'rank >'"),
        ("select: [{top_k: 5, by: [-rank], unless: rank}]", "select[0].unless: 'rank' must be true or false"),
        (
            "select: [{unique: [url], prefer: [text]}]",
            "select[0]: expected a column of numbers to order by; 'text' is string",
        ),
        (
            "select: [{unique: [rank]}]",
            "select[0]: expected a column of texts or whole numbers to compare; 'rank' is double",
        ),
        ("write: {caption: alt}", "write.caption: captions come from no column 'alt'"),
        ("write: {caption: width}", "write.caption: expected a column of texts; given int32"),
        ("group: [near: {embedding: siglip}]", "group[0]: no scorer stores embeddings as 'siglip'; known: clip"),
        ("group: [exact: {keep: [-beauty]}]", "group[0].keep: the survivor's choice reads no column 'beauty'"),
    ],
)
def test_what_does_not_exist_where_it_is_read_is_refused(text: str, expected: str) -> None:
    assert refused(text).startswith(f"a.yaml: {expected}")


def test_a_column_with_two_makers_is_refused() -> None:
    twice = (Similarity(made={"width": pa.int32()}),)
    assert refused("", scorers=twice) == "a.yaml: the images table and scorer 'clip' both make the column 'width'"
    as_source = (Similarity(made={"language": pa.string()}),)
    assert refused("", scorers=as_source) == "a.yaml: the pairs table and scorer 'clip' both make the column 'language'"
    as_group = (Similarity(made={"exact_size": pa.int32()}),)
    expected = "a.yaml: an earlier stage and grouper 'exact' both make the column 'exact_size'"
    assert refused("group: [exact]", scorers=as_group) == expected


def test_a_scorer_over_a_column_that_nothing_makes_is_refused() -> None:
    scorer = (Similarity(made={"clip_similarity": pa.float32()}, text="caption_fr"),)
    message = refused("", scorers=scorer)
    assert message.startswith("a.yaml: score: scorer 'clip' reads no column 'caption_fr': nothing makes it; known: ")
