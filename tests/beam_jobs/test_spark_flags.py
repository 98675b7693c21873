"""Spark's options: what is refused at launch, what is filled in, and what a job's jar holds."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import apache_beam as beam
import pytest

from beam_jobs.runners import choose_runner
from schemas.refusal import HandedOver, JobFailed, Refusal

PROCESS = ("--environment_type=PROCESS", '--environment_config={"command": "/opt/pairmill-worker"}')


@pytest.fixture
def master() -> Iterator[str]:
    """Something that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"spark://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--spark_master_url=yarn"],
            "--spark_master_url yarn: expected local, local[N] or spark://HOST:PORT; for YARN and Kubernetes give "
            "--spark_submit 'spark-submit --master yarn'",
        ),
        (
            ["--spark_master_url=spark://127.0.0.1:1"],
            "--spark_master_url spark://127.0.0.1:1: expected --environment_type DOCKER, EXTERNAL, PROCESS; none given",
        ),
        (
            ["--spark_master_url=spark://127.0.0.1:1", "--environment_type=LOOPBACK"],
            "--spark_master_url spark://127.0.0.1:1: expected --environment_type DOCKER, EXTERNAL, PROCESS; "
            "LOOPBACK given",
        ),
        (
            ["--spark_master_url=spark://127.0.0.1:1", *PROCESS],
            "--spark_master_url spark://127.0.0.1:1: expected --parallelism N, into how many tasks a step is cut; "
            "some per core are right",
        ),
        (
            ["--spark_master_url=spark://127.0.0.1:1", *PROCESS, "--parallelism=4"],
            "--spark_master_url spark://127.0.0.1:1: no master answers (127.0.0.1:1: [Errno 111] Connection refused)",
        ),
        (
            ["--spark_submit=true", "--environment_type=PROCESS", "--environment_config=/opt/worker"],
            '--environment_type PROCESS: expected --environment_config \'{"command": "/path/to/pairmill-worker"}\', '
            "/opt/worker given",
        ),
        (
            ["--spark_submit=true", "--environment_type=EXTERNAL", "--environment_config=localhost"],
            "--environment_type EXTERNAL: expected --environment_config HOST:PORT of each machine's worker pool, "
            "localhost given",
        ),
        (
            ["--spark_submit=true", "--output_executable_path=a.jar"],
            "--output_executable_path, --spark_submit: expected one of both; the jars submitted do not stay",
        ),
        (
            ["--spark_submit=no-such-program --master yarn"],
            "--spark_submit: there is no program 'no-such-program'",
        ),
        (
            ["--spark_submit=true", "--spark_master_url=spark://127.0.0.1:1"],
            "--spark_submit: the master is an option of spark-submit's; --spark_master_url does nothing here",
        ),
        (
            ["--output_executable_path=/no/such/folder/a.jar", *PROCESS],
            "--output_executable_path /no/such/folder/a.jar: expected a file in a folder of this machine",
        ),
        (
            ["--output_executable_path=a.jar", *PROCESS, "--spark_conf=spark.executor.memory=4g"],
            "--output_executable_path: settings of Spark's are spark-submit's options there: --conf ...",
        ),
        (
            ["--spark_conf=executor.memory=4g"],
            "--spark_conf executor.memory=4g: expected KEY=VALUE with a KEY of Spark's, as spark.executor.memory=4g",
        ),
        (
            ["--spark_conf=spark.executor.memory=4 GB"],
            "--spark_conf spark.executor.memory=4 GB: expected a size as 512m or 4g",
        ),
        (["--spark_job_server_jar=/no/such.jar"], "--spark_job_server_jar /no/such.jar: no such file"),
    ],
)
def test_what_would_fail_later_is_refused(flags: list[str], message: str) -> None:
    with pytest.raises(Refusal) as refused:
        choose_runner(["--runner=SparkRunner", *flags])
    assert str(refused.value) == message


