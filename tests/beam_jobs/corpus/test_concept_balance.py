"""Concepts of texts, their counts, and balancing by MetaCLIP's formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.corpus.concepts import ConceptKeys, first_where, keep_probability, least_draws
from beam_jobs.corpus.counters import configuration, make_keying
from beam_jobs.corpus.hashing import text_keys
from beam_jobs.corpus.keying import add_totals, count_rows
from beam_jobs.corpus.tallies import Spectrum
from schemas.corpus import ConceptsOptions


@pytest.fixture
def vocabulary(tmp_path: Path) -> str:
    path = tmp_path / "vocabulary.txt"
    path.write_text("red\ndog\ncat\nnever\n")
    return str(path)


def columns(table: pa.Table, options: ConceptsOptions) -> dict[str, list[object]]:
    """The columns where the table is the whole corpus."""
    keying = make_keying(options, configuration(options))
    totals = count_rows([table.slice(0, 3), table.slice(3)], keying)
    made = add_totals(table, keying, totals, Spectrum.of(totals.counts))
    assert {name: each.type for name, each in made.items()} == dict(options.MADE)
    return {name: each.to_pylist() for name, each in made.items()}


def table_of(*texts: str | None, language: list[str | None] | None = None) -> pa.Table:
    uids = pa.array([f"{row:032x}" for row in range(len(texts))], pa.string())
    made = {"uid": uids, "text": pa.array(texts, pa.string())}
    return pa.table(made if language is None else {**made, "language": pa.array(language, pa.string())})


def test_the_entries_of_a_text_with_their_counts(vocabulary: str) -> None:
    found = columns(
        table_of("a dog, a dog", "red dog", None, "cat red", "Dog", "dog"), ConceptsOptions(vocabulary=vocabulary)
    )
    assert found["concepts"] == [["dog"], ["red", "dog"], [], ["red", "cat"], [], ["dog"]]
    assert found["concept_counts"] == [[3], [2, 3], [], [2, 1], [], [3]]
    assert found["concept_number"] == [1, 2, 0, 2, 0, 1]
    assert found["rarest_concept"] == ["dog", "red", None, "cat", None, "dog"]
    assert found["concept_min_count"] == [3, 2, None, 1, None, 3]


def test_the_first_entry_is_the_rarest_among_equals(vocabulary: str) -> None:
    assert columns(table_of("cat dog red"), ConceptsOptions(vocabulary=vocabulary))["rarest_concept"] == ["red"]


def test_case_is_folded_on_request(vocabulary: str) -> None:
    found = columns(table_of("RED Dog", "dog"), ConceptsOptions(vocabulary=vocabulary, fold_case=True))
    assert found["concept_counts"] == [[1, 2], [2]]


def test_languages_are_counted_apart(vocabulary: str) -> None:
    table = table_of("dog", "dog", "dog red", "dog", language=["en", "en", "de", None])
    found = columns(table, ConceptsOptions(vocabulary=vocabulary, per="language"))
    assert found["concept_counts"] == [[2], [2], [1, 1], [1]]


def test_the_probability_is_metaclips() -> None:
    counts = np.array([100, 50, 100, 7, 20_000, 10])
    starts = np.array([0, 2, 3, 3, 4, 6])
    # 1 - (1 - 20/100)(1 - 20/50); 20/100; nothing; 1, since 7 <= 20; 1, since 10 <= 20.
    assert keep_probability(counts, starts, t=20).tolist() == pytest.approx([0.52, 0.2, 0.0, 1.0, 1.0])
    assert keep_probability(counts, starts, t=100).tolist() == [1.0, 1.0, 0.0, 1.0, 1.0]


def test_the_same_probabilities_over_a_constructed_corpus(vocabulary: str) -> None:
    # red stands in 40 texts, dog in 10, cat in 5.
    texts = ["red"] * 30 + ["red dog"] * 8 + ["red dog cat"] * 2 + ["cat"] * 3 + ["none"]
    found = columns(table_of(*texts), ConceptsOptions(vocabulary=vocabulary, t=8))
    assert dict(zip(texts, found["concept_probability"], strict=True)) == pytest.approx(
        {
            "red": 8 / 40,
            "red dog": 1 - (1 - 8 / 40) * (1 - 8 / 10),
            "red dog cat": 1.0,
            "cat": 1.0,
            "none": 0.0,
        }
    )


def test_as_many_are_drawn_as_the_probability_says() -> None:
    rows = 40_000
    uids = pa.chunked_array([[f"{row:032x}" for row in range(rows)]])
    entries = np.tile(text_keys(pa.array(["red", "dog"])), rows)
    counts = np.tile([100, 50], rows)
    starts = np.arange(rows + 1) * 2
    drawn = least_draws(uids, entries, counts, starts, seed=0)
    for t in (5, 20, 49, 50, 100):
        probability = keep_probability(counts[:2], starts[:2], t=t)[0]
        # Four standard deviations of a share of 40,000.
        assert abs((drawn < t).mean() - probability) <= 4 * (probability * (1 - probability) / rows) ** 0.5
    # The first kept at a lower t are kept at every higher one: that is what one number for all t means.
    assert set(np.flatnonzero(drawn < 5)) < set(np.flatnonzero(drawn < 20))


def test_draws_are_of_uid_entry_and_seed_alone() -> None:
    uids = pa.chunked_array([["a" * 32, "b" * 32]])
    entries = text_keys(pa.array(["red", "dog", "red"]))
    starts = np.array([0, 2, 3])
    counts = np.array([1, 1, 1])
    drawn = least_draws(uids, entries, counts, starts, seed=0)
    assert drawn.tolist() == least_draws(uids, entries, counts, starts, seed=0).tolist()
    assert drawn.tolist() != least_draws(uids, entries, counts, starts, seed=1).tolist()
    alone = least_draws(uids[1:], entries[2:], counts[2:], np.array([0, 1]), seed=0)
    assert alone.tolist() == drawn[1:].tolist()
    assert least_draws(uids, entries[:0], counts[:0], np.array([0, 0, 0]), seed=0).tolist() == [np.inf, np.inf]


def test_where_a_run_is_first_true() -> None:
    true = np.array([False, True, True, False, True])
    assert first_where(true, np.array([0, 3, 3, 5])).tolist() == [1, 0, 4]
    assert first_where(true[:0], np.array([0, 0])).tolist() == [0]


def test_a_fingerprint_knows_the_bytes_and_not_the_place(vocabulary: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_bytes(Path(vocabulary).read_bytes())
    first = configuration(ConceptsOptions(vocabulary=vocabulary))
    assert configuration(ConceptsOptions(vocabulary=str(copy))) == first
    assert first["options"]["vocabulary_entries"] == 4
    copy.write_text("red\ndog\ncat\nelse\n")
    assert configuration(ConceptsOptions(vocabulary=str(copy))) != first


def test_an_empty_part_has_columns_too(vocabulary: str) -> None:
    options = ConceptsOptions(vocabulary=vocabulary)
    keying = make_keying(options, configuration(options))
    assert isinstance(keying, ConceptKeys)
    assert len(count_rows([table_of()], keying)) == 0
    made = add_totals(table_of(), keying, count_rows([], keying), Spectrum.joined([]))
    assert {name: len(each) for name, each in made.items()} == dict.fromkeys(options.MADE, 0)
