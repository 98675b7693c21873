"""The flex template: metadata as Dataflow's API has it, and parameters that a launch takes."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.cloud import dataflow
from google.protobuf import json_format

IMAGE = "europe-docker.pkg.dev/our-project/mill/cpu:1"
# A value of each parameter that fits, and some that do not.
FITS: dict[str, list[str]] = {
    "recipe": ["base", "laion400m"],
    "work": ["gs://mill-run/first", "gs://mill-run"],
    "source": ["table:gs://mill-in/pairs/*.parquet", "warc:https://pages.test/crawl.warc.gz"],
    "stages": ["", "score", "download:score", "download:"],
    "contact": ["", "https://our-project.test/bot", "mill@our-project.test"],
    "sdk_container_image": [IMAGE, f"{IMAGE.removesuffix(':1')}@sha256:{'0f' * 32}"],
    "gpu_image": ["", IMAGE],
    "gpu_accelerator": [
        "type:nvidia-l4;count:1;install-nvidia-driver",
        "type:nvidia-tesla-t4;count:2;install-nvidia-driver:5xx",
    ],
    "gpu_min_ram": ["24GB", "1.5GiB"],
}
FITS_NOT: dict[str, list[str]] = {
    "recipe": ["", "../mine.yaml", "a b"],
    "work": ["/out", "s3://mill/run", "gs://M/run", ""],
    "source": ["pairs.parquet", "table:pairs.parquet", "pdf:gs://mill-in/x"],
    "stages": ["download-score", "a:b:c"],
    "contact": ["two words"],
    "sdk_container_image": ["", "cpu", "cpu:"],
    "gpu_image": ["gpu"],
    "gpu_accelerator": ["l4", "type:nvidia-l4;count:0;install-nvidia-driver", "type:nvidia-l4;count:1"],
    "gpu_min_ram": ["24", "lots"],
}


@pytest.fixture(scope="module")
def metadata(deploy_folder: Path) -> dict[str, Any]:
    return json.loads((deploy_folder / "dataflow/template_metadata.json").read_text())


@pytest.fixture(scope="module")
def launcher(deploy_folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_template", deploy_folder / "dataflow/launch.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_metadata_are_what_the_api_takes(metadata: dict[str, Any]) -> None:
    message = dataflow.TemplateMetadata.pb(dataflow.TemplateMetadata())
    json_format.ParseDict(metadata, message, ignore_unknown_fields=False)
    assert [one.name for one in message.parameters] == [one["name"] for one in metadata["parameters"]]
    assert all(one.label and one.help_text and one.regexes for one in message.parameters)
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict({**metadata, "parametres": []}, message, ignore_unknown_fields=False)


def test_every_parameter_is_known_here(metadata: dict[str, Any]) -> None:
    assert [one["name"] for one in metadata["parameters"]] == list(FITS) == list(FITS_NOT)
    required = [one["name"] for one in metadata["parameters"] if not one["isOptional"]]
    assert required == ["recipe", "work", "sdk_container_image"]


def test_patterns_take_what_fits_and_nothing_else(metadata: dict[str, Any]) -> None:
    for one in metadata["parameters"]:
        (pattern,) = one["regexes"]
        for value in [*FITS[one["name"]], *([one["defaultValue"]] if "defaultValue" in one else [])]:
            assert re.fullmatch(pattern, value), (one["name"], value)
        for value in FITS_NOT[one["name"]]:
            assert not re.fullmatch(pattern, value), (one["name"], value)


@pytest.mark.parametrize("number", [0, 1])
def test_a_launch_takes_every_parameter(
    metadata: dict[str, Any], launcher: ModuleType, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside what the launcher gives of its own."""
    own = [
        *("--runner=DataflowRunner", "--project=our-project", "--region=europe-west4", "--job_name=mill-1"),
        *("--template_location=gs://mill-run/staging/template_launches/1/job_object", "--max_num_workers=20"),
        *("--staging_location=gs://mill-run/staging", "--temp_location=gs://mill-run/tmp", "--dry-run=json"),
    ]
    given = [f"--{name}={values[number]}" for name, values in FITS.items() if name not in ("recipe", "stages")]
    assert launcher.launch([*own, *given, "--recipe=base", "--stages=score"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["job"]["name"] == "mill-1"
    hints = {step["accelerator"] for step in found["steps"] if "accelerator" in step}
    assert hints == (set() if number == 0 else {FITS["gpu_accelerator"][number]})


def test_a_launch_without_what_is_required_is_refused(launcher: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert launcher.launch(["--recipe=base", "--work="]) == 2
    assert "--work" in capsys.readouterr().err
