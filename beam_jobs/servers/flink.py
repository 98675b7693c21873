"""Flink: its job server, as a jar on this machine, and what a run on it needs to be told.

In: Beam's options. Out: a job server jar of one Flink version, the options that nobody need give, or a Refusal of
those that would fail later or run on one core of a whole cluster.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from beam_jobs.servers.assembling import assemble
from beam_jobs.servers.cache import cache_folder, making
from beam_jobs.servers.environments import check_environment, environment_options
from beam_jobs.servers.missing import ProgramMissing
from schemas.refusal import Refusal

ASSEMBLED_FLINK = "1.19"  # as in flink_pom.xml beside this file
_ASSEMBLED = f"flink-job-server-{ASSEMBLED_FLINK}-2.62.0.jar"
IN_THE_SERVER = ("[local]", "[auto]")
_ADDRESS = re.compile(r"(https?://)?[^\s/:]+:\d{1,5}/?")
# Nothing of a local cluster listens beyond this machine. Its network memory holds the exchanges of the widest pipeline,
# which all flow at once: each has buffers between any two subtasks.
_LOCAL_CONFIGURATION = """\
jobmanager.bind-host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
taskmanager.memory.network.min: {network}m
taskmanager.memory.network.max: {network}m
"""
# A job begins anew when a machine is lost: without this, Flink fails it at once.
_CLUSTER_CONFIGURATION = """\
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 3
restart-strategy.fixed-delay.delay: 10 s
"""


def flink_jar_path() -> Path:
    """Where the assembled one is kept."""
    return cache_folder() / _ASSEMBLED


def find_flink_jar(version: str, tell: Callable[[str], None]) -> str:
    """The path of a job server jar for a Flink version: fetched or assembled before, fetched now, or assembled now."""
    from apache_beam.utils.subprocess_server import JavaJarServer

    url = JavaJarServer.path_to_beam_jar(f":runners:flink:{version}:job-server:shadowJar")
    name = url.rpartition("/")[2]
    own = [flink_jar_path()] if version == ASSEMBLED_FLINK else []
    for path in (Path(JavaJarServer.JAR_CACHE) / name, *own):
        if path.exists():
            return str(path)
    tell(f"fetching Flink's job server {version} from Maven Central (some 200 MB); this is done once")
    try:
        return str(JavaJarServer.local_jar(url))
    except (RuntimeError, OSError) as error:
        instead = "give one as --flink_job_server_jar"
        if version != ASSEMBLED_FLINK:
            raise ProgramMissing(
                f"Flink's job server {version} is missing: {name} could not be fetched, and only that of Flink "
                f"{ASSEMBLED_FLINK} can be assembled; {instead}"
            ) from error
        if shutil.which("mvn") is None:
            raise ProgramMissing(
                f"Flink's job server is missing: {name} could not be fetched, and without Maven (`mvn`) it cannot be "
                f"assembled; {instead}"
            ) from error
    tell("Maven Central has no job server of this version; assembling it from its libraries with Maven")
    return assemble("flink_pom.xml", flink_jar_path(), what="Flink's job server")


def check_flink(given: Mapping[str, Any], flags: Sequence[str]) -> None:
    """Refuses a master that is none, and a cluster where nobody says how wide the job is and what its workers are."""
    master = _master(given, flags)
    jar = given["flink_job_server_jar"]
    if jar and "://" not in jar and not os.path.exists(jar):
        raise Refusal(f"--flink_job_server_jar {jar}: no such file")
    if given["parallelism"] != -1 and given["parallelism"] < 1:
        raise Refusal(f"--parallelism {given['parallelism']}: expected 1 or more")
    path = given["output_executable_path"]
    if path:
        _check_executable(path, given, flags)
        return
    if master in IN_THE_SERVER:
        return
    if not _ADDRESS.fullmatch(master):
        raise Refusal(f"--flink_master {master!r}: expected [local] or HOST:PORT of a cluster's REST address")
    where = f"--flink_master {master}"
    if given["parallelism"] == -1:
        raise Refusal(f"{where}: expected --parallelism N, the task slots to use; none given, and Flink would use 1")
    check_environment(given, where=where)


def _check_executable(path: str, given: Mapping[str, Any], flags: Sequence[str]) -> None:
    if _is_given("--flink_master", flags):
        raise Refusal(
            "--output_executable_path: the master is an option of `flink run`; --flink_master does nothing here"
        )
    if "://" in path or not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise Refusal(f"--output_executable_path {path}: expected a file in a folder of this machine")
    check_environment(given, where="--output_executable_path")


def flink_options(given: Mapping[str, Any], flags: Sequence[str], tell: Callable[[str], None]) -> Iterator[str]:
    """What is filled in: the jar, Flink's configuration, and for a local cluster the width of this machine."""
    executable = given["output_executable_path"]
    # In a jar `[auto]` is the cluster that `flink run` has found, and `[local]` would be one inside of that command.
    master = "[auto]" if executable else _master(given, flags)
    version = given["flink_version"] if _is_given("--flink_version", flags) else ASSEMBLED_FLINK
    yield f"--flink_master={master}"
    yield f"--flink_version={version}"
    yield from environment_options(given)
    parallelism = given["parallelism"]
    if parallelism == -1 and not executable:
        parallelism = os.cpu_count() or 1
        yield f"--parallelism={parallelism}"
    if not given["flink_conf_dir"] and not executable:
        yield f"--flink_conf_dir={configuration_folder(master, parallelism)}"
    if not given["flink_job_server_jar"]:
        yield f"--flink_job_server_jar={find_flink_jar(version, tell)}"


def configuration_folder(master: str, parallelism: int) -> str:
    """A folder with the configuration of a local cluster, or of the jobs for a real one."""
    network = min(1024, max(128, 4 * parallelism**2))
    text = _LOCAL_CONFIGURATION.format(network=network) if master in IN_THE_SERVER else _CLUSTER_CONFIGURATION
    target = cache_folder() / f"flink-conf-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    if not target.exists():
        with making(target) as workshop:
            (workshop / target.name).mkdir()
            (workshop / target.name / "config.yaml").write_text(text)
    return str(target)


def _master(given: Mapping[str, Any], flags: Sequence[str]) -> str:
    """Beam's own default is `[auto]`, which means another thing under `flink run`."""
    return str(given["flink_master"]).strip() if _is_given("--flink_master", flags) else "[local]"


def _is_given(name: str, flags: Sequence[str]) -> bool:
    return any(flag.partition("=")[0] == name for flag in flags)
