"""Beam's SparkRunner, and jobs written as executable jars for whatever `spark-submit` reaches.

In: a pipeline's options. Out: a runner that hands the job to a job server, or writes it into a jar: the libraries, the
pipeline and its options, without a server and without Java.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from argparse import ArgumentParser
from collections import deque
from collections.abc import Iterator
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability import spark_runner
from apache_beam.runners.portability.abstract_job_service import AbstractJobServiceServicer, UberJarBeamJob

from schemas.refusal import HandedOver, JobFailed

_SAID_LINES = 5
_ERRORS = ("Exception", "Caused by:", "Error", "ERROR")


class SparkClusterOptions(PipelineOptions):
    """Options of Spark's side that Beam's Python side does not have."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--spark_conf", action="append", metavar="KEY=VALUE", help="a setting of Spark's (again for more)"
        )
        parser.add_argument(
            "--spark_submit",
            metavar="COMMAND",
            help="submit each stage's job as a jar with this command: 'spark-submit --master yarn ...'",
        )
        parser.add_argument(
            "--spark_application_jar", help="what executors and executable jars get of Beam (default: found)"
        )


class _JarJob(UberJarBeamJob):
    """A job that is done when its jar is written."""

    def __init__(self, library: str, target: str, *job: Any) -> None:
        super().__init__(library, *job)
        self._target = target

    def run(self) -> None:
        self._stop_artifact_service()
        partial = f"{self._target}.partial"
        shutil.move(self._jar, partial)
        os.replace(partial, self._target)
        self.set_state(beam_job_api_pb2.JobState.DONE)

    def get_state_stream(self) -> Iterator[Any]:
        yield from self._state_history

    def get_message_stream(self) -> Iterator[Any]:
        yield from self._state_history


class _JarWriter(AbstractJobServiceServicer):
    """Takes the place of a job server."""

    def __init__(self, library: str, target: str) -> None:
        super().__init__()
        self._library = library
        self._target = target

    def start(self) -> _JarWriter:
        return self

    def stop(self) -> None:
        """Nothing runs."""

    def create_beam_job(self, job_id: str, job_name: str, pipeline: Any, options: Any) -> _JarJob:
        return _JarJob(self._library, self._target, job_id, job_name, pipeline, options)


class JarSparkRunner(spark_runner.SparkRunner):
    """Beam's SparkRunner; jars are written here rather than by the job server."""

    def default_job_server(self, options: PipelineOptions) -> Any:
        target = options.view_as(PortableOptions).output_executable_path
        if target:
            return _JarWriter(options.view_as(SparkClusterOptions).spark_application_jar, target)
        return super().default_job_server(options)


def submit_or_hand_over(options: PipelineOptions) -> None:
    """After a pipeline was done: when that only wrote a jar, submits it, or says where it is. Raises JobFailed."""
    jar = options.view_as(PortableOptions).output_executable_path
    cluster = options.view_as(SparkClusterOptions)
    if not jar:
        return
    if not cluster.spark_submit:
        raise HandedOver(f"the next stage's job is {jar}; after `spark-submit` has run it, the same command goes on")
    settings = [argument for setting in cluster.spark_conf or () for argument in ("--conf", setting)]
    try:
        status, reason = _run([*shlex.split(cluster.spark_submit), *settings, jar])
    finally:
        os.remove(jar)
    if status != 0:
        raise JobFailed(f"spark-submit ended with status {status}: {reason}")


def _run(command: list[str]) -> tuple[int, str]:
    """A program's status, and of what it said the last line that names an error, or the last ones."""
    last, error = deque[str](maxlen=_SAID_LINES), ""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as program:
        assert program.stdout is not None
        for line in map(str.strip, program.stdout):
            if line:
                last.append(line)
            if line.startswith(_ERRORS):
                error = line
    return program.returncode, error or " / ".join(last)
