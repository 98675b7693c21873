"""A run held against lists of hashes from the command line: what it stores, and what goes on with it later."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_jobs.cli import main

RunArguments = Callable[[Path], list[str]]


def rows_of(work: Path) -> list[dict[str, object]]:
    return [row for path in sorted((work / "images").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_a_run_stores_nothing_of_a_list_and_goes_on_with_the_same_alone(
    undisturbed: Path, run_arguments: RunArguments, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stored = [row for row in rows_of(undisturbed) if row["status"] == "success"]
    blocked = str(stored[0]["sha256"])
    gone = {row["uid"] for row in stored if row["sha256"] == blocked}
    (tmp_path / "known.txt").write_text(blocked + "\n")
    (tmp_path / "other.txt").write_text("0" * 64 + "\n")
    given = f"--blocklist=sha256:{tmp_path / 'known.txt'}"
    work = tmp_path / "work"
    arguments = [*run_arguments(work), "--stages=extract:download"]
    assert main([*arguments, given]) == 0
    rows = rows_of(work)
    assert {row["uid"] for row in rows if row["reason"] == "blocked_by_list"} == gone
    assert blocked not in {row["sha256"] for row in rows}
    capfd.readouterr()
    assert main(["counts", f"--work={work}", "--json"]) == 0
    counts = {count["stage"]: count for count in json.loads(capfd.readouterr().out)}
    assert counts["download"]["reasons"]["blocked_by_list"] == len(gone)
    assert sum(counts["download"]["reasons"].values()) == len(rows)
    assert main(arguments) == 0
    for command, expected in (
        (
            [*arguments, f"--blocklist=sha256:{tmp_path / 'other.txt'}"],
            "made with another configuration (section.blocklist",
        ),
        (["retry", f"--work={work}", "--reasons=http_404"], "are held against lists of hashes; give the same again"),
        ([*run_arguments(undisturbed), given], "made with another configuration (section.blocklist: None, now"),
        (["retry", f"--work={undisturbed}", "--reasons=http_404", given], "were fetched without lists of hashes"),
    ):
        assert main(command) == 2
        assert expected in capfd.readouterr().err
    resolve = next(argument for argument in arguments if argument.startswith("--resolve"))
    assert main(["retry", f"--work={work}", "--reasons=blocked_by_list", given, resolve]) == 0
    assert f"{len(gone)}  blocked_by_list" in capfd.readouterr().out
    assert rows_of(work) == rows
