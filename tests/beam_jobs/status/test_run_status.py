"""What `status` says of a run: from ledgers written out by hand, from a real run, and from one that was killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.progress import remaining
from beam_jobs.status.gather import RunStatus, SlowShard, StageStatus, Watch
from beam_jobs.status.lines import status_json, status_lines
from beam_jobs.status.page import render_status
from beam_jobs.storage.files import write_json
from beam_jobs.storage.launches import FAILED, Launch, launched, read_launch
from beam_jobs.storage.ledger import Ledger, Manifest, Marker, Tally, Ticket
from beam_jobs.storage.run_folder import RunFolder

BEGUN = 1_000_000.0
RunArguments = Callable[[Path], list[str]]


def marker(shard: int, *, seconds: float, ended: float, kept: int = 60, dns: int = 30, timeout: int = 10) -> Marker:
    reasons = {"kept": kept, "dns": dns, "timeout": timeout}
    tally = Tally(kept + dns + timeout, {reason: rows for reason, rows in reasons.items() if rows}, f"d{shard}")
    return Marker(Ticket("download", shard, "f", "i"), tally, seconds, ended)


@pytest.fixture
def work(tmp_path: Path) -> str:
    """A download of 8 shards: 2 were done in an earlier launch, 3 in this one, which began at BEGUN."""
    folder = RunFolder(str(tmp_path))
    launch = Launch("r", "SparkRunner", ("download",), ("planned", "download", "score/clip"), BEGUN, seen=BEGUN + 55)
    write_json(folder.launch(), asdict(launch))
    planned = Tally(800, {"kept": 800}, "p")
    done = Marker(Ticket("planned", 0, "f", "i"), planned, 0.0, BEGUN - 100)
    Ledger(folder.ledger("planned")).finish(Manifest("planned", "f", "done", {}, 1, (done,), seconds=4.0))
    before = tuple(marker(shard, seconds=5.0, ended=BEGUN - 90) for shard in (0, 1))
    started = Manifest("download", "f", "started", {}, 2, before, seconds=10.0, begun=BEGUN, planned=8)
    ledger = Ledger(folder.ledger("download"))
    ledger.write_manifest(started)
    ledger.write_marker(marker(2, seconds=4.0, ended=BEGUN + 10))
    ledger.write_marker(marker(3, seconds=6.0, ended=BEGUN + 20))
    ledger.write_marker(marker(4, seconds=20.0, ended=BEGUN + 40, kept=100, dns=0, timeout=0))
    return str(tmp_path)


def test_a_stage_at_work(work: str) -> None:
    status = Watch(work).look(BEGUN + 60)
    assert status.state == "running"
    planned, download, scores = status.stages
    assert planned == StageStatus(
        "planned", "done", 1, 1, rows=800, reasons={"kept": 800}, seconds=4.0, rows_per_second=200.0
    )
    assert download == StageStatus(
        ledger="download",
        state="running",
        shards=5,
        total=8,
        rows=500,
        reasons={"kept": 340, "dns": 120, "timeout": 40},
        seconds=70.0,
        rows_per_second=5.0,
        left=60.0,
        quiet=20.0,
        median=5.0,
        slowest=(
            SlowShard(4, 20.0, 100),
            SlowShard(3, 6.0, 100),
            SlowShard(0, 5.0, 100),
            SlowShard(1, 5.0, 100),
            SlowShard(2, 4.0, 100),
        ),
    )
    assert download.lost == {"dns": 0.24, "timeout": 0.08}
    assert scores == StageStatus("score/clip", "waiting")


def test_what_people_read(work: str) -> None:
    lines = list(status_lines(Watch(work).look(BEGUN + 60)))
    assert lines[0] == "recipe r on SparkRunner, begun 1970-01-12 13:46:40 UTC: running, seen 5.0 s ago"
    assert lines[3].split() == [
        "download",
        "running",
        "5/8",
        "500",
        "340",
        "1",
        "min",
        "10",
        "s",
        "5",
        "1",
        "min",
        "0",
        "s",
    ]
    assert lines[4] == "  lost: dns 24.0%, timeout 8.0%"
    assert lines[5].startswith("  slow: 00004 20.0 s, 00003 6.0 s, ")
    assert lines[-1] == "score/clip               waiting"


def test_looking_again_reads_what_is_new_and_what_was_closed(work: str) -> None:
    watch = Watch(work)
    watch.look(BEGUN + 60)
    ledger = Ledger(RunFolder(work).ledger("download"))
    ledger.write_marker(marker(5, seconds=9.0, ended=BEGUN + 61))
    assert watch.look(BEGUN + 62).stages[1].shards == 6
    ledger.write_marker(marker(6, seconds=9.0, ended=BEGUN + 62))
    ledger.write_marker(marker(7, seconds=9.0, ended=BEGUN + 63))
    whole = tuple(ledger.markers().values())
    ledger.finish(Manifest("download", "f", "done", {}, 8, whole, seconds=80.0))
    closed = watch.look(BEGUN + 64).stages[1]
    assert (closed.state, closed.shards, closed.total, closed.rows, closed.seconds) == ("done", 8, 8, 800, 80.0)
    assert closed.rows_per_second == 10.0
    assert closed.left is None


def test_captions_tell_what_they_cost_and_what_the_rest_will(tmp_path: Path) -> None:
    """After the first of four shards, half of whose answers had been stored before."""
    folder = RunFolder(str(tmp_path))
    name = "recaption/r.short"
    launch = Launch("r", "DirectRunner", ("recaption",), (name,), BEGUN, seen=BEGUN + 55)
    write_json(folder.launch(), asdict(launch))
    ledger = Ledger(folder.ledger(name))
    ledger.write_manifest(Manifest(name, "f", "started", {}, 0, begun=BEGUN, planned=4))
    numbers = {"captions": 100, "asked": 50, "found": 50, "tokens_in": 20_000, "tokens_out": 3_000}
    tally = Tally(100, {"kept": 100}, "d", numbers=numbers)
    ledger.write_marker(Marker(Ticket(name, 0, "f", "i"), tally, 30.0, BEGUN + 50))
    status = Watch(str(tmp_path)).look(BEGUN + 60)
    said = (
        "captions: 100, 20,000 tokens in, 3,000 out, 30 s of a worker; "
        "the rest about 60,000 tokens in, 9,000 out, 3 min of a worker"
    )
    assert f"  {said}" in list(status_lines(status))
    assert said in render_status(status, every=5)
    assert status_json(status)["stages"][0]["rest"]["tokens_in"] == 60_000


def test_a_launch_without_a_sign_of_life_is_stopped(work: str) -> None:
    status = Watch(work).look(BEGUN + 55 + 61)
    assert status.state == "stopped"
    assert status.stages[1].state == "stopped"
    assert status.stages[1].seconds == 10.0 + 40.0
    said = next(status_lines(status))
    assert said.endswith("stopped: no sign of life for 1 min 1 s; the same command goes on where it stopped")


def test_a_launch_that_fails_says_why(tmp_path: Path) -> None:
    def run() -> None:
        with launched(str(tmp_path), recipe="r", runner="DirectRunner", stages=["write"], ledgers=["write/r"]):
            raise OSError("the disk\n is full")

    with pytest.raises(OSError, match="full"):
        run()
    launch = read_launch(str(tmp_path))
    assert launch is not None
    assert (launch.state, launch.message, launch.stages) == (FAILED, "the disk is full", ("write",))
    assert "stopped: the disk is full" in next(status_lines(Watch(str(tmp_path)).look(launch.seen)))


def test_a_real_run(undisturbed: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "status.html"
    assert main(["status", f"--work={undisturbed}", f"--html={page}", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["state"] == "ended"
    stages = {stage["ledger"]: stage for stage in status["stages"]}
    assert list(stages)[:4] == ["extract", "preselect", "planned", "download"]
    assert list(stages)[-3:] == ["select/small", "write/small", "report/small"]
    assert {stage["state"] for stage in stages.values()} == {"done"}
    download = stages["download"]
    assert download["shards"] == download["total"] == 4
    assert download["rows"] == download["kept"] + sum(
        rows for why, rows in download["reasons"].items() if why != "kept"
    )
    assert 0 < download["slowest"][0]["seconds"] <= download["seconds"]
    assert len(download["slowest"]) == 4
    assert download["rows_per_second"] > 0
    html = page.read_text()
    assert 'http-equiv="refresh"' not in html
    assert html.count("<progress") == len(stages)


def test_the_page_loads_itself_again_while_the_run_goes_on(work: str) -> None:
    html = render_status(Watch(work).look(BEGUN + 60), every=7)
    assert '<meta http-equiv="refresh" content="7">' in html
    assert '<progress max="8" value="5"></progress> 5/8' in html
    assert "lost: dns 24.0%, timeout 8.0%" in html


def test_what_a_page_shows_is_escaped() -> None:
    stage = StageStatus("write/<script>", "done", 1, 1)
    html = render_status(RunStatus("<b>", 0.0, "ended", (stage,)), every=5)
    assert "<script>" not in html
    assert "&lt;b&gt;, as of 1970-01-01 00:00:00 UTC" in html


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--every=0"], "--every: expected whole seconds from 1 to 3600; given '0'"),
        (["--every=soon"], "--every: expected whole seconds from 1 to 3600; given 'soon'"),
        ([], "holds no run"),
        (["--runner=DirectRunner"], "unrecognized arguments: --runner=DirectRunner"),
    ],
)
def test_refusals(arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", f"--work={tmp_path / 'w'}", *arguments]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "done", "to_do", "said"),
    [(10.0, 0, 9, ""), (10.0, 4, 0, ""), (10.0, 2, 6, ", 30 s left"), (60.0, 1, 9, ", 9 min left")],
)
def test_time_left_on_the_terminal(seconds: float, done: int, to_do: int, said: str) -> None:
    assert remaining(seconds, done=done, to_do=to_do) == said
