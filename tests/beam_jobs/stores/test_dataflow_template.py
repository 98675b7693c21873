"""A job for Dataflow, written as a template into a store of Google's protocol, and run from there as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_jobs.cli import main
from beam_jobs.dataflow.requests import steps_of

CPU = "europe-docker.pkg.dev/our-project/mill/cpu:1"
GPU = "europe-docker.pkg.dev/our-project/mill/gpu:1"
L4 = "type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver"

pytestmark = pytest.mark.parametrize("store", ["gs"], indirect=True)


@pytest.fixture
def no_metadata_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam looks for credentials; there are none to be found here, and nothing to wait for."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def read(url: str) -> bytes:
    with fsspec.open(url, "rb", skip_instance_cache=True) as file:
        return file.read()


def run_as_written(job: dict) -> beam_runner_api_pb2.Pipeline:
    """Runs the staged pipeline that a job names, its containers being this process."""
    url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    pipeline = beam_runner_api_pb2.Pipeline.FromString(read(url))
    here = beam_runner_api_pb2.Pipeline.FromString(pipeline.SerializeToString())
    for environment in here.components.environments.values():
        environment.urn, environment.payload = "beam:env:embedded_python:v1", b""
        del environment.dependencies[:]
    FnApiRunner().run_via_runner_api(here, PipelineOptions([])).wait_until_finish()
    return pipeline


def test_launches_write_one_stage_after_the_other(
    store,
    small_world: Path,
    world_port: int,
    small_shards: Path,
    no_metadata_server: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = f"{store.root}/dataflow"
    with fsspec.open(f"{root}/urls.csv", "wb") as file:
        file.write(b"".join((small_world / "urls.csv").read_bytes().splitlines(keepends=True)[:16]))
    command = [
        *("run", f"--recipe={small_shards}", f"--source=table:{root}/urls.csv", f"--work={root}/run"),
        f"--resolve=*.test=127.0.0.1:{world_port}",
    ]
    template = f"{root}/templates/job"
    on_dataflow = [
        *("--runner=dataflow", "--project=our-project", "--region=europe-west4", "--no_auth"),
        *(f"--sdk_container_image={CPU}", f"--gpu_image={GPU}", "--flexrs_goal=COST_OPTIMIZED"),
        *(f"--template_location={template}", "--job_name=given-by-the-launcher"),
    ]
    assert main([*command, "--stages=:download"]) == 0
    capsys.readouterr()

    assert main([*command, *on_dataflow]) == 0
    said = capsys.readouterr().out
    assert said == f"the next stage's job is at {template}; after it has run, the same command goes on\n"
    job = json.loads(read(template))
    assert job["name"] == "given-by-the-launcher"
    pool = job["environment"]["workerPools"][0]
    assert {image["containerImage"] for image in pool["sdkHarnessContainerImages"]} == {GPU}
    assert "flexResourceSchedulingGoal" not in job["environment"]
    steps = {step.name: step for step in steps_of(run_as_written(job))}
    assert (steps["Score/DoShard"].accelerator, steps["Score/DoShard"].min_ram) == (L4, 24_000_000_000)
    assert not any(step.accelerator for name, step in steps.items() if name != "Score/DoShard")

    assert main([*command, *on_dataflow]) == 0
    assert "score       done before: " in capsys.readouterr().err
    job = json.loads(read(template))
    assert job["environment"]["flexResourceSchedulingGoal"] == "FLEXRS_COST_OPTIMIZED"
    assert job["environment"]["workerPools"][0]["workerHarnessContainerImage"] == CPU
