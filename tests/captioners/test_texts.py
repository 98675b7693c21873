"""Texts made of captions, with what each paper's rule gives written out."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from captioners import texts
from captioners.draws import Draws

LONG = "A red ring lies on paper. Two stars\nare blue.</s>  The end . ."
PARTS = ["A red ring lies on paper", "Two stars", "are blue", "The end"]


def test_draws_are_the_same_everywhere() -> None:
    draws = Draws("seed", 7, "uid")
    assert [draws.below(100) for _ in range(6)] == [21, 86, 59, 46, 0, 56]
    assert Draws(1).sample("abcdef", 4) == ["b", "a", "c", "e"]


def test_draws_are_even() -> None:
    draws = Draws("even")
    counts = Counter(draws.below(4) for _ in range(8000))
    assert set(counts) == {0, 1, 2, 3}
    assert all(1800 < count < 2200 for count in counts.values())


def test_a_caption_is_split_at_lines_ends_of_sequence_and_stops() -> None:
    assert texts.sub_captions(LONG) == PARTS
    assert texts.sub_captions(" . \n </s>") == []


@pytest.mark.parametrize(
    ("caption", "first"),
    [
        ("One. Two.", "One."),
        ("A 3.5 cm ring! And more.", "A 3.5 cm ring!"),
        ("no end", "no end"),
        ("  What is it? ", "What is it?"),
        ("", ""),
    ],
)
def test_the_first_sentence_ends_where_a_space_follows(caption: str, first: str) -> None:
    assert texts.first_sentence(caption) == first


def test_mobile_clip_cuts_at_the_first_full_stop() -> None:
    assert texts.cut_at_full_stop("a cat on a mat . a dog") == "a cat on a mat"


def test_sub_captions_are_different_while_there_are_enough() -> None:
    for number in range(50):
        assert sorted(texts.sample_sub_captions(PARTS, Draws(number), count=4)) == sorted(PARTS)
    six = texts.sample_sub_captions(PARTS, Draws(0), count=6)
    assert len(six) == 6
    assert set(six) == set(PARTS)
    assert texts.sample_sub_captions([], Draws(0), count=6) == []


def test_merges_are_of_one_to_three_parts_half_of_them_consecutive() -> None:
    parts = [f"p{number}" for number in range(8)]
    sizes: Counter[int] = Counter()
    following = 0
    for number in range(600):
        for made in texts.merged_sub_captions(parts, Draws(number), count=8):
            chosen = [int(part[1:]) for part in made.split(". ")]
            sizes[len(chosen)] += 1
            following += len(chosen) > 1 and all(b == a + 1 for a, b in pairwise(chosen))
            assert len(set(chosen)) == len(chosen)
    assert set(sizes) == {1, 2, 3}
    assert all(1450 < count < 1750 for count in sizes.values())
    # Half of the merges are consecutive by design; of those drawn at random few are so by chance.
    assert 0.5 < following / (sizes[2] + sizes[3]) < 0.6


def test_shearing_keeps_as_many_words_as_the_original_has() -> None:
    assert texts.shear("a very long caption of a ring", "red ring here") == "a very long"
    assert texts.shear("a very long caption", "  ") == "a very long caption"
    assert texts.shear("short", "much longer than that") == "short"


def test_reductions_keep_so_many_tokens_in_their_order() -> None:
    caption = "one two three four five six"
    assert texts.truncated(caption, 2) == "one two"
    for number in range(30):
        chosen = texts.random_tokens(caption, Draws(number), 3).split()
        assert len(chosen) == 3
        assert chosen == sorted(chosen, key=caption.split().index)
        assert texts.block(caption, Draws(number), 3) in caption
    assert {texts.block(caption, Draws(n), 5) for n in range(30)} == {
        "one two three four five",
        "two three four five six",
    }
    assert texts.block(caption, Draws(0), 9) == caption


def test_the_syntax_mask_prefers_nouns_then_adjectives_then_verbs() -> None:
    caption = "the old dog quietly chases two cats"
    tags = ["DT", "JJ", "NN", "RB", "VBZ", "CD", "NNS"]
    assert texts.by_syntax(caption, tags, 2) == "dog cats"
    assert texts.by_syntax(caption, tags, 4) == "old dog chases cats"
    assert texts.by_syntax(caption, tags, 5) == "the old dog chases cats"
    with pytest.raises(ValueError, match="expected a tag for each of 7 tokens; given 1"):
        texts.by_syntax(caption, ["NN"], 2)


def test_one_sentence_is_a_sub_caption() -> None:
    assert {texts.one_sentence(LONG, Draws(number)) for number in range(60)} == set(PARTS)
    assert texts.one_sentence("...", Draws(0)) == ""


def test_alt_texts_are_joined_once_each() -> None:
    assert texts.joined_alts(["a cat", " a cat ", "", "my pet"]) == "a cat; my pet"
    assert texts.joined_alts(["one two three", "four"], 2) == "one two"
