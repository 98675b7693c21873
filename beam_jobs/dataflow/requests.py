"""The request that would create a Dataflow job, made by Beam's own translation and sent nowhere.

In: a pipeline with the options of its job. Out: the job as Dataflow's API takes it, and the pipeline as its workers get
it. No network and no credentials are needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DebugOptions, GoogleCloudOptions, TestOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

_SAID_BY_IMAGE = "capabilities"


@dataclass(frozen=True)
class Step:
    """A step that does work, with the image and the hints of its workers."""

    name: str
    image: str
    accelerator: str = ""
    min_ram: int = 0


@dataclass(frozen=True)
class JobRequest:
    """job: the body of `projects.locations.jobs.create`. steps: of the pipeline that it names, in the graph's order.
    staged: the files that would be put at its staging location."""

    job: dict[str, Any]
    steps: tuple[Step, ...]
    staged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The job without what images say of themselves, and the steps with their hints."""
        steps = [{name: value for name, value in vars(step).items() if value} for step in self.steps]
        return {"job": _without(self.job, _SAID_BY_IMAGE), "steps": steps, "staged": list(self.staged)}


def job_request(pipeline: beam.Pipeline) -> JobRequest:
    """Translates a pipeline of DataflowRunner. Its options must be those of a dry run: see `for_dry_run`."""
    from apache_beam.runners.dataflow.internal import apiclient

    staged: list[str] = []

    class Unsent(apiclient.DataflowApplicationClient):
        """Beam's client, but for what would leave this machine."""

        def stage_file_with_retry(self, folder: str, name: str, *_: Any, **__: Any) -> None:
            staged.append(f"{folder.rstrip('/')}/{name}")

        def _gcs_file_copy(self, _: str, to_path: str, __: str) -> None:
            staged.append(to_path)

        def submit_job_description(self, _: Any) -> None:
            return None

    job = pipeline.run().job
    job.options.view_as(GoogleCloudOptions).no_auth = True
    client = Unsent(job.options, job.root_staging_location)
    job.options.view_as(GoogleCloudOptions).no_auth = False
    job.options.view_as(DebugOptions).dataflow_job_file = None
    client.create_job(job)
    return JobRequest(json.loads(job.json()), tuple(steps_of(job.proto_pipeline)), tuple(staged))


def for_dry_run(options: beam.options.pipeline_options.PipelineOptions) -> None:
    """Makes a pipeline's options those of a dry run: translated, not submitted."""
    options.view_as(TestOptions).dry_run = "true"


def steps_of(pipeline: beam_runner_api_pb2.Pipeline) -> Iterator[Step]:
    """The steps that have no steps in them, in the order of the graph."""
    transforms, environments = pipeline.components.transforms, pipeline.components.environments
    waiting = list(reversed(pipeline.root_transform_ids))
    while waiting:
        transform = transforms[waiting.pop()]
        waiting.extend(reversed(transform.subtransforms))
        if transform.subtransforms or not transform.environment_id:
            continue
        environment = environments[transform.environment_id]
        payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
        hints = environment.resource_hints
        accelerator = hints.get(common_urns.resource_hints.ACCELERATOR.urn, b"").decode()
        ram = hints.get(common_urns.resource_hints.MIN_RAM_BYTES.urn, b"0")
        yield Step(transform.unique_name, payload.container_image, accelerator, int(ram))


def _without(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(one, name) for key, one in value.items() if key != name}
    return [_without(one, name) for one in value] if isinstance(value, list) else value
