from __future__ import annotations

import pyarrow as pa

from filters.text_columns import add_text_columns, columns_to_read, text_columns, text_scorers

PAIRS = pa.table({"url": ["u", "v", "w"], "text": ["a red square", "", "DSC_0012.jpg"]})


def test_columns_that_rules_name_are_made_of_the_texts() -> None:
    table = add_text_columns(PAIRS, ["url", "text_length", "is_file_name"])
    assert table.column_names == ["url", "text", "text_length", "is_file_name"]
    assert table["text_length"].to_pylist() == [12, 0, 12]
    assert table["is_file_name"].to_pylist() == [False, False, True]


def test_a_column_that_the_source_has_is_left_as_it_is() -> None:
    given = PAIRS.append_column("text_length", pa.array([7, 7, 7]))
    assert add_text_columns(given, ["text_length"])["text_length"].to_pylist() == [7, 7, 7]
    assert text_scorers(["text_length"], given.column_names) == ()


def test_what_must_be_read_is_what_they_are_made_of() -> None:
    assert columns_to_read(["url", "text_length", "word_count"], ["url", "text", "rank"]) == ("url", "text")
    assert columns_to_read(["text_length"], ["text", "text_length"]) == ("text_length",)
    assert [scorer.label for scorer in text_scorers(["url", "text_length"], ["url"])] == ["text_facts"]


def test_only_scorers_of_texts_make_columns_before_the_download() -> None:
    assert "text_length" in text_columns().names
    assert "brightness" not in text_columns().names and "clip_similarity" not in text_columns().names


def test_language_and_script_can_be_judged_before_the_download() -> None:
    names = ["language", "script", "word_count"]
    pairs = pa.table({"text": ["a red square on a table", "ein rotes Quadrat auf dem Tisch", "красный квадрат", ""]})
    table = add_text_columns(pairs, names)
    assert table.select(names).to_pydict() == {
        "language": ["en", "de", "ru", "und"],
        "script": ["Latn", "Latn", "Cyrl", "Zyyy"],
        "word_count": [6, 6, 2, 0],
    }
    assert [scorer.label for scorer in text_scorers(names, [])] == ["language", "script_facts", "text_facts"]
