"""A retry fetches only what failed so, into the same shards; only what stands on changed shards is made again."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_jobs.cli import main
from beam_jobs.overview import counts

RunArguments = Callable[[Path], list[str]]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def images(work: Path) -> dict[str, dict[str, object]]:
    tables = [pq.read_table(file).to_pylist() for file in sorted((work / "images").glob("*.parquet"))]
    return {row["uid"]: row for rows in tables for row in rows}


def final_bytes(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (work / "shards/small").glob("*.*")}


def test_after_a_retry_the_run_is_as_if_nothing_had_failed(
    undisturbed: Path, run_arguments: RunArguments, closed_port: int, world_port: int, tmp_path: Path
) -> None:
    """One host is down when the images are fetched; later it is up."""
    work = tmp_path / "work"
    arguments = run_arguments(work)
    assert main([*arguments, "--stages=:preselect"]) == 0
    hosts = {str(row["url"]).split("/")[2] for row in images(undisturbed).values() if row["status"] == "success"}
    down = sorted(hosts)[0]
    assert main([*arguments[:-2], f"--resolve={down}=127.0.0.1:{closed_port}", *arguments[-2:]]) == 0
    before = images(work)
    lost = {uid for uid, row in before.items() if row["reason"] in ("connect", "host_given_up")}
    assert lost

    status = main(
        [
            *("retry", f"--work={work}", "--reasons=connect,host_given_up"),
            f"--resolve=*.test=127.0.0.1:{world_port}",
        ]
    )
    assert status == 0
    assert images(work) == images(undisturbed)
    assert main(arguments) == 0
    assert final_bytes(work) == final_bytes(undisturbed)
    download = next(count for count in counts(str(work)) if count["stage"] == "download")
    assert "connect" not in download["reasons"]


def test_shards_without_such_failures_are_not_touched(
    undisturbed: Path, world_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (undisturbed / "images").iterdir()}
    arguments = ["retry", f"--work={undisturbed}", f"--resolve=*.test=127.0.0.1:{world_port}"]
    assert main([*arguments, "--reasons=dns"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (undisturbed / "images").iterdir()} == before
    assert main([*arguments, "--reasons=tired"]) == 2
    assert "unknown reason 'tired'; known: " in capsys.readouterr().err
