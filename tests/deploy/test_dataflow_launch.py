"""What would be submitted to Dataflow, seen by a dry run with no network at all; and what is refused at launch."""

from __future__ import annotations

import json
import shlex
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

from beam_jobs.cli import main

CPU = "europe-docker.pkg.dev/our-project/mill/cpu:1"
GPU = "europe-docker.pkg.dev/our-project/mill/gpu@sha256:" + "ab" * 32
L4 = "type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver"
RUN = ["run", "--recipe=base", "--source=table:gs://mill-in/pairs.parquet", "--work=gs://mill-run/first"]
DATAFLOW = ["--runner=dataflow", "--project=our-project", "--region=europe-west4"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a dry run asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("CLOUDSDK_COMPUTE_REGION", raising=False)


def dry_run(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    assert main([*RUN, *DATAFLOW, "--dry-run=json", *flags]) == 0
    return {one["stage"]: one for one in json.loads(capsys.readouterr().out)}


def test_each_stage_is_a_job_with_its_workers(capsys: pytest.CaptureFixture[str]) -> None:
    found = dry_run(
        capsys,
        *(f"--sdk_container_image={CPU}", f"--gpu_image={GPU}", "--max_num_workers=50"),
        *("--machine_type=n2-standard-8", "--flexrs_goal=COST_OPTIMIZED"),
    )
    # `corpus` and `recaption` have nothing to do in this recipe; the report is made where the run is launched.
    assert list(found) == ["extract", "preselect", "download", "score", "group", "select", "write", "report"]
    assert found.pop("report")["steps"] == []
    for stage, one in found.items():
        gpu = stage == "score"
        job, environment = one["job"], one["job"]["environment"]
        assert job["name"] == f"pairmill-aea01142-{stage}"
        assert job["type"] == "JOB_TYPE_BATCH"
        pool = environment["workerPools"][0]
        images = {image["containerImage"] for image in pool["sdkHarnessContainerImages"]}
        assert images == {GPU if gpu else CPU}
        assert all(step["image"] == (GPU if gpu else CPU) for step in one["steps"])
        assert pool["autoscalingSettings"] == {"algorithm": "AUTOSCALING_ALGORITHM_BASIC", "maxNumWorkers": 50}
        assert pool["machineType"] == "n2-standard-8"
        assert pool["diskSizeGb"] == 60
        assert environment.get("flexResourceSchedulingGoal") == (None if gpu else "FLEXRS_COST_OPTIMIZED")
        assert "shuffle_mode=service" in environment["experiments"]
        one_process = "no_use_multiple_sdk_containers" in environment["experiments"]
        assert one_process == gpu and ("use_multiple_sdk_containers" in environment["experiments"]) != gpu
        assert pool.get("numThreadsPerWorker") == (2 if gpu else None)
        options = environment["sdkPipelineOptions"]["options"]
        assert options["temp_location"].startswith("gs://mill-run/first/dataflow/temp/")
        assert options["pipelineUrl"].startswith("gs://mill-run/first/dataflow/staging/")
        assert options["pipelineUrl"] in one["staged"]
        assert (options["project"], options["region"]) == ("our-project", "europe-west4")
        hinted = [step for step in one["steps"] if "accelerator" in step or "min_ram" in step]
        on_gpu = {"name": "Score/DoShard", "image": GPU, "accelerator": L4, "min_ram": 24_000_000_000}
        assert hinted == ([on_gpu] if gpu else [])


def test_a_setup_file_is_for_cpu_jobs_alone(capsys: pytest.CaptureFixture[str], project_folder: Path) -> None:
    found = dry_run(
        capsys, f"--setup_file={project_folder / 'setup.py'}", f"--gpu_image={GPU}", "--stages=download:score"
    )
    staged = {stage: {url.rpartition("/")[2] for url in one["staged"]} for stage, one in found.items()}
    assert "workflow.tar.gz" in staged["download"] and "workflow.tar.gz" not in staged["score"]
    images = {stage: {step["image"] for step in one["steps"]} for stage, one in found.items()}
    assert images["download"] == {"gcr.io/cloud-dataflow/v1beta3/beam_python3.11_sdk:2.77.0"}
    assert images["score"] == {GPU}


def test_without_an_image_for_gpus_models_run_on_cpu_workers(capsys: pytest.CaptureFixture[str]) -> None:
    found = dry_run(capsys, f"--sdk_container_image={CPU}", "--stages=score", "--job_name=ours")
    assert not any("accelerator" in step for step in found["score"]["steps"])
    assert found["score"]["job"]["name"] == "ours-score"
    assert "maxNumWorkers" not in found["score"]["job"]["environment"]["workerPools"][0]["autoscalingSettings"]


def test_people_are_told_in_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main([*RUN, *DATAFLOW, f"--sdk_container_image={CPU}", f"--gpu_image={GPU}", "--stages=score", "--dry-run"])
        == 0
    )
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "score"
    assert said[2] == "  job pairmill-aea01142-score of project our-project in europe-west4"
    assert said[4] == f"  image {GPU}"
    assert said[-1] == f"  hints of Score/DoShard: {L4}, at least 24 GB"


def test_any_runner_has_a_dry_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    work = tmp_path / "never"
    command = ["run", "--recipe=base", "--source=html:pages.txt", f"--work={work}", "--stages=download", "--dry-run"]
    assert main(command) == 0
    assert "DoShards/DoShard" in capsys.readouterr().out
    assert not work.exists()


def test_help_tells_of_dataflow(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for flag in ("--dry-run", "--project", "--region", "--sdk_container_image", "--gpu_image", "--flexrs_goal"):
        assert f"  {flag} " in said


REFUSED = {
    "--project=": "--runner DataflowRunner: expected --project ID, none given",
    "--project=Our Project": "--project: expected a project's ID (6 to 30 of a-z, 0-9 and -), given 'Our Project'",
    "--region=": "--runner DataflowRunner: expected --region, as europe-west4, none given",
    "--region=europe-west4-a": "--region: expected a region, as europe-west4, given 'europe-west4-a'; a zone is "
    "--worker_zone",
    "--work=out": "--work: Dataflow's workers need a run folder at gs://BUCKET/PATH, given 'out'",
    "--work=s3://mill/run": "--work: Dataflow's workers need a run folder at gs://BUCKET/PATH, given 's3://mill/run'",
    "--temp_location=/tmp/x": "--temp_location: expected gs://BUCKET/PATH, given '/tmp/x'",
    "--source=html:pages.txt": "--source html:pages.txt: Dataflow's workers cannot read this machine's disk; put it "
    "at gs://",
    "--sdk_container_image=": "--runner DataflowRunner: workers need this package; expected "
    "--sdk_container_image IMAGE (deploy/cpu.Dockerfile) or --setup_file ./setup.py, neither given",
    "--sdk_container_image=cpu": "--sdk_container_image: expected REGISTRY/IMAGE:TAG, given 'cpu'",
    "--setup_file=/nowhere/setup.py": "--setup_file: expected the path of a file setup.py, given '/nowhere/setup.py'",
    "--gpu_accelerator=l4": "--gpu_accelerator: expected type:TYPE;count:N[;machine_type:TYPE];install-nvidia-driver"
    "[:VERSION], given 'l4'",
    "--gpu_accelerator=type:nvidia-tesla-t4;count:1": "--gpu_accelerator: without ;install-nvidia-driver no program "
    "sees the GPU; given 'type:nvidia-tesla-t4;count:1'",
    "--gpu_accelerator=type:nvidia-l4;count:1;machine_type:n1-standard-4;install-nvidia-driver": "--gpu_accelerator: "
    "an L4 is had with machines g2-* alone, given 'n1-standard-4'",
    "--gpu_min_ram=lots": "--gpu_min_ram: expected a size, as 24GB, given 'lots'",
    "--gpu_shards_at_once=0": "--gpu_shards_at_once: expected at least 1, given 0",
    "--max_num_workers=0": "--max_num_workers: expected at least 1, given 0",
    "--num_workers=60": "--num_workers 60 is more than --max_num_workers 50",
    "--autoscaling_algorithm=NONE": "--flexrs_goal: FlexRS chooses the number of workers; leave out "
    "--autoscaling_algorithm=NONE",
    "--dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1": "--dataflow_service_options "
    "worker_accelerator: GPUs are asked for by step; give --gpu_image",
    "--streaming": "--streaming: each stage is a batch job; leave it out",
    "--template_location=/tmp/job": "--template_location: expected gs://BUCKET/OBJECT, given '/tmp/job'",
    "--max_num_worker=5": "unknown option '--max_num_worker': it is neither ours (see --help) nor Beam's; near it: "
    "--max_num_workers, --num_workers, --direct_num_workers",
}


@pytest.mark.parametrize("flag", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [*DATAFLOW, f"--sdk_container_image={CPU}", f"--gpu_image={GPU}", "--max_num_workers=50"]
    assert main([*RUN, *given, "--flexrs_goal=COST_OPTIMIZED", "--dry-run", flag]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said == f"pairmill: refused: {REFUSED[flag]}"


def test_a_real_launch_is_refused_alike_and_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    work = tmp_path / "never"
    assert main([*RUN, *DATAFLOW, f"--sdk_container_image={CPU}", f"--work={work}"]) == 2
    said = capsys.readouterr().err.strip()
    assert (
        said == f"pairmill: refused: --work: Dataflow's workers need a run folder at gs://BUCKET/PATH, given '{work}'"
    )
    assert not work.exists()


def test_the_documented_command_is_one(capsys: pytest.CaptureFixture[str], project_folder: Path) -> None:
    blocks = (project_folder / "docs/dataflow.md").read_text().split("```")
    command = next(line for line in blocks[1].replace("\\\n", "").splitlines() if line.startswith("pairmill run"))
    assert main([*shlex.split(command)[1:], "--stages=download", "--dry-run=json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["job"]["environment"]["flexResourceSchedulingGoal"] == "FLEXRS_COST_OPTIMIZED"
