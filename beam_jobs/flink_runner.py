"""Beam's FlinkRunner with one job server for all pipelines of a run, and the options that only Flink's side has.

In: a pipeline's options. Out: a runner whose server starts once and ends with this process; Beam's own starts one a
pipeline, each with a Flink cluster of its own.
"""

from __future__ import annotations

from argparse import ArgumentParser

from apache_beam.options.pipeline_options import FlinkRunnerOptions, JobServerOptions, PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.job_server import JobServer

_SERVERS: dict[str, JobServer] = {}


class FlinkServerOptions(PipelineOptions):
    """Options of Beam's Flink runner that its Python side only learns from a running job server."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--flink_conf_dir", help="folder with Flink's configuration file (memory, network, ...)")
        parser.add_argument("--number_of_execution_retries", type=int, help="how often Flink starts a failed job again")
        parser.add_argument(
            "--execution_mode_for_batch", choices=["PIPELINED", "BATCH"], help="whether shuffles wait for whole inputs"
        )


class KeptFlinkRunner(FlinkRunner):
    """Beam's FlinkRunner with one server for all pipelines of the same options."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        flink = options.view_as(FlinkRunnerOptions)
        key = str(flink) + str(options.view_as(JobServerOptions))
        if flink.flink_submit_uber_jar:
            return super().default_job_server(options)
        if key not in _SERVERS:
            _SERVERS[key] = super().default_job_server(options)
        return _SERVERS[key]
