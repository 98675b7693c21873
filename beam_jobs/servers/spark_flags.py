"""Spark's options: checked at launch, and completed.

In: Beam's options. Out: the options that nobody need give, or a Refusal of those that would fail later, or would run on
two cores of a whole cluster.

    local, local[N]            a Spark in the job server; workers are threads of this process
    spark://HOST:PORT          a standalone cluster: the job server is the driver, executors are the cluster's
    --output_executable_path   the next stage's job as a jar for `spark-submit`: YARN, Kubernetes, any Spark
    --spark_submit COMMAND     the same, submitted stage after stage
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from beam_jobs.servers.environments import check_environment, environment_options
from beam_jobs.servers.java import java_program
from beam_jobs.servers.spark import application_jar, find_spark_jar
from beam_jobs.servers.tied import tied
from schemas.refusal import Refusal

_LOCAL = re.compile(r"local(\[.+\])?")
_STANDALONE = re.compile(r"spark://([^\s/:,]+:\d{1,5})(,[^\s/:,]+:\d{1,5})*")
_SETTING = re.compile(r"(spark\.[\w.-]+)=(.*)", re.DOTALL)
_MEMORY = re.compile(r"\d+([kmgt]b?)?", re.IGNORECASE)
_WIDTH = "spark.default.parallelism"
_SECONDS_TO_CONNECT = 5
# Of a Spark in this machine: nothing listens beyond it, and no page is served.
_LOCAL_SETTINGS = ("spark.ui.enabled=false", "spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1")
# Python workers stay for a pipeline's next step, and executors for the next pipeline of a run; by themselves both
# would end and start anew each time.
_WORKERS_STAY_MILLISECONDS = 60_000
_EXECUTORS_STAY = "-Dbeam.spark.test.reuseSparkContext=true"


def check_spark(given: Mapping[str, Any], flags: Sequence[str]) -> None:
    """Refuses what the chosen way of running cannot do."""
    settings = spark_settings(given)
    jar = given["spark_job_server_jar"]
    if jar and "://" not in jar and not os.path.exists(jar):
        raise Refusal(f"--spark_job_server_jar {jar}: no such file")
    if writes_jar(given):
        _check_jar(given, flags)
        check_environment(given, where=_how(given))
        _check_width(given, settings, where=_how(given))
        return
    java_program()
    master = _master(given, flags)
    if _LOCAL.fullmatch(master):
        return
    where = f"--spark_master_url {master}"
    if not _STANDALONE.fullmatch(master):
        raise Refusal(
            f"{where}: expected local, local[N] or spark://HOST:PORT; for YARN and Kubernetes give --spark_submit "
            f"'spark-submit --master {master}'"
        )
    check_environment(given, where=where)
    _check_width(given, settings, where=where)
    _check_answers(master)


def spark_options(given: Mapping[str, Any], flags: Sequence[str], tell: Callable[[str], None]) -> Iterator[str]:
    """What is filled in: the jars, the master, Spark's settings for the driver, and that workers stay."""
    server = given["spark_job_server_jar"]
    if not server and not given["spark_submit_uber_jar"]:
        server = find_spark_jar(tell)
        yield f"--spark_job_server_jar={server}"
    settings = spark_settings(given)
    master = _master(given, flags)
    local = not writes_jar(given) and _LOCAL.fullmatch(master) is not None
    if not local:
        yield from _worker_options(given, settings, flags)
    if writes_jar(given):
        yield f"--spark_application_jar={application_jar(server)}"
        if given["spark_submit"]:
            yield f"--output_executable_path={tempfile.gettempdir()}/pairmill-{uuid.uuid4().hex}.jar"
            if given["parallelism"] > 0:
                yield f"--spark_conf={_WIDTH}={given['parallelism']}"
        return
    yield f"--spark_master_url={master}"
    if given["job_server_java_launcher"] == "java":
        yield f"--job_server_java_launcher={tied(java_program())}"
    if given["parallelism"] > 0:
        settings.setdefault(_WIDTH, str(given["parallelism"]))
    if local:
        settings = dict(setting.split("=") for setting in _LOCAL_SETTINGS) | settings
    else:
        yield f"--job_server_jvm_properties={_EXECUTORS_STAY}"
        if server:
            yield f"--files_to_stage={application_jar(server)}"
    heap = settings.pop("spark.driver.memory", None)
    if heap:
        yield f"--job_server_jvm_properties=-Xmx{heap.lower().removesuffix('b')}"
    yield from (f"--job_server_jvm_properties=-D{key}={value}" for key, value in settings.items())


