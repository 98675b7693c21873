"""Counting over the parts of a run folder: known counts, and nothing about the run changes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest

from beam_jobs.cli import main
from beam_jobs.corpus.counters import configuration
from beam_jobs.runners import choose_runner
from beam_jobs.stages.corpus import CountCorpus
from beam_jobs.storage.parquet import read_schema, read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.corpus import parse_corpus
from schemas.keys import uid
from schemas.tables import PAIRS, conform

Row = tuple[str, str, str | None]

ROWS: list[Row] = [
    ("http://a.test/1.jpg", "a red dog", None),
    ("http://a.test/1.jpg", "a red dog", None),
    ("http://a.test/2.jpg", "a red dog", None),
    ("http://b.test/3.jpg", "a red cat", None),
    ("http://b.test/3.jpg", "a dog", None),
    ("http://b.test/4.jpg", "", None),
    ("data:,", "a red dog", "unsupported_scheme"),
]


def write_parts(work: Path, parts: Sequence[Sequence[Row]]) -> str:
    for number, rows in enumerate(parts):
        table = pa.table(
            {
                "uid": pa.array([uid(text, url) for url, text, _ in rows], pa.string()),
                "url": pa.array([url for url, _, _ in rows], pa.string()),
                "text": pa.array([text for _, text, _ in rows], pa.string()),
                "page_language": pa.array(["en" if "cat" in text else "de" for _, text, _ in rows], pa.string()),
                "reason": pa.array([reason for *_, reason in rows], pa.string()),
            }
        )
        write_table(RunFolder(str(work)).pairs(number), conform(table, PAIRS))
    return str(work)


def count(work: str, section: list[object], *, parts: int, rows: int = 6, flags: Sequence[str] = ()) -> None:
    counters = [(each, configuration(each)) for each in parse_corpus(section).counters]
    with choose_runner(flags) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="corpus"))
        _ = pipeline | CountCorpus(work, parts=range(parts), rows=rows, counters=counters)
        runner.wait(pipeline)


@pytest.fixture
def vocabulary(tmp_path: Path) -> str:
    path = tmp_path / "vocabulary.txt"
    path.write_text("dog\nred\nred dog\nbird\n")
    return str(path)


def columns(work: str, label: str, part: int) -> dict[str, list[object]]:
    table = read_table(RunFolder(work).corpus(label, part))
    assert table["uid"].to_pylist() == read_table(RunFolder(work).pairs(part), ["uid"])["uid"].to_pylist()
    return {name: table[name].to_pylist() for name in table.column_names if name != "uid"}


def test_known_counts_of_a_corpus_in_two_parts(tmp_path: Path, vocabulary: str) -> None:
    work = write_parts(tmp_path, [ROWS[:2] + ROWS[6:], ROWS[2:6]])
    section: list[object] = ["repeats", "hosts", "ngrams", {"concepts": {"vocabulary": vocabulary, "t": 2}}]
    count(work, section, parts=2)
    # The same pair twice is one image of its text; the row that ended at extraction is not counted.
    assert columns(work, "repeats", 0) == {"images_per_text": [2, 2, None], "texts_per_image": [1, 1, None]}
    assert columns(work, "repeats", 1) == {"images_per_text": [2, 1, 1, None], "texts_per_image": [1, 2, 2, None]}
    assert columns(work, "hosts", 0)["host_pairs"] == [3, 3, None]
    assert columns(work, "hosts", 1)["tld_pairs"] == [6, 6, 6, 6]
    # a: 5, red: 4, "a red": 4, dog: 4, "red dog": 3, cat: 1, "red cat": 1, "a dog": 1
    assert columns(work, "ngrams", 0) == {"rarest_ngram_count": [3, 3, None], "rarest_ngram_rank": [5, 5, None]}
    assert columns(work, "ngrams", 1) == {"rarest_ngram_count": [3, 1, 1, None], "rarest_ngram_rank": [5, 6, 6, None]}
    concepts = columns(work, "concepts", 1)
    assert concepts["concepts"] == [["dog", "red", "red dog"], ["red"], ["dog"], []]
    assert concepts["concept_counts"] == [[4, 4, 3], [4], [4], []]
    assert concepts["concept_probability"] == pytest.approx([1 - 0.5 * 0.5 / 3, 0.5, 0.5, 0.0])
    assert columns(work, "concepts", 0)["concepts"][2] is None
    assert read_table(RunFolder(work).corpus_counts("concepts")).to_pydict() == {
        "concept": ["dog", "red", "red dog", "bird"],
        "text": [4, 4, 3, 0],
    }


def test_counts_of_concepts_in_each_language(tmp_path: Path, vocabulary: str) -> None:
    work = write_parts(tmp_path, [ROWS[:2], ROWS[2:]])
    apart = {"vocabulary": vocabulary, "per": "page_language"}
    count(work, [{"concepts": apart}, {"concepts": {"vocabulary": vocabulary, "label": "all"}}], parts=2)
    assert columns(work, "all", 1)["all_concept_counts"] == [[4, 4, 3], [4], [4], [], None]
    assert columns(work, "concepts", 1)["concept_counts"] == [[4, 3, 3], [1], [4], [], None]
    table = read_table(RunFolder(work).corpus_counts("concepts")).to_pylist()
    assert [tuple(row.values()) for row in table] == [
        ("de", "dog", 4),
        ("de", "red", 3),
        ("de", "red dog", 3),
        ("en", "red", 1),
    ]


def many_rows() -> list[Row]:
    words = ["a", "red", "dog", "cat", "show", "hot"]
    texts = [" ".join(words[(seed * step) % 6] for step in range(1, 2 + seed % 5)) for seed in range(240)]
    return [
        (f"http://h{seed % 7}.test/{seed % 50}.jpg", f"{text} {seed % 90}", None) for seed, text in enumerate(texts)
    ]


def digest_by_uid(work: str, label: str, parts: int) -> str:
    """What all rows say, in the order of their uids."""
    tables = [read_table(RunFolder(work).corpus(label, part)) for part in range(parts)]
    rows = sorted(json.dumps(row, sort_keys=True) for table in tables for row in table.to_pylist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def test_other_parts_and_buckets_say_the_same_of_each_row(tmp_path: Path, vocabulary: str) -> None:
    section: list[object] = [
        "repeats",
        "hosts",
        "ngrams",
        {"concepts": {"vocabulary": vocabulary, "per": "page_language"}},
    ]
    rows = many_rows()
    layouts = {"whole": [rows], "halves": [rows[120:], rows[:120]], "mixed": [rows[2::3], rows[::3], rows[1::3]]}
    found = set()
    for name, parts in layouts.items():
        work = write_parts(tmp_path / name, parts)
        # So many rows would need 40 buckets of n-grams.
        count(work, section, parts=len(parts), rows=240 if name == "whole" else 20_000_000)
        labels = ("repeats", "hosts", "ngrams", "concepts")
        found.add(tuple(digest_by_uid(work, label, len(parts)) for label in labels))
    assert len(found) == 1


def test_several_processes_write_the_same_bytes(tmp_path: Path, vocabulary: str) -> None:
    rows = many_rows()
    section: list[object] = ["repeats", {"concepts": {"vocabulary": vocabulary}}]
    written = []
    for flags in ([], ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]):
        work = write_parts(tmp_path / str(len(flags)), [rows[::2], rows[1::2]])
        count(work, section, parts=2, rows=20_000_000, flags=flags)
        written.append({path.relative_to(work): path.read_bytes() for path in Path(work, "corpus").rglob("*.parquet")})
    # Two parts of each counter, and the table of concepts.
    assert written[0] == written[1] and len(written[0]) == 5


def test_a_sidecar_says_what_made_it_and_how_exact_it_is(tmp_path: Path) -> None:
    work = write_parts(tmp_path, [ROWS[:6]])
    count(work, ["ngrams"], parts=1)
    told = json.loads(read_schema(RunFolder(work).corpus("ngrams", 0)).metadata[b"pairmill"])
    assert told == {
        "counter": "ngrams",
        "version": 1,
        "options": {"label": "ngrams", "text": "text"},
        "different_keys": 8,
        "keys_taken_for_another": 1.73e-18,
    }


RECIPE = """
name: counted
corpus:
  - repeats
  - concepts: {{vocabulary: {vocabulary}, t: 3}}
