"""A standalone Spark of real processes: a master and two workers, one of which is killed; jars through spark-submit."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apache_beam.runners.portability.spark_runner import SPARK_JAR_JOB_SERVER_JVM_ARGS

from beam_jobs.cli import main
from beam_jobs.overview import counts
from beam_jobs.servers.java import java_program
from beam_jobs.servers.spark import APPLICATION, find_spark_jar, spark_jar_path
from beam_jobs.servers.tied import tied

Digests = Callable[[Path], dict[str, str]]
RunArguments = Callable[[Path], list[str]]

PROJECT = Path(__file__).resolve().parents[3]
# Everything but the ledger and img2dataset's statistics, which tell the time.
TABLES = ("pairs", "preselected", "planned", "images", "scores", "embeddings", "groups", "selected", "shards")
NOT_OF_SPARK = (*APPLICATION, "application.jar", "job-server.jar")
TASKS = 5
# Of Java machines that live for a minute: little is gained by compiling much.
BRIEF_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
BRIEF_EXECUTORS = f"--spark_conf=spark.executor.extraJavaOptions={' '.join(BRIEF_JAVA)}"


@dataclass
class Cluster:
    """Spark's own libraries alone: Beam's come with each application."""

    home: Path
    java: str
    environment: Mapping[str, str]
    master: str
    page: str
    workers: list[subprocess.Popen[bytes]]

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.page}/json/", timeout=10) as answer:
            return dict(json.load(answer))

    def alive(self) -> int:
        """Workers, as the master knows them; it answers a moment before its pages are there."""
        try:
            return sum(worker["state"] == "ALIVE" for worker in self.state()["workers"])
        except OSError:
            return -1

    def spark_submit(self) -> str:
        """The command that a Spark installation has as bin/spark-submit."""
        script = self.home / "spark-submit"
        lines = [f"export {name}='{value}'" for name, value in self.environment.items() if name.startswith("SPARK_")]
        opened = " ".join([*BRIEF_JAVA, *SPARK_JAR_JOB_SERVER_JVM_ARGS])
        start = f"exec '{self.java}' -Xmx512m {opened} -cp '{self.home}/jars/*' org.apache.spark.deploy.SparkSubmit"
        script.write_text("\n".join(["#!/bin/sh", *lines, f'{start} --master {self.master} "$@"\n']))
        script.chmod(0o755)
        return str(script)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_for(condition: Callable[[], bool], *, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def cluster(runner_flags: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    runner_flags("SparkRunner")
    home = tmp_path_factory.mktemp("spark")
    (home / "jars").mkdir()
    server = Path(find_spark_jar(print))
    assembled = server == spark_jar_path()
    for library in server.parent.glob("*.jar") if assembled else [server]:
        if not assembled or not library.name.startswith(NOT_OF_SPARK):
            (home / "jars" / library.name).symlink_to(library)
    java, ports = tied(java_program()), (free_port(), free_port())
    own = {
        "SPARK_HOME": home,
        "SPARK_SCALA_VERSION": "2.12",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
        "SPARK_LOCAL_DIRS": home / "local",
    }
    environment = {**os.environ, **{name: str(value) for name, value in own.items()}}

    def start(what: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [java, *BRIEF_JAVA, "-Xmx256m", "-cp", f"{home}/jars/*", f"org.apache.spark.deploy.{what}", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    host = ("--host", "127.0.0.1")
    address = f"spark://127.0.0.1:{ports[0]}"
    master = start("master.Master", *host, "--port", str(ports[0]), "--webui-port", str(ports[1]))
    room = (*host, "--webui-port", "0", "--cores", "1", "--memory", "1g")
    found = Cluster(home, java, environment, address, f"http://127.0.0.1:{ports[1]}", [])
    try:
        wait_for(lambda: found.alive() == 0)
        found.workers += [start("worker.Worker", *room, "--work-dir", str(home / name), address) for name in "ab"]
        wait_for(lambda: found.alive() == 2)
        yield found
    finally:
        for process in (*found.workers, master):
            end(process)


@pytest.fixture(scope="module")
def worker_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pairmill-worker` as an installation has it."""
    program = tmp_path_factory.mktemp("bin") / "pairmill-worker"
    start = f"exec '{sys.executable}' -m beam_jobs.servers.worker"
    program.write_text(f"#!/bin/sh\nexport PYTHONPATH='{PROJECT}'\n{start} \"$@\"\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def worker_pool(worker_program: Path) -> Iterator[int]:
    """Beam's worker pool, as each machine of a cluster keeps one."""
    port = free_port()
    pool = subprocess.Popen(
        [
            *(sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main"),
            *(f"--service_port={port}", f"--container_executable={worker_program}"),
        ],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: answers(port))
        yield port
    finally:
        end(pool)


def images(work: Path, digests: Digests) -> dict[str, str]:
    return {name: digest for name, digest in digests(work / "images").items() if not name.endswith(".json")}


def outputs(work: Path, digests: Digests) -> dict[str, dict[str, str]]:
    return {folder: digests(work / folder) for folder in TABLES} | {"images": images(work, digests)}


def reasons(work: Path) -> dict[str, dict[str, int]]:
    return {count["stage"]: count["reasons"] for count in counts(str(work))}


def test_a_jar_through_spark_submit_gives_the_same_bytes_with_a_worker_pool(
    cluster: Cluster,
    worker_pool: int,
    undisturbed: Path,
    run_arguments: RunArguments,
    digests: Digests,
    tmp_path: Path,
) -> None:
    arguments = run_arguments(tmp_path)
    assert main([*arguments, "--stages=:preselect"]) == 0
    flags = [
        *("--runner=SparkRunner", f"--spark_submit={cluster.spark_submit()}", f"--parallelism={TASKS}"),
        *("--environment_type=EXTERNAL", f"--environment_config=localhost:{worker_pool}"),
        *("--spark_conf=spark.executor.memory=512m", "--spark_conf=spark.ui.enabled=false", BRIEF_EXECUTORS),
    ]
    assert main([*arguments, "--stages=download", *flags]) == 0
    assert images(tmp_path, digests) == images(undisturbed, digests)
    assert reasons(tmp_path)["download"] == reasons(undisturbed)["download"]
    [application] = cluster.state()["completedapps"]
    assert application["name"].startswith("pairmill-download")


def test_a_worker_killed_in_the_middle_loses_nothing(
    cluster: Cluster,
    worker_program: Path,
    undisturbed: Path,
    run_arguments: RunArguments,
    digests: Digests,
    tmp_path: Path,
) -> None:
    """A whole run; with the worker goes its executor and its Python, when the first images are there."""
    flags = [
        *("--runner=SparkRunner", f"--spark_master_url={cluster.master}", f"--parallelism={TASKS}"),
        *("--environment_type=PROCESS", f"--environment_config={json.dumps({'command': str(worker_program)})}"),
        *("--spark_conf=spark.executor.memory=512m", "--spark_conf=spark.driver.memory=512m"),
        *("--spark_conf=spark.driver.host=127.0.0.1", "--spark_conf=spark.ui.enabled=false", BRIEF_EXECUTORS),
        *(f"--job_server_jvm_properties={option}" for option in BRIEF_JAVA),
    ]
    run = subprocess.Popen(
        [sys.executable, "-m", "beam_jobs", *run_arguments(tmp_path), *flags],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        downloaded = tmp_path / "ledger" / "download"
        wait_for(lambda: bool(list(downloaded.glob("0*.json"))) or run.poll() is not None)
        os.killpg(cluster.workers[0].pid, signal.SIGKILL)
        begun = sorted(path.name for path in (tmp_path / "ledger").iterdir() if path.is_dir())
        _, said = run.communicate(timeout=300)
    finally:
        end(run)
    assert run.returncode == 0, said.decode()
    assert begun == ["download", "extract", "planned", "preselect"]
    assert cluster.alive() == 1
    assert outputs(tmp_path, digests) == outputs(undisturbed, digests)
    assert reasons(tmp_path) == reasons(undisturbed)
