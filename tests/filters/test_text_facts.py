"""Facts of texts, written out; repetition also against its definition, text by text."""

from __future__ import annotations

import collections
import math
import random

import pyarrow as pa
import pytest

from filters.scorer import Batch
from filters.text_facts import FACTS, TextFacts, text_facts
from schemas.refusal import Refusal


def facts(text: str | None) -> dict[str, object]:
    return text_facts(pa.array([text], pa.string())).to_pylist()[0]


@pytest.mark.parametrize(
    ("text", "length", "words", "alnum", "special", "digits", "upper", "ascii_"),
    [
        ("", 0, 0, 0.0, 0.0, 0.0, 0.0, 1.0),
        (None, 0, 0, 0.0, 0.0, 0.0, 0.0, 1.0),
        ("   ", 3, 0, 0.0, 1.0, 0.0, 0.0, 1.0),
        ("A red cat", 9, 3, 7 / 9, 2 / 9, 0.0, 1 / 7, 1.0),
        ("  two\twords\n", 12, 2, 8 / 12, 4 / 12, 0.0, 0.0, 1.0),
        ("IMG_2041.JPG", 12, 1, 10 / 12, 6 / 12, 4 / 12, 1.0, 1.0),
        ("Grüße", 5, 1, 1.0, 0.0, 0.0, 1 / 5, 3 / 5),
        ("猫 と 犬", 5, 3, 3 / 5, 2 / 5, 0.0, 0.0, 2 / 5),
        ("e\u0301te\u0301", 5, 1, 3 / 5, 0.0, 0.0, 0.0, 3 / 5),
        ("!!!", 3, 1, 0.0, 1.0, 0.0, 0.0, 1.0),
    ],
)
def test_counts_and_ratios(
    text: str | None,
    length: int,
    words: int,
    alnum: float,
    special: float,
    digits: float,
    upper: float,
    ascii_: float,
) -> None:
    found = facts(text)
    assert (found["text_length"], found["word_count"]) == (length, words)
    ratios = [found[name] for name in ("alnum_ratio", "special_ratio", "digit_ratio", "upper_ratio", "ascii_ratio")]
    assert ratios == pytest.approx([alnum, special, digits, upper, ascii_], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("short", 0.0),
        ("abcdefghijk", 0.0),  # two sequences, each once
        ("aaaaaaaaaaa", 1.0),  # one sequence, twice
        ("abcdefghijabcdefghij", 2 / 11),  # ten different of eleven; one occurs twice
        ("0123456789" * 3, 7 / 21),  # ten different, so the first floor(sqrt(10)) = 3 count: 3 + 2 + 2 times
    ],
)
def test_repetition_written_out(text: str, share: float) -> None:
    assert facts(text)["character_repetition"] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "words", "phrases"),
    [
        ("", 0.0, 0.0),
        (None, 0.0, 0.0),
        ("   ", 0.0, 0.0),
        ("one", 0.0, 0.0),
        ("Red red RED", 2 / 3, 0.0),  # one phrase of three words, once
        ("buy buy buy buy", 3 / 4, 1.0),  # the phrase `buy buy buy`, twice
        ("a b c d a b c", 3 / 7, 2 / 5),  # of five phrases `a b c` is two
        ("größe GRÖSSE größe", 1 / 3, 0.0),
        ("猫 犬 猫 犬 猫 犬", 4 / 6, 1.0),
        ("x\x00y x\x00y\tz", 1 / 3, 0.0),
        ("ab " * 300_000, 299_999 / 300_000, 1.0),
    ],
)
def test_repeated_words_and_phrases(text: str | None, words: float, phrases: float) -> None:
    found = facts(text)
    assert found["word_repetition"] == pytest.approx(words, abs=1e-6)
    assert found["phrase_repetition"] == pytest.approx(phrases, abs=1e-6)


def defined_repetition(text: str, length: int = 10) -> float:
    """The definition, read slowly."""
    sequences = [text[first : first + length] for first in range(len(text) - length + 1)]
    counts = sorted(collections.Counter(sequences).values(), reverse=True)
    counted = [count for count in counts[: math.isqrt(len(counts))] if count > 1]
    return sum(counted) / len(sequences) if sequences else 0.0


