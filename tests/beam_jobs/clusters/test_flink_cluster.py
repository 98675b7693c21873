"""A Flink cluster of real processes and a worker pool: stages run there, and give the bytes that this process gives."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from beam_jobs.cli import main
from beam_jobs.progress import say
from beam_jobs.servers.flink import ASSEMBLED_FLINK, find_flink_jar
from beam_jobs.servers.java import java_program
from beam_jobs.servers.tied import tied

RunArguments = Callable[[Path], list[str]]
Digests = Callable[[Path], dict[str, str]]

PROJECT = Path(__file__).resolve().parents[3]
# A worker pool starts `python`, whichever comes first on its PATH.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(PROJECT),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
}
JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
LIGHT = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
CONFIGURATION = """\
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
io.tmp.dirs: {folder}
pekko.ask.timeout: 120 s
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: 1
taskmanager.cpu.cores: 1
taskmanager.memory.framework.heap.size: 64m
taskmanager.memory.framework.off-heap.size: 64m
taskmanager.memory.task.heap.size: 128m
taskmanager.memory.task.off-heap.size: 0m
taskmanager.memory.managed.size: 64m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.jvm-metaspace.size: 128m
taskmanager.memory.jvm-overhead.min: 64m
taskmanager.memory.jvm-overhead.max: 64m
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(*command: str, log: Path) -> Iterator[None]:
    with log.open("wb") as said, subprocess.Popen(command, env=ENVIRONMENT, stdout=said, stderr=said) as process:
        try:
            yield
        finally:
            process.kill()


def overview(rest: int) -> dict[str, int]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{rest}/overview", timeout=5) as answer:
            found: dict[str, int] = json.load(answer)
            return found
    except OSError:
        return {}


@pytest.fixture(scope="module")
def cluster(runner_flags: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A JobManager and two TaskManagers of one slot each; the port of the REST address."""
    runner_flags("FlinkRunner")
    folder = tmp_path_factory.mktemp("flink")
    rest = free_port()
    (folder / "config.yaml").write_text(CONFIGURATION.format(rpc=free_port(), rest=rest, folder=folder))
    java = [tied(java_program()), *LIGHT, "-cp", find_flink_jar(ASSEMBLED_FLINK, say)]

    def starting(main_class: str, name: str) -> AbstractContextManager[None]:
        return running(*java, main_class, "-c", str(folder), log=folder / f"{name}.log")

    with starting(JOB_MANAGER, "job"), starting(TASK_MANAGER, "first"), starting(TASK_MANAGER, "second"):
        deadline = time.monotonic() + 300
        while overview(rest).get("slots-available") != 2:
            assert time.monotonic() < deadline, "\n".join(log.read_text() for log in folder.glob("*.log"))
            time.sleep(0.2)
        yield rest


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A worker pool as a machine of a cluster has it; its address."""
    port = free_port()
    log = tmp_path_factory.mktemp("pool") / "log"
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with running(*command, log=log):
        yield f"127.0.0.1:{port}"


def test_stages_run_on_a_cluster_of_processes_and_give_the_same_bytes(
    cluster: int, pool: str, run_arguments: RunArguments, digests: Digests, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    where = [f"--flink_master=127.0.0.1:{cluster}", "--parallelism=2"]
    workers = ["--environment_type=EXTERNAL", f"--environment_config={pool}"]
    assert main([*run_arguments(here), "--stages=extract:preselect"]) == 0
    assert main([*run_arguments(there), "--stages=extract:preselect", "--runner=flink", *where, *workers]) == 0
    for table in ("pairs", "preselected", "planned"):
        assert digests(there / table) == digests(here / table) != {}
    assert overview(cluster)["jobs-finished"] == 2
