"""What a user is told whose store cannot be reached."""

from __future__ import annotations

import pytest

from beam_jobs.cli import main
from beam_jobs.storage.stores import check_store
from schemas.refusal import Refusal


def test_paths_and_memory_are_always_there(tmp_path: object) -> None:
    check_store(f"{tmp_path}/not/yet", named="--work")
    check_store("memory://work", named="--work")


def test_a_protocol_that_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(Refusal) as refusal:
        check_store("s4://bucket/work", named="--work")
    assert str(refusal.value) == (
        "--work: unknown protocol 's4'; known: abfs, abfss, az, file, gcs, gs, http, https, memory, s3, s3a"
    )


def test_a_store_that_lets_nobody_in_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-said")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["counts", "--work", "s3://mill-unreachable/run"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("pairmill: refused: --work: s3:// cannot be reached with what is configured here: ")
    assert said.count("\n") == 1
    assert "never-said" not in said