def test_settings_and_width_reach_the_driver_of_a_cluster(
    master: str, runner_flags: Callable[[str], list[str]]
) -> None:
    flags = [
        *(*runner_flags("SparkRunner"), f"--spark_master_url={master}", *PROCESS, "--parallelism=40"),
        *("--spark_conf=spark.executor.memory=4g", "--spark_conf=spark.executor.cores=8"),
        "--spark_conf=spark.driver.memory=2GB",
    ]
    with choose_runner(flags) as runner:
        options = runner.options(job="score").get_all_options()
    assert options["job_server_jvm_properties"] == [
        "-Dbeam.spark.test.reuseSparkContext=true",
        "-Xmx2g",
        "-Dspark.executor.memory=4g",
        "-Dspark.executor.cores=8",
        "-Dspark.default.parallelism=40",
    ]
    assert options["sdk_worker_parallelism"] == "8"
    assert options["job_name"] == "pairmill-score"


def test_process_without_a_command_is_the_worker_program_beside_this_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner_flags: Callable[[str], list[str]]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    flags = [*runner_flags("SparkRunner"), f"--output_executable_path={tmp_path}/a.jar", "--environment_type=PROCESS"]
    with pytest.raises(Refusal, match=f"there is no {tmp_path}/pairmill-worker; install pairmill there"):
        choose_runner(flags).__enter__()
    program = tmp_path / "pairmill-worker"
    program.touch(mode=0o755)
    with choose_runner(flags) as runner:
        config = runner.options(job="score").get_all_options()["environment_config"]
    assert json.loads(config) == {"command": str(program)}


def write_jar(flags: list[str]) -> None:
    with choose_runner(flags) as runner:
        pipeline = beam.Pipeline(options=runner.options(job="toy"))
        pipeline | beam.Create([1]) | "Double" >> beam.Map(lambda number: 2 * number)
        runner.wait(pipeline)


def test_a_jar_holds_the_pipeline_beams_classes_and_where_python_is(
    runner_flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    jar = tmp_path / "toy.jar"
    with pytest.raises(HandedOver, match=rf"the next stage's job is {jar}; after `spark-submit` has run it"):
        write_jar([*runner_flags("SparkRunner"), f"--output_executable_path={jar}", *PROCESS])
    with ZipFile(jar) as archive:
        names = set(archive.namelist())
        pipeline = json.loads(archive.read("BEAM-PIPELINE/pipeline/pipeline.json"))
        manifest = archive.read("META-INF/MANIFEST.MF").decode()
    assert "Main-Class: org.apache.beam.runners.spark.SparkPipelineRunner\r\n" in manifest
    assert {"org/apache/beam/runners/spark/SparkPipelineRunner.class", "BEAM-PIPELINE/pipeline-manifest.json"} <= names
    assert {environment["urn"] for environment in pipeline["components"]["environments"].values()} == {
        "beam:env:process:v1"
    }
    assert list(tmp_path.iterdir()) == [jar]


def test_spark_submit_gets_the_settings_and_the_jar_and_its_failure_is_told(
    runner_flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    program, said = tmp_path / "spark-submit", tmp_path / "said"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {said}\ntest -s "$7" || exit 9\necho "Exception in x: no master"\nexit 3\n'
    )
    program.chmod(0o755)
    flags = [*runner_flags("SparkRunner"), f"--spark_submit={program} --master yarn", *PROCESS, "--parallelism=40"]
    with pytest.raises(JobFailed) as failed:
        write_jar([*flags, "--spark_conf=spark.executor.memory=4g"])
    assert str(failed.value) == "spark-submit ended with status 3: Exception in x: no master"
    *arguments, jar = said.read_text().split()
    assert arguments == [
        *("--master", "yarn", "--conf", "spark.default.parallelism=40", "--conf", "spark.executor.memory=4g")
    ]
    assert not Path(jar).exists()
