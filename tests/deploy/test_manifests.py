"""Manifests against the schemas that others publish: Kubernetes' own, the operators', and the Compose specification."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import jsonschema
import kubernetes_validate
import pytest
import yaml

from beam_jobs.servers.cache import cache_folder, making

KUBERNETES = ("1.30", "1.34")
_SPARK_OPERATOR = "github.com/kubeflow/spark-operator/v2@v2.4.0"
_SPARK_CRD = "config/crd/bases/sparkoperator.k8s.io_sparkapplications.yaml"
_FLINK_OPERATOR = ("org.apache.flink", "flink-kubernetes-operator-api", "1.10.0")
_FLINK_CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def strict(schema: Any) -> Any:
    """An operator's schema as JSON Schema, in which a field that it does not name is wrong."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {
        key: {name: strict(each) for name, each in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
    }
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not open_ended:
        made["additionalProperties"] = False
    return made


def faults(crd: Any, manifest: Any) -> list[str]:
    """What is wrong with an object of an operator's kind."""
    group, _, version = manifest["apiVersion"].partition("/")
    assert (crd["spec"]["group"], crd["spec"]["names"]["kind"]) == (group, manifest["kind"])
    schema = next(one["schema"]["openAPIV3Schema"] for one in crd["spec"]["versions"] if one["name"] == version)
    # What every object has is Kubernetes' own matter.
    body = {"spec": manifest["spec"]}
    wrong = jsonschema.Draft7Validator(strict({**schema, "required": ["spec"]})).iter_errors(body)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in wrong]


@pytest.fixture(scope="session")
def spark_crd() -> Any:
    """Of the Spark operator's release, as its Go module holds it."""
    target = cache_folder() / "spark-operator-crd-2.4.0.yaml"
    if not target.exists():
        if shutil.which("go") is None:
            pytest.skip("Go is missing: the Spark operator's schema comes in its Go module")
        said = subprocess.run(
            ["go", "mod", "download", "-json", _SPARK_OPERATOR], capture_output=True, check=True, cwd="/"
        )
        with making(target) as workshop:
            shutil.copy(Path(json.loads(said.stdout)["Dir"]) / _SPARK_CRD, workshop / target.name)
    return yaml.load(target.read_text(), Loader=yaml.CSafeLoader)


@pytest.fixture(scope="session")
def flink_crd() -> Any:
    """Of the Flink operator's release, as the jar of its API holds it."""
    target = cache_folder() / f"flink-operator-crd-{_FLINK_OPERATOR[2]}.yaml"
    if not target.exists():
        if shutil.which("mvn") is None:
            pytest.skip("Maven is missing: the Flink operator's schema comes in a jar from Maven Central")
        with making(target) as workshop:
            copied = ["mvn", "-q", "dependency:copy", f"-Dartifact={':'.join(_FLINK_OPERATOR)}"]
            subprocess.run([*copied, f"-DoutputDirectory={workshop}"], check=True, cwd=workshop)
            with ZipFile(next(workshop.glob("*.jar"))) as jar:
                (workshop / target.name).write_bytes(jar.read(_FLINK_CRD))
    return yaml.load(target.read_text(), Loader=yaml.CSafeLoader)


