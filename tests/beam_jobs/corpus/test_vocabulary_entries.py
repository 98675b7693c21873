"""Entries are found where MetaCLIP's own definition, a substring of the padded text, finds them; files are checked."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.corpus.entries import PaddedMatcher, make_matcher, spaced
from beam_jobs.corpus.vocabulary import known_vocabulary, read_vocabulary
from schemas.refusal import JobFailed, Refusal

ENTRIES = ["dog", "hot dog", "a", "hot", "dog show", "hot dog show", "St. Louis", "two  blanks", "Dog", "東京", "c#"]


def found_in(text: str, boundary: str = "padded", entries: list[str] = ENTRIES) -> list[str]:
    found = make_matcher(pa.array(entries), boundary).find(pa.array([text], pa.large_string()))
    assert found.rows.tolist() == [0] * len(found.entries)
    return [entries[entry] for entry in found.entries.tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a hot dog show", ["dog", "hot dog", "a", "hot", "dog show", "hot dog show"]),
        ("hotdog, hot  dog", ["dog", "hot"]),
        ("hot\\tdog", ["dog", "hot dog", "hot"]),
        ("hot, dog", ["dog", "hot"]),
        ("hot (dog)", ["hot"]),
        ("DOG Dog?", ["Dog"]),
        ("dog", ["dog"]),
        ("two  blanks", ["two  blanks"]),
        # MetaCLIP puts blanks around the full stop of the text, not of the entry.
        ("St. Louis", []),
        ("c# 東京!", ["東京", "c#"]),
        ("", []),
    ],
)
def test_an_entry_stands_between_blanks(text: str, expected: list[str]) -> None:
    assert found_in(text.replace("\\t", "\t")) == expected


def test_no_blank_is_asked_for_beside_scripts_that_have_none() -> None:
    entries = ["東京", "東", "tower", "ไทย", "서울"]
    assert found_in("東京tower ประเทศไทย 서울역", "scripts", entries) == ["東京", "東", "ไทย"]
    assert found_in("東京 tower 서울", "scripts", entries) == ["東京", "東", "tower", "서울"]


def test_it_finds_what_the_definition_finds() -> None:
    draw = random.Random(3)
    words = ["a", "b", "ab", "ba", "x", "y.", ",", "a b"]
    entries = sorted({" ".join(draw.choices(words, k=draw.randint(1, 4))) for _ in range(80)})
    texts = ["".join(draw.choice(words) + draw.choice([" ", "  ", "", "\n"]) for _ in range(9)) for _ in range(2_000)]
    padded = [f" {text} " for text in spaced(pa.array(texts)).to_pylist()]
    expected = [
        (row, number) for row, text in enumerate(padded) for number, e in enumerate(entries) if f" {e} " in text
    ]
    assert len(expected) > 5_000
    for boundary in ("padded", "scripts"):
        letters = [entry for entry in entries if all(entry[side].isalnum() for side in (0, -1))]
        chosen = letters if boundary == "scripts" else entries
        found = make_matcher(pa.array(chosen), boundary).find(pa.array(texts, pa.large_string()))
        wanted = [(row, entries[number]) for row, number in expected if entries[number] in chosen]
        assert list(zip(found.rows.tolist(), [chosen[n] for n in found.entries.tolist()], strict=True)) == wanted


def test_punctuation_and_line_ends_are_spaced() -> None:
    texts = pa.array(["a,b.c;d:e?f!g`h", "a\tb\nc\rd", "it's (a) \u00a0\u3002"])
    assert spaced(texts).to_pylist() == [
        "a , b . c ; d : e ? f ! g ` h",
        "a b c d",
        "it's (a) \u00a0\u3002",
    ]


def test_a_vocabulary_of_lines_or_of_parquet(tmp_path: Path) -> None:
    lines, table = tmp_path / "a.txt", tmp_path / "a.parquet"
    lines.write_bytes(b"\xef\xbb\xbfdog\r\nHot dog\r\n")
    pq.write_table(pa.table({"entry": ["dog", "Hot dog"]}), table)
    assert [read_vocabulary(str(path)).entries.to_pylist() for path in (lines, table)] == [["dog", "Hot dog"]] * 2
    assert read_vocabulary(str(lines), fold_case=True).entries.to_pylist() == ["dog", "hot dog"]
    assert PaddedMatcher(read_vocabulary(str(lines)).entries).find(pa.array(["a Hot dog"])).entries.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected an entry a line; given none"),
        (b"\n", "expected an entry a line; given none"),
        (b"dog\n\ncat\n", "entry 2 of 3 is empty"),
        (b"dog\ncat\ndog", "expected different entries; 'dog' is there 2 times"),
        (b"dog\nDog\n", "expected different entries; 'dog' is there 2 times in lower case"),
        (b"dog\n\xff\n", "expected UTF-8, an entry a line; byte 4 is not"),
    ],
)
def test_a_wrong_vocabulary_is_refused_in_one_line(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(Refusal) as refused:
        read_vocabulary(str(path), fold_case="lower case" in expected)
    assert str(refused.value) == f"vocabulary {path}: {expected}"


def test_a_missing_file_or_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"nowhere\.txt: expected a file of entries; it cannot be read"):
        read_vocabulary(str(tmp_path / "nowhere.txt"))
    wide, numbers, text = (tmp_path / f"{name}.parquet" for name in ("wide", "numbers", "text"))
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), wide)
    pq.write_table(pa.table({"a": [1]}), numbers)
    text.write_text("dog\n")
    with pytest.raises(Refusal, match=r"with one column of texts; given a: string, b: string$"):
        read_vocabulary(str(wide))
    with pytest.raises(Refusal, match=r"with one column of texts; given a: int64$"):
        read_vocabulary(str(numbers))
    with pytest.raises(Refusal, match="expected Parquet with a column of texts; "):
        read_vocabulary(str(text))


def test_a_file_that_changed_after_the_launch_fails_the_job(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("dog\n")
    launched = read_vocabulary(str(path)).sha256
    path.write_text("cat\n")
    with pytest.raises(JobFailed, match="is not the file that the run was launched with"):
        known_vocabulary(str(path), launched, fold_case=False)
