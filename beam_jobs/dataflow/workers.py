"""The workers of each Dataflow job: one job a stage, so each stage has the image and the machines that it needs.

In: Beam's options of a launch and the flags of GPU workers below. Out: the same options, shaped for one stage. A stage
of models gets the GPU image, one process a worker, and hints on the step that does the shards: Dataflow then gives GPUs
to the workers of that step alone. Every other stage runs on CPU workers, preemptible ones where FlexRS is asked for.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    WorkerOptions,
)

L4 = "type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver"
# Of the 32 GB of a g2-standard-8, what a worker may count on.
_MIN_RAM = "24GB"
_SHARDS_AT_ONCE = 2
# An image with torch and its CUDA libraries is several GB; the shuffle lies with the service.
_DISK_GB = 60
_ONE_PROCESS = "no_use_multiple_sdk_containers"
_SHUFFLE_SERVICE = "shuffle_mode=service"
_LONGEST_NAME = 63


class GpuWorkers(PipelineOptions):
    """Flags beside Beam's own, for the stages that run models."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--gpu_image", help="image of the workers of stages that run models; none: on CPU workers")
        parser.add_argument("--gpu_accelerator", default=L4, help="hint accelerator of their step")
        parser.add_argument("--gpu_min_ram", default=_MIN_RAM, help="hint min_ram of their step")
        parser.add_argument("--gpu_shards_at_once", type=int, default=_SHARDS_AT_ONCE, help="in one worker")
        parser.add_argument("--gpu_step", action="store_true", help="set by the launch for a stage that runs models")


def step_hints(options: PipelineOptions) -> dict[str, str]:
    """Resource hints of the step that does a stage's shards; none on CPU workers and on other runners."""
    workers = options.view_as(GpuWorkers)
    if not workers.gpu_step:
        return {}
    return {"accelerator": workers.gpu_accelerator, "min_ram": workers.gpu_min_ram}


def stage_job_name(given: str | None, stage: str) -> str:
    """A name as Dataflow takes it: lower-case letters, digits and hyphens, 63 at most."""
    ending = re.sub(r"[^a-z0-9]+", "-", stage.lower())
    return f"{(given or 'pairmill')[: _LONGEST_NAME - 1 - len(ending)]}-{ending}"


def shape_job(options: PipelineOptions, stage: str, *, gpu: bool) -> None:
    """Turns a launch's options into those of one stage's job, in place."""
    cloud, setup = options.view_as(GoogleCloudOptions), options.view_as(SetupOptions)
    debug, machines = options.view_as(DebugOptions), options.view_as(WorkerOptions)
    workers = options.view_as(GpuWorkers)
    if not cloud.template_location:  # the launcher of a template has named the job
        cloud.job_name = stage_job_name(cloud.job_name, stage)
    workers.gpu_step = gpu and workers.gpu_image is not None
    _add_experiment(debug, _SHUFFLE_SERVICE)
    if machines.autoscaling_algorithm is None:
        machines.autoscaling_algorithm = "THROUGHPUT_BASED"
    if workers.gpu_step:
        machines.sdk_container_image = workers.gpu_image
        setup.setup_file = None  # the image holds this package
        cloud.flexrs_goal = None  # which has no GPUs and takes no hints
        _add_experiment(debug, _ONE_PROCESS)
        if debug.number_of_worker_harness_threads is None:
            debug.number_of_worker_harness_threads = workers.gpu_shards_at_once
    if machines.sdk_container_image and machines.disk_size_gb is None:
        machines.disk_size_gb = _DISK_GB


def _add_experiment(debug: Any, experiment: str) -> None:
    """Unless one of that name is given."""
    name = experiment.partition("=")[0]
    if not any(given.partition("=")[0] in (name, name.removeprefix("no_")) for given in debug.experiments or ()):
        debug.add_experiment(experiment)
