"""One small flow on each runner: grouped, joined, with a side input, files written; and flags refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from beam_jobs.runners import BeamRunner, PipelineFailed, choose_runner
from beam_jobs.servers.missing import ProgramMissing
from schemas.refusal import Refusal

FILES = {
    "0": "cat 2 of 9 at A; emu 4 of 9 at A",
    "1": "dog 1 of 9 at B; fox 5 of 9 at B; owl 3 of 9 at nowhere",
}


class WriteGroup(beam.DoFn):
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def process(self, group: tuple[int, list[str]]) -> Iterator[str]:
        number, lines = group
        path = Path(self._folder, str(number))
        path.write_text("; ".join(sorted(lines)))
        beam.metrics.Metrics.counter("toy", "lines").inc(len(lines))
        yield path.name


def run_toy_flow(runner: BeamRunner, folder: Path) -> None:
    """Words and their places are joined by word, counted in a side input, grouped and written."""
    pipeline = beam.Pipeline(options=runner.options(job="toy"))
    words = pipeline | "Words" >> beam.Create([("dog", 1), ("cat", 2), ("owl", 3), ("emu", 4), ("fox", 5)])
    places = pipeline | "Places" >> beam.Create([("cat", "A"), ("dog", "B"), ("emu", "A"), ("fox", "B")])
    weights = pipeline | "Weights" >> beam.Create([("n", 2), ("n", 3), ("n", 4)]) | beam.CombinePerKey(sum)
    joined = {"number": words, "place": places} | beam.CoGroupByKey()
    (
        joined
        | beam.Map(
            lambda row, weight: (
                sum(row[1]["number"]) % 2,
                f"{row[0]} {sum(row[1]['number'])} of {weight['n']} at {''.join(row[1]['place']) or 'nowhere'}",
            ),
            weight=beam.pvalue.AsDict(weights),
        ).with_output_types(tuple[int, str])
        | beam.Reshuffle()
        | beam.GroupByKey()
        | beam.ParDo(WriteGroup(str(folder)))
    )
    runner.wait(pipeline)


@pytest.mark.parametrize("name", ["DirectRunner", "PrismRunner", "SparkRunner"])
def test_pipelines_in_sequence_give_the_same_files_on_each_runner(
    name: str, tmp_path: Path, runner_flags: Callable[[str], list[str]]
) -> None:
    with choose_runner(runner_flags(name)) as runner:
        for turn in ("first", "second"):
            folder = tmp_path / turn
            folder.mkdir()
            run_toy_flow(runner, folder)
            assert {path.name: path.read_text() for path in folder.iterdir()} == FILES


def test_direct_runner_spreads_over_processes_when_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRMILL_RUNNER", "PrismRunner")
    folder = str(tmp_path)
    with choose_runner(["--direct_num_workers=2", "--direct_running_mode=multi_processing"]) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        numbers = pipeline | beam.Create(range(8))
        numbers | beam.Map(lambda number: Path(folder, str(number)).write_text(str(os.getpid())))
        runner.wait(pipeline)
    assert sorted(path.name for path in tmp_path.iterdir()) == list("01234567")
    assert str(os.getpid()) not in {path.read_text() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["DirectRunner", "PrismRunner", "SparkRunner"])
def test_an_error_in_a_worker_fails_the_pipeline_with_its_words(
    name: str, runner_flags: Callable[[str], list[str]]
) -> None:
    def stumble(number: int) -> int:
        raise LookupError(f"no shard {number}")

    with choose_runner(runner_flags(name)) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        pipeline | beam.Create([7]) | "Stumble" >> beam.Map(stumble)
        with pytest.raises(PipelineFailed) as failed:
            runner.wait(pipeline)
    assert str(failed.value) == "LookupError: no shard 7 [while running 'Stumble']"


HANGING = """
import sys, time
import apache_beam as beam
from beam_jobs.runners import choose_runner

def wait(x):
    print("working", flush=True)
    time.sleep(60)

with choose_runner(sys.argv[1:]) as runner:
    pipeline = beam.Pipeline(options=runner.options(job="toy"))
    pipeline | beam.Create([1]) | beam.Map(wait)
    runner.wait(pipeline)
"""


def descendants(parent: int) -> set[int]:
    """Processes below one, as /proc has them."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found: set[int] = set()
    level = {parent}
    while level:
        level = {child for child, above in parents.items() if above in level}
        found |= level
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("PrismRunner", signal.SIGTERM),
        ("PrismRunner", signal.SIGKILL),
        ("PrismRunner", signal.SIGINT),
        ("SparkRunner", signal.SIGKILL),
    ],
)
def test_no_server_outlives_the_process_that_started_it(
    name: str, end: signal.Signals, runner_flags: Callable[[str], list[str]]
) -> None:
    project = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING, *runner_flags(name)],
        env={**os.environ, "PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    servers = descendants(process.pid)
    assert servers, "the runner has a server of its own"
    process.send_signal(end)
    process.wait(timeout=30)
    deadline = time.monotonic() + 10
    while left := {server for server in servers if Path(f"/proc/{server}").exists()}:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.1)
    process.stdout.close()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--runner=Nope"],
            "--runner: unknown runner 'Nope'; known: DataflowRunner, DirectRunner, FlinkRunner, PortableRunner, "
            "PrismRunner, SparkRunner",
        ),
        (
            ["--direct_num_worker=2"],
            "unknown option '--direct_num_worker': it is neither ours (see --help) nor Beam's; "
            "near it: --direct_num_workers, --num_workers, --max_num_workers",
        ),
        (["stray"], "unknown option 'stray': it is neither ours (see --help) nor Beam's"),
        (
            ["--direct_num_workers=two"],
            "Beam option: argument --direct_num_workers: invalid int value: 'two'",
        ),
        (
            ["--runner=PortableRunner"],
            "--runner PortableRunner: expected --job_endpoint HOST:PORT, none given",
        ),
    ],
)
def test_wrong_flags_are_refused(flags: list[str], message: str) -> None:
    with pytest.raises(Refusal) as refused:
        choose_runner(flags)
    assert str(refused.value) == message


@pytest.mark.parametrize("given", ["direct", "DirectRunner", "FnApiRunner", "directrunner"])
def test_runners_are_named_as_beam_names_them(given: str) -> None:
    assert choose_runner([f"--runner={given}"]).name == "DirectRunner"


def test_direct_runner_is_never_the_prism_that_beam_may_find() -> None:
    with choose_runner(["--runner=DirectRunner"]) as runner:
        assert runner.options(job="toy").get_all_options()["runner"] == "beam_jobs.runners.InProcessRunner"


def test_a_pipeline_on_prism_may_last_longer_than_a_request(runner_flags: Callable[[str], list[str]]) -> None:
    with choose_runner(runner_flags("PrismRunner")) as runner:
        given = runner.options(job="toy").get_all_options()
    assert given["job_server_timeout"] >= 30 * 24 * 3600


def test_a_missing_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ProgramMissing, match=r"Java is missing \(no `java` on the PATH\)"):
        choose_runner(["--runner=SparkRunner"])
