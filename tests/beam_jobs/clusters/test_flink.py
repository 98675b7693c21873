"""The whole flow on Flink's local cluster: the same counts and bytes as in this process; and what is refused of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.overview import counts
from beam_jobs.runners import choose_runner
from schemas.refusal import Refusal

RunArguments = Callable[[Path], list[str]]

# Everything but the ledger and img2dataset's statistics, which tell the time, and the report, which tells the folder.
TABLES = ("pairs", "preselected", "planned", "images", "scores", "embeddings", "groups", "selected", "shards")


def outputs(work: Path) -> dict[str, str]:
    files = (path for table in TABLES for path in sorted((work / table).rglob("*")))
    return {
        str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file() and not path.name.endswith("_stats.json")
    }


def reasons(work: Path) -> dict[str, dict[str, int]]:
    return {count["stage"]: count["reasons"] for count in counts(str(work))}


def test_flinks_local_cluster_gives_the_same_bytes_and_counts(
    runner_flags: Callable[[str], list[str]], undisturbed: Path, run_arguments: RunArguments, tmp_path: Path
) -> None:
    assert main([*run_arguments(tmp_path), *runner_flags("FlinkRunner"), "--flink_master=[local]"]) == 0
    assert outputs(tmp_path) == outputs(undisturbed)
    assert reasons(tmp_path) == reasons(undisturbed)
    assert sum(name.endswith(".tar") for name in outputs(tmp_path)) >= 7


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--flink_master=here"], "--flink_master 'here': expected [local] or HOST:PORT of a cluster's REST address"),
        (
            ["--flink_master=flink:8081", "--environment_type=EXTERNAL"],
            "--flink_master flink:8081: expected --parallelism N, the task slots to use; none given, and Flink would "
            "use 1",
        ),
        (
            ["--flink_master=http://flink:8081", "--parallelism=8"],
            "--flink_master http://flink:8081: expected --environment_type DOCKER, EXTERNAL, PROCESS; none given",
        ),
        (
            ["--output_executable_path=stage.jar", "--environment_type=LOOPBACK"],
            "--output_executable_path: expected --environment_type DOCKER, EXTERNAL, PROCESS; LOOPBACK given",
        ),
        (
            ["--output_executable_path=stage.jar", "--flink_master=[local]"],
            "--output_executable_path: the master is an option of `flink run`; --flink_master does nothing here",
        ),
        (
            ["--flink_master=flink:8081", "--parallelism=8", "--environment_type=EXTERNAL"],
            "--environment_type EXTERNAL: expected --environment_config HOST:PORT of each machine's worker pool, none "
            "given",
        ),
        (["--parallelism=0"], "--parallelism 0: expected 1 or more"),
        (["--flink_job_server_jar=gone.jar"], "--flink_job_server_jar gone.jar: no such file"),
        (
            ["--execution_mode_for_batch=FAST"],
            "Beam option: argument --execution_mode_for_batch: invalid choice: 'FAST' (choose from 'PIPELINED', "
            "'BATCH')",
        ),
    ],
)
def test_what_flink_would_fail_at_later_is_refused_at_launch(flags: list[str], message: str) -> None:
    with pytest.raises(Refusal) as refused:
        choose_runner(["--runner=flink", *flags])
    assert str(refused.value) == message
