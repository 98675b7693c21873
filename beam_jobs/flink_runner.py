"""Beam's FlinkRunner with one job server for all pipelines of a run, and the options that only Flink's side has.

In: a pipeline's options. Out: a runner whose server starts once and ends with this process; Beam's own starts one a
pipeline.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
)
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner
from apache_beam.runners.portability.job_server import JobServer, StopOnExitJobServer

from schemas.refusal import HandedOver

_SERVERS: dict[str, JobServer] = {}


class FlinkServerOptions(PipelineOptions):
    """Options of Flink's side that Beam's Python side does not have, or learns from a running job server."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--flink_conf_dir", help="folder with Flink's config.yaml, for the jobs and for the local cluster"
        )
        parser.add_argument(
            "--execution_mode_for_batch",
            choices=["PIPELINED", "BATCH"],
            help="whether what is shuffled waits for a step's end, on disk",
        )


class ConfiguredJobServer(FlinkJarJobServer):
    """Beam's server with a configuration folder: of the option, it reads the server's argument alone."""

    def __init__(self, options: PipelineOptions) -> None:
        super().__init__(options)
        self._conf_dir = options.view_as(FlinkServerOptions).flink_conf_dir

    def java_arguments(self, *ports_and_folder: Any) -> list[Any]:
        configured = ["--flink-conf-dir", self._conf_dir] if self._conf_dir else []
        return [*super().java_arguments(*ports_and_folder), *configured]


class KeptFlinkRunner(FlinkRunner):
    """Beam's FlinkRunner with one server for all pipelines of the same options."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        views = (FlinkRunnerOptions, JobServerOptions, FlinkServerOptions)
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = self.add_http_scheme(flink.flink_master)
        if flink.flink_submit_uber_jar:
            return super().default_job_server(options)
        key = "".join(str(options.view_as(view)) for view in views)
        if key not in _SERVERS:
            _SERVERS[key] = StopOnExitJobServer(ConfiguredJobServer(options))
        return _SERVERS[key]


def hand_over(options: PipelineOptions) -> None:
    """Raises HandedOver where a jar of the job was wanted, which the job server has written by now."""
    path = options.view_as(PortableOptions).output_executable_path
    if path:
        raise HandedOver(f"the next stage's job is in {path}; after `flink run {path}` the same command goes on")