preselect:
  - drop: images_per_text > 1
    reason: common_text
  - keep: concept_draw < 100
    reason: no_concept
"""


@pytest.fixture
def launch(tmp_path: Path, vocabulary: str) -> list[str]:
    table = tmp_path / "pairs.parquet"
    write_table(str(table), pa.table({"url": [row[0] for row in ROWS[:6]], "text": [row[1] for row in ROWS[:6]]}))
    recipe = tmp_path / "counted.yaml"
    recipe.write_text(RECIPE.format(vocabulary=vocabulary))
    return [f"--recipe={recipe}", f"--source=table:{table}", f"--work={tmp_path / 'work'}", "--stages=:preselect"]


def test_rules_read_what_was_counted_and_plans_carry_it(launch: list[str], tmp_path: Path) -> None:
    assert main(["run", *launch]) == 0
    folder = RunFolder(str(tmp_path / "work"))
    reasons = read_table(folder.preselected(0))["reason"].to_pylist()
    assert reasons == ["common_text"] * 3 + [None, None, "no_concept"]
    planned = read_table(folder.planned(0))
    assert sorted(zip(planned["text"].to_pylist(), planned["concept_counts"].to_pylist(), strict=True)) == [
        ("a dog", [4]),
        ("a red cat", [4]),
    ]
    assert planned.schema.field("concepts").type == pa.list_(pa.string())


def test_a_second_run_counts_nothing_again(
    launch: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *launch]) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "corpus").rglob("*.parquet")}
    capsys.readouterr()
    assert main(["run", *launch]) == 0
    said = capsys.readouterr()
    assert "corpus      done before: 6 of 6" in said.out + said.err
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == 3


def test_another_vocabulary_needs_another_folder(
    launch: list[str], vocabulary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *launch]) == 0
    Path(vocabulary).write_text("dog\nred\n")
    capsys.readouterr()
    assert main(["run", *launch]) == 2
    assert "holds corpus/concepts made with another configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("vocabulary.txt", "nowhere.txt", "expected a file of entries; it cannot be read"),
        ("t: 3", "per: licences", "corpus[1]: counter 'concepts' reads no column 'licences': nothing makes it"),
        ("t: 3", "per: position", "corpus[1]: expected a column of texts to count; 'position' is int32"),
        ("images_per_text > 1", "texts_per_text > 1", "preselect reads no column 'texts_per_text': nothing makes it"),
        ("- repeats", "- repeat", "corpus: unknown counter 'repeat'; known: repeats, hosts, ngrams, concepts"),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_written(
    launch: list[str], before: str, after: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "counted.yaml"
    text = recipe.read_text()
    assert text.count(before) == 1
    recipe.write_text(text.replace(before, after))
    assert main(["run", *launch]) == 2
    said = capsys.readouterr().err
    assert expected in said and said.count("\n") == 1
    assert not (tmp_path / "work").exists()
