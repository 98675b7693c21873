"""Workers that share a machine share its cores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest

from beam_jobs.cores import PROCESSES, shared_by, usable_cores
from beam_jobs.runners import BeamRunner

PROJECT = Path(__file__).parents[2]
TOLD = "import os; from beam_jobs.cores import usable_cores; print(usable_cores(), os.environ.get('OMP_NUM_THREADS'))"


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_jobs.cores._cores", lambda: 4)
    monkeypatch.delenv(PROCESSES, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_a_process_alone_has_all_cores() -> None:
    assert usable_cores() == 4


@pytest.mark.parametrize(("processes", "each"), [(1, 4), (2, 2), (3, 1), (4, 1), (9, 1), (0, 1)])
def test_processes_share_them_and_are_told_so(processes: int, each: int) -> None:
    with shared_by(processes):
        assert usable_cores() == each
        assert os.environ["OMP_NUM_THREADS"] == str(each)
    assert usable_cores() == 4
    assert "OMP_NUM_THREADS" not in os.environ


def test_what_the_user_says_of_threads_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with shared_by(2):
        assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_a_process_that_is_started_takes_its_share() -> None:
    with shared_by(1000):
        run = subprocess.run([sys.executable, "-c", TOLD], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(("mode", "told"), [("multi_processing", "3"), ("in_memory", "none")])
def test_workers_that_a_local_run_starts_are_told(tmp_path: Path, mode: str, told: str) -> None:
    flags = ("--direct_num_workers=3", f"--direct_running_mode={mode}")
    with BeamRunner("DirectRunner", flags) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="cores"))
        said = pipeline | beam.Create([1]) | beam.Map(lambda _: os.environ.get(PROCESSES, "none"))
        said | beam.io.WriteToText(str(tmp_path / "said"), shard_name_template="")
        runner.wait(pipeline)
    assert (tmp_path / "said").read_text().split() == [told]
    assert PROCESSES not in os.environ