def _worker_options(given: Mapping[str, Any], settings: Mapping[str, str], flags: Sequence[str]) -> Iterator[str]:
    """Of Python workers on other machines: what starts them, how many an executor has, and that they stay."""
    yield from environment_options(given)
    if not given["environment_cache_millis"]:
        yield f"--environment_cache_millis={_WORKERS_STAY_MILLISECONDS}"
    cores = settings.get("spark.executor.cores")
    if cores and not _is_given("--sdk_worker_parallelism", flags):
        yield f"--sdk_worker_parallelism={cores}"


def spark_settings(given: Mapping[str, Any]) -> dict[str, str]:
    """--spark_conf as a mapping; Refusal of what Spark would take for something else."""
    found = {}
    for text in given["spark_conf"] or ():
        setting = _SETTING.fullmatch(text)
        if setting is None:
            raise Refusal(f"--spark_conf {text}: expected KEY=VALUE with a KEY of Spark's, as spark.executor.memory=4g")
        key, value = setting.groups()
        if key.lower().endswith(("memory", "memoryoverhead")) and not _MEMORY.fullmatch(value):
            raise Refusal(f"--spark_conf {text}: expected a size as 512m or 4g")
        found[key] = value
    return found


def writes_jar(given: Mapping[str, Any]) -> bool:
    return bool(given["output_executable_path"] or given["spark_submit"])


def _how(given: Mapping[str, Any]) -> str:
    return "--spark_submit" if given["spark_submit"] else "--output_executable_path"


def _check_jar(given: Mapping[str, Any], flags: Sequence[str]) -> None:
    if _is_given("--spark_master_url", flags):
        raise Refusal(f"{_how(given)}: the master is an option of spark-submit's; --spark_master_url does nothing here")
    path = given["output_executable_path"]
    if path and given["spark_submit"]:
        raise Refusal("--output_executable_path, --spark_submit: expected one of both; the jars submitted do not stay")
    if path and ("://" in path or not os.path.isdir(os.path.dirname(os.path.abspath(path)))):
        raise Refusal(f"--output_executable_path {path}: expected a file in a folder of this machine")
    if not given["spark_submit"]:
        if given["spark_conf"] or given["parallelism"] > 0:
            raise Refusal("--output_executable_path: settings of Spark's are spark-submit's options there: --conf ...")
        return
    try:
        program = (shlex.split(given["spark_submit"]) or [""])[0]
    except ValueError as error:
        raise Refusal(f"--spark_submit {given['spark_submit']!r}: {error}") from error
    if shutil.which(program) is None:
        raise Refusal(f"--spark_submit: there is no program {program!r}")


def _check_width(given: Mapping[str, Any], settings: Mapping[str, str], *, where: str) -> None:
    """A job server's Spark may count its cores before its executors have come."""
    if given["output_executable_path"] and not given["spark_submit"]:
        return
    if given["parallelism"] < 1 and _WIDTH not in settings:
        raise Refusal(f"{where}: expected --parallelism N, into how many tasks a step is cut; some per core are right")


def _check_answers(master: str) -> None:
    addresses = master.removeprefix("spark://").split(",")
    errors = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_SECONDS_TO_CONNECT).close()
        except OSError as error:
            errors.append(f"{address}: {error}")
        else:
            return
    raise Refusal(f"--spark_master_url {master}: no master answers ({'; '.join(errors)})")


def _master(given: Mapping[str, Any], flags: Sequence[str]) -> str:
    """Beam's own default is four cores, whatever there are."""
    return str(given["spark_master_url"]) if _is_given("--spark_master_url", flags) else f"local[{os.cpu_count() or 1}]"


def _is_given(name: str, flags: Sequence[str]) -> bool:
    return any(flag.partition("=")[0] == name for flag in flags)
