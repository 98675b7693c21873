"""The store of answers: found by what was asked, in any shards, after any interruption; and what captions cost."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_jobs.recaptioning.answers import Answers
from beam_jobs.recaptioning.cost import cost_of_markers, estimate_rest, told
from beam_jobs.storage.ledger import Marker, Tally, Ticket
from captioners.captioner import Answer

LAST = (1 << 64) - 1


def answer(text: str) -> Answer:
    return Answer((text, f"{text}!"), ("stop", "length"), 3, 4)


def add(url: str, first: int, last: int, *places: int, join: bool = True) -> Answers:
    answers = Answers(url, first, last)
    answers.find()
    for place in places:
        answers.add(place, f"digest{place}", answer(f"text {place}"))
    answers.flush()
    if join:
        answers.join()
    return answers


def found(url: str, first: int, last: int) -> set[str]:
    return set(Answers(url, first, last).find())


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "answers") if request.param == "local" else f"memory://{tmp_path}/answers"


def test_an_answer_is_found_as_it_was_given(url: str) -> None:
    add(url, 0, 100, 7, LAST)
    assert Answers(url, 0, LAST).find() == {"digest7": answer("text 7"), f"digest{LAST}": answer(f"text {LAST}")}


def test_shards_that_are_cut_otherwise_find_theirs_and_no_others(url: str) -> None:
    add(url, 0, 49, 5, 20, 45)
    add(url, 50, 99, 50, 90)
    assert found(url, 0, 30) == {"digest5", "digest20"}
    assert found(url, 31, 60) == {"digest45", "digest50"}
    assert found(url, 91, 200) == set()
    assert found(url, 0, 99) == {"digest5", "digest20", "digest45", "digest50", "digest90"}


def test_segments_of_a_span_become_one_and_others_stay(tmp_path: Path) -> None:
    url = str(tmp_path)
    add(url, 0, 99, 60, 95, join=False)
    for place in (10, 20, 30):
        add(url, 0, 49, place, join=False)
    assert len(list(tmp_path.iterdir())) == 4
    add(url, 0, 49, 40)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert [name.split("-")[:2] for name in names] == [[f"{10:016x}", f"{40:016x}"], [f"{60:016x}", f"{95:016x}"]]
    assert pq.read_table(tmp_path / names[0])["place"].to_pylist() == [10, 20, 30, 40]
    assert found(url, 0, 99) == {f"digest{place}" for place in (10, 20, 30, 40, 60, 95)}


def test_what_came_is_stored_before_the_shard_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_jobs.recaptioning.answers.ANSWERS_A_SEGMENT", 3)
    answers = Answers(str(tmp_path), 0, 99)
    for place in range(8):
        answers.add(place, f"digest{place}", answer("one"))
    assert found(str(tmp_path), 0, 99) == {f"digest{place}" for place in range(6)}


def test_the_same_answers_twice_are_one_segment(tmp_path: Path) -> None:
    add(str(tmp_path), 0, 99, 1, 2)
    add(str(tmp_path), 0, 99, 1, 2)
    assert len(list(tmp_path.iterdir())) == 1


def test_files_that_are_no_segments_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_bytes(b"mine")
    add(str(tmp_path), 0, 99, 1)
    assert found(str(tmp_path), 0, 99) == {"digest1"}
    assert (tmp_path / "notes.parquet").read_bytes() == b"mine"


def marker(rows: int, seconds: float, **numbers: float) -> Marker:
    return Marker(Ticket("recaption/r.l", 0, "f", "i"), Tally(rows, {"kept": rows}, "d", numbers=numbers), seconds)


def test_the_first_shard_tells_what_the_rest_costs() -> None:
    first = marker(100, 50.0, captions=100, asked=80, found=20, tokens_in=60_000, tokens_out=2_000)
    cost = cost_of_markers([first])
    assert (cost.rows_per_second, cost.tokens_per_second) == (2.0, 32.0)
    rest = estimate_rest(cost, rows=10_000)
    assert rest is not None
    assert (rest.asked, rest.tokens_in, rest.tokens_out, rest.seconds) == (10_000, 6_000_000, 200_000, 6_250.0)
    assert told(rest) == "6,000,000 tokens in, 200,000 out, 1.7 h of a worker"


def test_answers_that_were_all_found_tell_nothing_of_time() -> None:
    assert estimate_rest(cost_of_markers([marker(10, 1.0, asked=0, found=10)]), rows=5) is None
    assert cost_of_markers([]).rows_per_second is None
