"""Where a flow runs: Beam's flags, checked and completed for this machine.

In: the flags that are not ours. Out: a BeamRunner that gives each pipeline its options and waits for it, or a Refusal.
Nothing is started, built or fetched before the runner is entered.

    PrismRunner     a Prism, built once with Go and kept; the default where there is one
    DirectRunner    in this process, by Beam's FnApiRunner (never by a Prism that Beam may find or fetch); else
    SparkRunner     Spark's job server, fetched once; local unless --spark_master_url says otherwise; or jars to submit
    FlinkRunner     Flink's job server, fetched or assembled once; local unless --flink_master says otherwise
    DataflowRunner, PortableRunner     as Beam has them
"""

from __future__ import annotations

import difflib
import os
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
)
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from beam_jobs.cores import shared_by
from beam_jobs.dataflow.flags import check_installed
from beam_jobs.dataflow.workers import shape_job
from beam_jobs.flink_runner import KeptFlinkRunner, hand_over
from beam_jobs.prism_runner import KeptPrismRunner, run_in_turns, works_here
from beam_jobs.progress import say
from beam_jobs.quiet import quiet_beam
from beam_jobs.servers.flink import check_flink, flink_options
from beam_jobs.servers.java import java_program
from beam_jobs.servers.prism import find_prism, prism_is_here
from beam_jobs.servers.spark_flags import check_spark, spark_options
from beam_jobs.servers.tied import tied
from beam_jobs.shuffle import SpillsToFiles
from beam_jobs.spark_runner import JarSparkRunner, submit_or_hand_over
from schemas.refusal import HandedOver, JobFailed, Refusal, unknown

# The environment variable that names another default.
DEFAULT = "PAIRMILL_RUNNER"
RUNNERS = ("DirectRunner", "PrismRunner", "SparkRunner", "FlinkRunner", "DataflowRunner", "PortableRunner")
_OTHER_NAMES = {"FnApiRunner": "DirectRunner"}
# Else Beam asks pip for all that is installed, for a log, at each pipeline that it submits: most of a second.
_NO_FREEZE = "disable_logging_submission_environment"
# Of Prism, Beam hears how a pipeline goes in one request, which ends the pipeline when it times out: after 300 s.
_LONGEST_PIPELINE_SECONDS = 365 * 24 * 3600


class PipelineFailed(JobFailed):
    """A pipeline ended otherwise than done; the message holds Beam's words."""


class InProcessRunner(PipelineRunner, SpillsToFiles):
    """Beam's FnApiRunner, which hands the options to its workers as Beam's DirectRunner does.

    It shuffles in memory; blobs go through files.
    """

    def is_fnapi_compatible(self) -> bool:
        return True

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> PipelineResult:
        from apache_beam.portability.api import beam_provision_api_pb2 as provision_api
        from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner
        from apache_beam.runners.portability.portable_runner import JobServiceHandle

        encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
        provision = ExtendedProvisionInfo(provision_api.ProvisionInfo(pipeline_options=encoded))
        try:
            return FnApiRunner(provision_info=provision).run_pipeline(pipeline, options)
        finally:
            self.remove_spilled()


_OUR_RUNNERS: dict[str, type[PipelineRunner]] = {
    "DirectRunner": InProcessRunner,
    "PrismRunner": KeptPrismRunner,
    "FlinkRunner": KeptFlinkRunner,
    "SparkRunner": JarSparkRunner,
}


@dataclass
class BeamRunner:
    """A checked choice of runner. Entering it finds or makes what it needs; leaving it gives signals back.

    Servers stay for the next pipelines of this process and end with it. Enter it in the main thread: a Java server
    ends with the thread that started it.
    """

    name: str
    flags: tuple[str, ...]
    filled: tuple[str, ...] = ()
    _on_term: Any = None

    def __enter__(self) -> BeamRunner:
        quiet_beam()
        if threading.current_thread() is threading.main_thread():
            self._on_term = signal.signal(signal.SIGTERM, _exit)
        self.filled = tuple(_fill_in(self.name, self.flags))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_term is not None:
            signal.signal(signal.SIGTERM, self._on_term)
            self._on_term = None

    def options(self, *, job: str, gpu: bool = False) -> PipelineOptions:
        """Options of one pipeline. Each needs its own: Beam writes into those that it runs with.

        gpu: whether the pipeline is one of models.
        """
        ours = _OUR_RUNNERS.get(self.name)
        runner = f"{ours.__module__}.{ours.__name__}" if ours else self.name
        options = PipelineOptions([*self.filled, *self.flags, f"--runner={runner}"])
        if self.name == "DataflowRunner":
            shape_job(options, job, gpu=gpu)
        else:
            options.view_as(DebugOptions).add_experiment(_NO_FREEZE)
        if self.name == "SparkRunner":
            named = options.view_as(GoogleCloudOptions)
            named.job_name = named.job_name or f"pairmill-{job}"
        return options

    def _sharing(self, options: PipelineOptions) -> AbstractContextManager[None]:
        """What tells worker processes that we start how many of them share this machine."""
        direct = options.view_as(DirectOptions)
        if self.name == "DirectRunner" and direct.direct_running_mode == "multi_processing":
            return shared_by(direct.direct_num_workers)
        return nullcontext()

    def wait(self, pipeline: beam.Pipeline) -> None:
        """Runs a pipeline to its end. Raises PipelineFailed; HandedOver where only a template of its job is wanted."""
        template = pipeline.options.view_as(GoogleCloudOptions).template_location
        handed_over = self.name == "DataflowRunner" and template
        try:
            if self.name == "PrismRunner" and works_here(pipeline.options):
                state = run_in_turns(pipeline)
            else:
                with self._sharing(pipeline.options):
                    result = pipeline.run()
                state = PipelineState.DONE if handed_over else result.wait_until_finish()
        except Exception as error:  # in this process a worker's error comes as what it is
            raise PipelineFailed(_last_words(error)) from error
        if handed_over:
            raise HandedOver(f"the next stage's job is at {template}; after it has run, the same command goes on")
        if state != PipelineState.DONE:
            raise PipelineFailed(f"{self.name} ended the pipeline as {state}")
        if self.name == "FlinkRunner":
            hand_over(pipeline.options)
        if self.name == "SparkRunner":
            submit_or_hand_over(pipeline.options)


