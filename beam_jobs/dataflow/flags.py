"""Dataflow's flags: what `run --help` tells of them, and whether they make sense together, asked at launch.

In: the flags that go to Beam, the run folder, the sources. Out: the same flags with what follows from them filled in,
or a Refusal in one line. Nothing is asked of Google, so a dry run needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from schemas.refusal import Refusal

_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+")
_BUCKET_PATH = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[^\r\n]*)?")
_ACCELERATOR = re.compile(
    r"type:(?P<type>[a-z0-9-]+);count:[1-9][0-9]*(;machine_type:(?P<machine>[a-z0-9-]+))?"
    r"(?P<driver>;install-nvidia-driver(:[a-z0-9.]+)?)?"
)
_RAM = re.compile(r"[1-9][0-9]*(\.[0-9]+)?(MB|GB|MiB|GiB)")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})")
_LOCAL = ("file", "local", "memory")

# Each flag with its metavar and help; the first of them are ours, the others Beam's own.
FLAGS: Mapping[str, tuple[str, str]] = {
    "gpu_image": ("IMAGE", "of stages that run models, which then run on GPUs; none: on CPU workers"),
    "gpu_accelerator": ("HINT", "which GPU (default: one L4 in a g2-standard-8)"),
    "gpu_min_ram": ("SIZE", "memory of a GPU worker, as 24GB"),
    "gpu_shards_at_once": ("N", "shards that a GPU worker scores at once (default: 2)"),
    "project": ("ID", "of Google Cloud"),
    "region": ("REGION", "as europe-west4 (default: $CLOUDSDK_COMPUTE_REGION)"),
    "sdk_container_image": ("IMAGE", "of CPU workers, as deploy/cpu.Dockerfile builds it"),
    "setup_file": ("FILE", "setup.py, for CPU workers without an image of their own"),
    "max_num_workers": ("N", "the most that autoscaling may start"),
    "machine_type": ("TYPE", "of CPU workers"),
    "flexrs_goal": ("COST_OPTIMIZED", "cheaper preemptible CPU workers, which start within six hours"),
    "temp_location": ("URL", "for files of the service (default: below --work)"),
    "template_location": ("URL", "write the next stage's job there instead of running it"),
}


def add_dataflow_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that `run` tells of; whatever is given is handed on to Beam. And --dry-run, for any runner."""
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="text",
        choices=["text", "json"],
        help="build each stage's pipeline, show its steps and its Dataflow job, and stop; needs no network",
    )
    group = parser.add_argument_group("on Dataflow (--runner DataflowRunner; see docs/dataflow.md)")
    for name, (metavar, purpose) in FLAGS.items():
        group.add_argument(f"--{name}", metavar=metavar, help=purpose)


def forwarded(arguments: argparse.Namespace) -> list[str]:
    """Those of them that were given, as Beam takes them."""
    given = {name: getattr(arguments, name, None) for name in FLAGS}
    return [f"--{name}={value}" for name, value in given.items() if value is not None]


def check_installed() -> None:
    """Raises a Refusal unless Beam's Google Cloud parts are there."""
    try:
        found = find_spec("google.cloud.dataflow") is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise Refusal("--runner DataflowRunner: Beam's Google Cloud parts are missing; install pairmill[gcp]")


def complete_flags(given: Mapping[str, Any], *, work: str, sources: Sequence[str]) -> list[str]:
    """Flags to add to those of a launch on Dataflow. given: Beam's options by name. sources: as KIND:URL."""
    _check_project(given)
    _check_places(given, work, sources)
    _check_workers(given)
    _check_gpus(given)
    added: dict[str, str | None] = {
        "region": _region(given),
        "temp_location": given["temp_location"] or f"{work.rstrip('/')}/dataflow/temp",
        "staging_location": given["staging_location"] or f"{work.rstrip('/')}/dataflow/staging",
        "job_name": given["job_name"] or default_job_name(work),
        # An image holds its Beam already, and so does Beam's own.
        "sdk_location": "container" if given["sdk_location"] == "default" else given["sdk_location"],
    }
    if given["setup_file"]:
        added["setup_file"] = os.path.abspath(given["setup_file"])
    return [f"--{name}={value}" for name, value in added.items()]


def default_job_name(work: str) -> str:
    """The same for each launch over a run folder: Dataflow refuses a second job of a name while the first runs."""
    return f"pairmill-{hashlib.sha256(work.rstrip('/').encode()).hexdigest()[:8]}"


