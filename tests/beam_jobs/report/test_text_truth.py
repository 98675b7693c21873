"""How right scorers of texts are on drawn texts, and the command that tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_jobs.cli import main
from beam_jobs.report.text_truth import measure_texts, text_entries
from beam_jobs.report.truth import Finder


def test_finders_count_what_they_found_and_should_have() -> None:
    found = {finder.name: finder for finder in measure_texts(400, entries=["contacts", "script_facts"])}
    assert found == {
        "url_count > 0": Finder("url_count > 0", "URLs", 11, 6, 11),
        "email_count > 0": Finder("email_count > 0", "e-mail addresses", 12, 12, 17),
        "phone_count > 0": Finder("phone_count > 0", "telephone numbers", 7, 7, 9),
        "user_count > 0": Finder("user_count > 0", "@names", 12, 12, 12),
        "script <> 'Latn'": Finder("script <> 'Latn'", "other scripts", 21, 21, 21),
    }


def test_scorers_are_mostly_right() -> None:
    for finder in measure_texts(600):
        assert finder.right >= 0.5 * finder.found, finder
        assert finder.right >= 0.5 * finder.sought, finder


def test_only_scorers_of_the_text_itself_are_measured() -> None:
    score: list[Any] = ["image_facts", "text_facts", {"language": {"text": "page_title", "as": "title"}}, "contacts"]
    assert text_entries(score) == ["text_facts", "contacts"]


def test_the_command_prints_a_line_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["truth", "--texts", "200", "--seed", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "200 drawn texts (seed 1)"
    assert lines[1].split() == ["seeks", "found", "right", "sought", "precision", "recall"]
    [listed] = [line.split() for line in lines if "blocklist_hits" in line]
    assert listed[:5] == ["blocklist_hits", ">", "0", "listed", "words"]
    assert listed[-2:] == ["1.000", "1.000"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--texts", "0"], "--texts must be at least 1; given 0"),
        (["--work", "out"], "--work, --recipe and --truth go together"),
        (["--work", "out", "--recipe", "base", "--truth", "none.parquet"], "--truth: none.parquet does not exist"),
        (["--runner", "DirectRunner"], "unrecognized arguments: --runner DirectRunner"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["truth", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"pairmill: refused: {message}")
    assert told.count("\n") == 1
