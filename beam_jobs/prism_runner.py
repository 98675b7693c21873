"""Beam's PrismRunner with one server for all pipelines of a run, and without what makes Prism slow or large.

In: a pipeline. Out: the same, run by a Prism whose workers are threads of this process, unless options place them
elsewhere; shards are done by the thread that waits for the pipeline's end.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
)
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.runners.portability.job_server import StopOnExitJobServer
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner
from apache_beam.runners.runner import PipelineResult

from beam_jobs.shuffle import SpillsToFiles
from beam_jobs.turns import taking_turns

_SERVERS: dict[str, StopOnExitJobServer] = {}


class KeptPrismRunner(PrismRunner, SpillsToFiles):
    """Keeps a server for each set of options; Beam's own keeps whichever was asked for first, also one that could not
    be had. Prism shuffles in its memory; blobs go through files, where its workers are here.
    """

    def spill_folder(self, options: PipelineOptions) -> str | None:
        return super().spill_folder(options) if works_here(options) else None

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> PipelineResult:
        _shuffle_ends(pipeline)
        return super().run_pipeline(pipeline, options)

    def default_job_server(self, options: PipelineOptions) -> StopOnExitJobServer:
        key = str(options.view_as(PrismRunnerOptions)) + str(options.view_as(JobServerOptions))
        if key not in _SERVERS:
            _SERVERS[key] = StopOnExitJobServer(PrismJobServer(options))
        return _SERVERS[key]


def works_here(options: PipelineOptions) -> bool:
    """Whether Prism's workers are threads of this process."""
    portable = options.view_as(PortableOptions)
    return not portable.job_endpoint and portable.environment_type in (None, "LOOPBACK")


def run_in_turns(pipeline: beam.Pipeline) -> str:
    """Runs a pipeline whose workers are here to its end; its state. The calling thread does its shards, in turn."""
    ended: Future[str] = Future()
    try:
        with taking_turns() as turns:
            result = pipeline.run()

            def wait() -> None:
                try:
                    ended.set_result(result.wait_until_finish())
                except BaseException as error:  # noqa: BLE001 - it is raised where the end is waited for
                    ended.set_exception(error)
                turns.end()

            threading.Thread(target=wait, name="pairmill-prism", daemon=True).start()
            turns.serve()
        return ended.result()
    finally:
        if isinstance(pipeline.runner, SpillsToFiles):
            pipeline.runner.remove_spilled()


class _Ends(PipelineVisitor):
    """Finds what steps make and no step takes."""

    def __init__(self) -> None:
        self.made: dict[beam.PCollection, None] = {}
        self.taken: set[beam.PCollection] = set()

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self.made.update(dict.fromkeys(transform_node.outputs.values()))
        self.taken.update(transform_node.inputs)
        self.taken.update(side.pvalue for side in transform_node.side_inputs)


def _shuffle_ends(pipeline: beam.Pipeline) -> None:
    """Has what no step takes taken by one behind a shuffle: while a step works whose results go nowhere, Prism keeps a
    core busy with waiting for its end.
    """
    found = _Ends()
    pipeline.visit(found)
    for number, end in enumerate(end for end in found.made if end not in found.taken):
        end | f"End{number}" >> beam.Reshuffle() | f"Take{number}" >> beam.Map(_nothing)


def _nothing(element: object) -> None:
    return None