def containers(value: Any) -> Iterator[dict[str, Any]]:
    """Every container of a manifest, wherever it stands."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("containers", "initContainers", "sidecars"):
                yield from each
            yield from containers(each)
    elif isinstance(value, list):
        for each in value:
            yield from containers(each)


@pytest.mark.parametrize("version", KUBERNETES)
def test_vllm_is_as_kubernetes_has_it(deploy_folder: Path, version: str) -> None:
    found = documents(deploy_folder / "kubernetes/vllm.yaml")
    assert [one["kind"] for one in found] == ["PersistentVolumeClaim", "Deployment", "Service"]
    for one in found:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_misspelt_field_would_be_seen(deploy_folder: Path) -> None:
    deployment = documents(deploy_folder / "kubernetes/vllm.yaml")[1]
    deployment["spec"]["template"]["spec"]["containers"][0]["startupProbes"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="startupProbes"):
        kubernetes_validate.validate(deployment, KUBERNETES[0], strict=True)


def test_vllm_has_a_gpu_and_is_asked_whether_it_lives(deploy_folder: Path) -> None:
    _, deployment, service = documents(deploy_folder / "kubernetes/vllm.yaml")
    pod = deployment["spec"]["template"]
    server = pod["spec"]["containers"][0]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert server["resources"]["requests"]["nvidia.com/gpu"] == "1"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"] == {"path": "/health", "port": "http"}
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == server["ports"][0]["name"]
    assert f"--port={server['ports'][0]['containerPort']}" in server["args"]


def test_the_spark_application_is_as_its_operator_has_it(spark_crd: Any, deploy_folder: Path) -> None:
    (manifest,) = documents(deploy_folder / "kubernetes/spark.yaml")
    assert not faults(spark_crd, manifest)
    manifest["spec"]["executor"]["sidecar"] = manifest["spec"]["executor"].pop("sidecars")
    manifest["spec"]["mode"] = "clusters"
    assert len(faults(spark_crd, manifest)) == 2


def test_the_flink_deployment_is_as_its_operator_has_it(flink_crd: Any, deploy_folder: Path) -> None:
    (manifest,) = documents(deploy_folder / "kubernetes/flink.yaml")
    assert not faults(flink_crd, manifest)
    manifest["spec"]["job"]["jarUrl"] = manifest["spec"]["job"].pop("jarURI")
    manifest["spec"]["flinkVersion"] = "v1_0"
    assert len(faults(flink_crd, manifest)) == 2


@pytest.mark.parametrize("name", ["spark", "flink"])
def test_python_works_beside_each_worker_from_our_image(deploy_folder: Path, name: str) -> None:
    (manifest,) = documents(deploy_folder / f"kubernetes/{name}.yaml")
    pools = [one for one in containers(manifest) if one.get("args") == ["--worker_pool"]]
    assert [one["image"] for one in pools] == ["pairmill-cpu:0.1.0"]
    # Where `--environment_config localhost:50000` finds it.
    assert pools[0]["ports"][0]["containerPort"] == 50000


def test_the_jar_is_fetched_by_a_program_that_works(deploy_folder: Path, tmp_path: Path) -> None:
    (manifest,) = documents(deploy_folder / "kubernetes/flink.yaml")
    fetch = next(one for one in containers(manifest) if one["name"] == "fetch-jar")
    program = fetch["command"][:3]
    (tmp_path / "stage.jar").write_bytes(b"jar")
    command = [sys.executable, *program[1:], f"file://{tmp_path}/stage.jar", str(tmp_path / "fetched.jar")]
    subprocess.run(command, check=True)
    assert (tmp_path / "fetched.jar").read_bytes() == b"jar"
    assert fetch["command"][4] == manifest["spec"]["job"]["jarURI"].removeprefix("local://")


def check_compose(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_is_as_its_specification_has_it(deploy_folder: Path, tmp_path: Path) -> None:
    done = check_compose(deploy_folder / "compose.yaml")
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((deploy_folder / "compose.yaml").read_text().replace("depends_on:", "depend_on:"))
    assert check_compose(wrong).returncode == 1


def test_the_worker_waits_for_a_vllm_that_it_can_reach(deploy_folder: Path) -> None:
    (found,) = documents(deploy_folder / "compose.yaml")
    vllm, worker = found["services"]["vllm"], found["services"]["worker"]
    assert worker["depends_on"] == {"vllm": {"condition": "service_healthy"}}
    assert "--served-model-name=captioner" in vllm["command"] and "--port=8000" in vllm["command"]
    given = next(word for word in worker["command"] if word.startswith("--captioner="))
    engine = yaml.safe_load(given.partition("=*=")[2])
    assert engine == {"engine": "endpoint", "urls": ["http://vllm:8000/v1"], "model": "captioner"}
    built = (deploy_folder / worker["build"]["context"] / worker["build"]["dockerfile"]).resolve()
    assert built == (deploy_folder / "cpu.Dockerfile").resolve()