def _check_project(given: Mapping[str, Any]) -> None:
    project, region = given["project"], _region(given)
    if not project:
        raise Refusal("--runner DataflowRunner: expected --project ID, none given")
    if not _PROJECT.fullmatch(project):
        raise Refusal(f"--project: expected a project's ID (6 to 30 of a-z, 0-9 and -), given {project!r}")
    if not region:
        raise Refusal("--runner DataflowRunner: expected --region, as europe-west4, none given")
    if not _REGION.fullmatch(region):
        hint = "; a zone is --worker_zone" if _REGION.fullmatch(region[:-2]) else ""
        raise Refusal(f"--region: expected a region, as europe-west4, given {region!r}{hint}")
    if given["streaming"]:
        raise Refusal("--streaming: each stage is a batch job; leave it out")


def _region(given: Mapping[str, Any]) -> str | None:
    return given["region"] or os.environ.get("CLOUDSDK_COMPUTE_REGION") or None


def _check_places(given: Mapping[str, Any], work: str, sources: Sequence[str]) -> None:
    """Workers reach object stores and the web, and no disk of the machine that launches."""
    if not _BUCKET_PATH.fullmatch(work):
        raise Refusal(f"--work: Dataflow's workers need a run folder at gs://BUCKET/PATH, given {work!r}")
    for name in ("temp_location", "staging_location"):
        if given[name] and not _BUCKET_PATH.fullmatch(given[name]):
            raise Refusal(f"--{name}: expected gs://BUCKET/PATH, given {given[name]!r}")
    for source in sources:
        _, _, url = source.partition(":")
        protocol = url.partition("://")[0] if "://" in url else "file"
        if protocol in _LOCAL:
            raise Refusal(f"--source {source}: Dataflow's workers cannot read this machine's disk; put it at gs://")


def _check_workers(given: Mapping[str, Any]) -> None:
    if not given["sdk_container_image"] and not given["setup_file"]:
        raise Refusal(
            "--runner DataflowRunner: workers need this package; expected --sdk_container_image IMAGE "
            "(deploy/cpu.Dockerfile) or --setup_file ./setup.py, neither given"
        )
    for name in ("sdk_container_image", "gpu_image"):
        if given[name] and not _IMAGE.fullmatch(given[name]):
            raise Refusal(f"--{name}: expected REGISTRY/IMAGE:TAG, given {given[name]!r}")
    setup = given["setup_file"]
    if setup and (os.path.basename(setup) != "setup.py" or not os.path.isfile(setup)):
        raise Refusal(f"--setup_file: expected the path of a file setup.py, given {setup!r}")
    most, first = given["max_num_workers"], given["num_workers"]
    if most is not None and most < 1:
        raise Refusal(f"--max_num_workers: expected at least 1, given {most}")
    if most and first and first > most:
        raise Refusal(f"--num_workers {first} is more than --max_num_workers {most}")
    if given["flexrs_goal"] and given["autoscaling_algorithm"] == "NONE":
        raise Refusal("--flexrs_goal: FlexRS chooses the number of workers; leave out --autoscaling_algorithm=NONE")
    if given["template_location"] and not _BUCKET_PATH.fullmatch(given["template_location"]):
        raise Refusal(f"--template_location: expected gs://BUCKET/OBJECT, given {given['template_location']!r}")


def _check_gpus(given: Mapping[str, Any]) -> None:
    hint = given["gpu_accelerator"]
    found = _ACCELERATOR.fullmatch(hint)
    if found is None:
        raise Refusal(
            "--gpu_accelerator: expected type:TYPE;count:N[;machine_type:TYPE];install-nvidia-driver[:VERSION], "
            f"given {hint!r}"
        )
    if found["type"].startswith("nvidia-") and not found["driver"]:
        raise Refusal(f"--gpu_accelerator: without ;install-nvidia-driver no program sees the GPU; given {hint!r}")
    if found["type"] == "nvidia-l4" and not (found["machine"] or "g2-").startswith("g2-"):
        raise Refusal(f"--gpu_accelerator: an L4 is had with machines g2-* alone, given {found['machine']!r}")
    if not _RAM.fullmatch(given["gpu_min_ram"]):
        raise Refusal(f"--gpu_min_ram: expected a size, as 24GB, given {given['gpu_min_ram']!r}")
    if given["gpu_shards_at_once"] < 1:
        raise Refusal(f"--gpu_shards_at_once: expected at least 1, given {given['gpu_shards_at_once']}")
    services = given["dataflow_service_options"] or []
    if any(option.startswith("worker_accelerator") for option in services):
        raise Refusal("--dataflow_service_options worker_accelerator: GPUs are asked for by step; give --gpu_image")