def choose_runner(flags: Sequence[str]) -> BeamRunner:
    """Checks Beam's flags. A Refusal names the one that Beam does not have, or the program that is missing."""
    given = parse_flags(flags)
    name = _runner_name(given["runner"]) if given["runner"] else _default_runner(given, flags)
    if name == "FlinkRunner" and not given["job_endpoint"]:
        java_program()
        check_flink(given, flags)
    if name == "SparkRunner" and not given["job_endpoint"]:
        check_spark(given, flags)
    if name == "DataflowRunner":
        check_installed()
    if name == "PortableRunner" and not given["job_endpoint"]:
        raise Refusal("--runner PortableRunner: expected --job_endpoint HOST:PORT, none given")
    return BeamRunner(name, tuple(flags))


def parse_flags(flags: Sequence[str]) -> dict[str, Any]:
    """Beam's options by name, defaults included; Refusal of a flag that Beam does not have or cannot read."""
    parsers: list[ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parser = parsers[0]
    parser.error = _refuse  # type: ignore[method-assign]
    known, others = parser.parse_known_args(list(flags))
    if others:
        raise _unknown_flag(others[0], parser)
    return vars(known)


def _refuse(message: str) -> NoReturn:
    raise Refusal(f"Beam option: {message}")


def _unknown_flag(flag: str, parser: ArgumentParser) -> Refusal:
    name = flag.partition("=")[0]
    near = difflib.get_close_matches(name, [text for action in parser._actions for text in action.option_strings])
    hint = f"; near it: {', '.join(near)}" if near else ""
    return Refusal(f"unknown option {name!r}: it is neither ours (see --help) nor Beam's{hint}")


def _default_runner(given: dict[str, Any], flags: Sequence[str]) -> str:
    """This process where its own flags are given; else what the environment names; else Prism where there is one."""
    if any(flag.startswith("--direct_") for flag in flags):
        return "DirectRunner"
    if os.environ.get(DEFAULT):
        return _runner_name(os.environ[DEFAULT], where=DEFAULT)
    return "PrismRunner" if given["prism_location"] or prism_is_here() else "DirectRunner"


def _runner_name(given: str, *, where: str = "--runner") -> str:
    """Beam's way: any case, with or without `Runner` at the end."""
    names = {name.lower(): name for name in RUNNERS} | {name.lower(): to for name, to in _OTHER_NAMES.items()}
    lower = given.lower()
    found = names.get(lower) or names.get(f"{lower}runner")
    if found is None:
        raise unknown("runner", given, RUNNERS, where=where)
    return found


def _fill_in(name: str, flags: Sequence[str]) -> Iterator[str]:
    """What a local user need not know: where servers are, how many cores, how loud workers are."""
    given = parse_flags(flags)
    yield "--no_save_main_session"
    if name == "DirectRunner" and given["direct_running_mode"] == "multi_processing":
        yield "--default_sdk_harness_log_level=ERROR"
    if name == "PrismRunner" and not given["prism_location"] and not given["job_endpoint"]:
        yield f"--prism_location={tied(find_prism(say))}"
        yield "--prism_log_level=warn"
    if name == "PrismRunner":
        yield f"--job_server_timeout={_LONGEST_PIPELINE_SECONDS}"
    if name == "SparkRunner" and not given["job_endpoint"]:
        yield from spark_options(given, flags, say)
    if name == "FlinkRunner" and not given["job_endpoint"]:
        if given["job_server_java_launcher"] == "java":
            yield f"--job_server_java_launcher={tied(java_program())}"
        yield from flink_options(given, flags, say)


def _last_words(error: Exception) -> str:
    """One line of an error that may hold a worker's whole traceback: the worker's last line, which names the step."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if "[while running" in line), lines[0] if lines else "")
    return said if isinstance(error, RuntimeError) else f"{type(error).__name__}: {said}"


def _exit(signum: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM as an exit, so that servers are stopped on the way out."""
    raise SystemExit(128 + signum)
