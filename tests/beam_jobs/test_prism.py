"""Prism as the default: when it is, and that a run on it costs what one in this process does."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.prism_runner import PrismJobServer

from beam_jobs.accounting import DoShards, HandOut, Job, Tally, Ticket
from beam_jobs.runners import PipelineFailed, choose_runner
from beam_jobs.servers.prism import beam_version
from beam_jobs.shuffle import GroupBlobs
from schemas.refusal import Refusal

LOCAL = ["DirectRunner", "PrismRunner"]
RunnerFlags = Callable[[str], list[str]]


@pytest.fixture
def nothing_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user who has neither a Prism nor a wish; the folder in which a Prism would be kept."""
    monkeypatch.delenv("PAIRMILL_RUNNER", raising=False)
    monkeypatch.setenv("PAIRMILL_CACHE", str(tmp_path))
    monkeypatch.setattr(PrismJobServer, "BIN_CACHE", str(tmp_path / "downloads"))
    return tmp_path


def test_without_a_prism_the_default_is_this_process(nothing_built: Path) -> None:
    assert choose_runner([]).name == "DirectRunner"


def test_a_prism_that_was_built_before_is_the_default(nothing_built: Path) -> None:
    (nothing_built / f"prism-{beam_version()}").touch()
    assert choose_runner([]).name == "PrismRunner"
    assert choose_runner(["--direct_num_workers=2"]).name == "DirectRunner"
    assert choose_runner(["--runner=DirectRunner"]).name == "DirectRunner"


def test_a_prism_of_another_version_is_not(nothing_built: Path) -> None:
    (nothing_built / "prism-2.0.0").touch()
    assert choose_runner([]).name == "DirectRunner"


def test_a_prism_that_beam_downloaded_or_the_user_names_is_the_default(nothing_built: Path) -> None:
    assert choose_runner(["--prism_location=/opt/prism"]).name == "PrismRunner"
    (nothing_built / "downloads").mkdir()
    (nothing_built / "downloads" / f"apache_beam-v{beam_version()}-prism-linux-amd64").touch()
    assert choose_runner([]).name == "PrismRunner"


def test_the_environment_names_another_default(nothing_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRMILL_RUNNER", "prism")
    assert choose_runner([]).name == "PrismRunner"
    assert choose_runner(["--runner=direct"]).name == "DirectRunner"
    monkeypatch.setenv("PAIRMILL_RUNNER", "Nope")
    with pytest.raises(Refusal, match=r"^PAIRMILL_RUNNER: unknown runner 'Nope'; known: DataflowRunner, "):
        choose_runner([])


@dataclass(frozen=True)
class Alone:
    """A shard that notes whether another was at work with it."""

    folder: str
    shard: int


def work_alone(task: Alone) -> Tally:
    at_work = Path(task.folder, "at-work")
    alone = not at_work.exists() and threading.current_thread() is threading.main_thread()
    at_work.touch()
    time.sleep(0.05)
    at_work.unlink(missing_ok=True)
    return Tally(1, {"kept" if alone else "dns": 1}, "")


@pytest.mark.parametrize("name", LOCAL)
def test_shards_of_one_process_take_turns(name: str, tmp_path: Path, runner_flags: RunnerFlags) -> None:
    """Each takes all cores, and the memory of a shard, of which the main thread gives most back."""
    jobs = [Job(Alone(str(tmp_path), shard), (Ticket("toy", shard, "f", "i"),)) for shard in range(12)]
    with choose_runner(runner_flags(name)) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        made = pipeline | HandOut(jobs) | beam.Reshuffle() | DoShards(str(tmp_path), work_alone)
        alone = made | beam.Map(lambda marker: marker.tally.reasons["kept"]) | beam.CombineGlobally(sum)
        alone | beam.Map(str) | beam.io.WriteToText(str(tmp_path / "alone"), shard_name_template="")
        runner.wait(pipeline)
    assert (tmp_path / "alone").read_text() == "12\n"


def stumble(task: Alone) -> Tally:
    time.sleep(0.05)
    raise LookupError(f"no shard {task.shard}")


@pytest.mark.parametrize("name", LOCAL)
def test_a_shard_that_fails_ends_the_pipeline_with_its_words(
    name: str, tmp_path: Path, runner_flags: RunnerFlags
) -> None:
    jobs = [Job(Alone(str(tmp_path), 7), (Ticket("toy", shard, "f", "i"),)) for shard in range(12)]
    with choose_runner(runner_flags(name)) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        pipeline | HandOut(jobs) | beam.Reshuffle() | DoShards(str(tmp_path), stumble)
        with pytest.raises(PipelineFailed, match=r"^LookupError: no shard 7 "):
            runner.wait(pipeline)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_prism_rests_while_a_last_step_works(tmp_path: Path, runner_flags: RunnerFlags) -> None:
    """Prism 2.77 asks without a pause whether a step is done that hands nothing on."""

    def rest(folder: str) -> str:
        before = worked_below(os.getpid())
        time.sleep(2)
        Path(folder, "worked").write_text(str(worked_below(os.getpid()) - before))
        return folder

    with choose_runner(runner_flags("PrismRunner")) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        pipeline | beam.Create([str(tmp_path)]) | beam.Map(rest)
        runner.wait(pipeline)
    assert float((tmp_path / "worked").read_text()) < 1, "Prism kept a core busy for two seconds"


def worked_below(parent: int) -> float:
    """Seconds that the children of a process worked."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("name", LOCAL)
def test_what_is_shuffled_lies_in_files_until_the_end(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner_flags: RunnerFlags
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def look(grouped: tuple[int, Iterable[bytes]]) -> str:
        (folder,) = tmp_path.glob("pairmill-shuffle-*")
        spilled = sum(file.stat().st_size for file in folder.iterdir())
        return f"{grouped[0]} {b''.join(sorted(grouped[1])).decode()} {spilled}"

    with choose_runner(runner_flags(name)) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        blobs = pipeline | beam.Create([(0, b"a"), (1, b"bb"), (0, b"ccc")]).with_output_types(tuple[int, bytes])
        said = blobs | GroupBlobs() | beam.Map(look)
        said | beam.io.WriteToText(str(tmp_path / "said"), shard_name_template="")
        runner.wait(pipeline)
    assert sorted((tmp_path / "said").read_text().splitlines()) == ["0 accc 6", "1 bb 6"]
    assert not list(tmp_path.glob("pairmill-shuffle-*"))


def test_workers_elsewhere_are_sent_the_bytes(tmp_path: Path) -> None:
    flags = ["--runner=PrismRunner", "--job_endpoint=prism.test:8073", "--environment_type=DOCKER"]
    with choose_runner(flags) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        pipeline | beam.Create([(0, b"a")]).with_output_types(tuple[int, bytes]) | GroupBlobs()
    steps = {step.unique_name for step in pipeline.to_runner_api().components.transforms.values()}
    assert "GroupBlobs/GroupByKey" in steps
    assert "GroupBlobs/Spill" not in steps