def test_repetition_is_its_definition_on_many_texts() -> None:
    source = random.Random(3)
    words = ["click", "here", "to", "see", "the", "large", "picture", "größer", "猫の写真", "🙂"]
    texts = [" ".join(source.choices(words[: source.randint(1, 10)], k=source.randint(0, 40))) for _ in range(6000)]
    found = text_facts(pa.array(texts), ["character_repetition"])["character_repetition"].to_pylist()
    assert found == pytest.approx([defined_repetition(text) for text in texts], abs=1e-6)
    assert 1000 < sum(share > 0 for share in found) < 6000


def test_facts_do_not_depend_on_neighbours_or_on_how_a_column_is_cut() -> None:
    texts = ["a cat", None, "", "abcdefghij" * 4, "猫", "IMG_1.jpg", "x" * 30] * 9
    alone = [facts(text) for text in texts]
    together = text_facts(pa.array(texts))
    cut = text_facts(pa.chunked_array([texts[:2], texts[2:2], texts[2:]], pa.string()))
    sliced = text_facts(pa.array(["left out", *texts])[1:])
    assert together.to_pylist() == alone
    assert cut.to_pylist() == alone
    assert sliced.to_pylist() == alone


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("is_file_name", ["photo.jpg", "my holiday.PNG", "IMG_2041", "DSC 0042", "image (3)", "deadbeefcafe0123456789",
                          "2019-03-04_1234", "final_logo_v2", "c2f0b6a1-9d1e-4f7a-8b3c-0123456789ab"]),
        ("is_boilerplate", ["image", "Logo", "[ IMAGE ]", "Click to enlarge", "photo 12", "no image available...",
                            "Profile picture", "read more »", "Buy now - free shipping!", "All Rights Reserved",
                            "sign up for our newsletter", "Zum Vergrößern klicken", "Previous page", "zoom in"]),
        ("has_url", ["see https://example.org/a", "www.shop.example", "photo by travelblog.com"]),
        ("has_email", ["write to jane.doe+x@mail.example.org", "a@b.co"]),
        ("has_phone", ["call +49 30 1234567", "(555) 123-4567", "555-123-4567", "Tel. 030 / 901 820"]),
    ],
)  # fmt: skip
def test_patterns_found(name: str, texts: list[str]) -> None:
    found = text_facts(pa.array(texts), [name])[name].to_pylist()
    assert [text for text, hit in zip(texts, found, strict=True) if not hit] == []


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("is_file_name", ["", "A red circle", "1984", "A photo of a cat sitting on the mat next to photo.jpg and more",
                          "The JPEG standard", "photo of 3 dogs"]),
        ("is_boilerplate", ["", "Image of a red car", "The company logo on a wall", "Arrow Rock, Missouri",
                            "a zoom lens", "sign of the times", "The last page of the book"]),
        ("has_url", ["", "version 2.0", "end.Start", "wwwelcome"]),
        ("has_email", ["", "@handle", "5 apples @ 2 euros"]),
        ("has_phone", ["", "2019-03-04", "1234567890123", "in 1999 2000 people", "iso 8601"]),
    ],
)  # fmt: skip
def test_patterns_not_found(name: str, texts: list[str]) -> None:
    found = text_facts(pa.array(texts), [name])[name].to_pylist()
    assert [text for text, hit in zip(texts, found, strict=True) if hit] == []


def test_only_what_is_asked_for_is_given_in_that_order() -> None:
    table = text_facts(pa.array(["a b"]), ["word_count", "text_length"])
    assert table.to_pylist() == [{"word_count": 2, "text_length": 3}]
    assert text_facts(pa.array([], pa.string())).schema.names == list(FACTS)
    with pytest.raises(Refusal, match=r"unknown text fact 'length'; known: .*text_length"):
        text_facts(pa.array(["a"]), ["length"])


def test_scorer_reads_any_text_column_without_a_picture() -> None:
    scorer = TextFacts(alias="titles", text="title")
    assert scorer.inputs == ("title",)
    scores = scorer.score(Batch(pa.table({"uid": ["x"], "title": ["two words"]})), scorer.load())
    assert scores.columns.schema == scorer.schema
    assert scores.columns["titles_word_count"].to_pylist() == [2]


def test_very_long_texts_are_measured_in_pieces() -> None:
    texts = ["ab " * 2_000_000, "short", None, "c" * 5_000_000, ""]
    found = text_facts(pa.array(texts), ["text_length", "word_count"])
    assert found["text_length"].to_pylist() == [6_000_000, 5, 0, 5_000_000, 0]
    assert found["word_count"].to_pylist() == [2_000_000, 1, 0, 1, 0]
    assert found["text_length"].num_chunks == 4
