"""Engines from options: each wrong one refused in one line that says what was expected, given, and what exists."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from captioners.engines import ENGINES, check, engine_version, make_engine, model_id
from schemas.recaption import EngineOptions
from schemas.refusal import Refusal

URL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("engine", "model", "options", "message"),
    [
        ("vlm", "m", {}, "captioner: unknown engine 'vlm'; known: coca, endpoint, transformers, vllm"),
        (
            "transformers", "m", {"devise": "cpu"},
            "captioner transformers: unknown option 'devise'; known: batch, device, dtype",
        ),
        (
            "transformers", "m", {"device": "gpu"},
            "captioner transformers: device: expected one of auto, cpu, cuda; given 'gpu'",
        ),
        (
            "transformers", "m", {"batch": 0},
            "captioner transformers: batch: expected a whole number of at least 1; given 0",
        ),
        (
            "transformers", "m", {"batch": True},
            "captioner transformers: batch: expected a whole number of at least 1; given True",
        ),
        (
            "transformers", "/nowhere", {},
            "captioner transformers: there is no model folder '/nowhere'; "
            "a model is 'tiny', a folder, or 'hf-hub:OWNER/NAME'",
        ),
        ("vllm", "hf-hub:name", {}, "captioner vllm: expected 'hf-hub:OWNER/NAME'; given 'hf-hub:name'"),
        ("vllm", "m", {"arguments": [1]}, "captioner vllm: arguments: expected a list of texts; given [1]"),
        ("endpoint", "m", {}, "captioner endpoint: expected at least one URL, none given"),
        ("endpoint", "m", {"urls": ["h/v1"]}, "captioner endpoint: expected an http or https URL; given 'h/v1'"),
        (
            "endpoint", "m", {"urls": URL, "deadline": "soon"},
            "captioner endpoint: deadline: expected a number of at least 0.001; given 'soon'",
        ),
        (
            "coca", "coca_ViT-X/laion", {},
            "captioner coca: unknown model 'coca_ViT-X'; "
            "known: coca_ViT-B-32, coca_ViT-L-14, coca_base, local-dir:FOLDER",
        ),
        (
            "coca", "coca_ViT-B-32/laion", {},
            "captioner coca: coca_ViT-B-32: unknown weights 'laion'; "
            "known: laion2b_s13b_b90k, mscoco_finetuned_laion2b_s13b_b90k",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_one_line(engine: str, model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        check(EngineOptions(engine, model, options))
    assert str(refusal.value) == message


def test_vllm_wants_a_python_that_has_it(random_llava: Path) -> None:
    with pytest.raises(Refusal, match="there is no program '/nowhere/python'; name a Python that has vLLM"):
        check(EngineOptions("vllm", str(random_llava), {"python": "/nowhere/python"}))
    with pytest.raises(Refusal, match=r"has no vLLM; make an environment with deploy/make_vllm.sh"):
        check(EngineOptions("vllm", str(random_llava), {"python": sys.executable}))


def without(folder: Path, into: Path, name: str) -> str:
    shutil.copytree(folder, into, ignore=shutil.ignore_patterns(name))
    return str(into)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "captioner transformers: the model folder {!r} lacks config.json; a model is 'tiny', a folder"),
        ("*.safetensors", "captioner transformers: the model folder {!r} has no weights in safetensors"),
        ("chat_template.jinja", "captioner transformers: the model folder {!r} has no chat template"),
    ],
)
def test_a_model_folder_holds_all_that_is_needed(random_llava: Path, tmp_path: Path, name: str, message: str) -> None:
    folder = without(random_llava, tmp_path / "model", name)
    with pytest.raises(Refusal) as refusal:
        check(EngineOptions("transformers", folder))
    assert str(refusal.value).startswith(message.format(folder))


def test_a_coca_folder_holds_all_that_is_needed(random_coca: Path, tmp_path: Path) -> None:
    check(EngineOptions("coca", f"local-dir:{random_coca}"))
    with pytest.raises(Refusal, match=r"lacks open_clip_config.json"):
        check(EngineOptions("coca", f"local-dir:{tmp_path}"))
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 8}}))
    with pytest.raises(Refusal, match="is no CoCa: it lacks multimodal_cfg"):
        check(EngineOptions("coca", str(tmp_path)))


def test_a_folder_is_known_by_its_files_wherever_it_lies(random_llava: Path, tmp_path: Path) -> None:
    options = EngineOptions("transformers", str(random_llava))
    check(options)
    name, _, digits = model_id(options).partition("@")
    assert name == random_llava.name and len(digits) == 12
    copy = tmp_path / random_llava.name
    shutil.copytree(random_llava, copy)
    (copy / "README.md").write_text("no part of the model")
    assert model_id(EngineOptions("vllm", str(copy))) == model_id(options)
    (copy / "chat_template.jinja").write_text("{{ other }}")
    assert model_id(EngineOptions("transformers", str(copy))) != model_id(options)


def test_names_of_others_stand_for_their_models() -> None:
    assert model_id(EngineOptions("endpoint", "llava-7b", {"urls": [URL]})) == "llava-7b"
    assert model_id(EngineOptions("vllm", "hf-hub:llava-hf/llava-1.5-7b-hf")) == "llava-hf/llava-1.5-7b-hf"
    assert model_id(EngineOptions("coca", "coca_ViT-L-14/laion2b_s13b_b90k")) == "coca_ViT-L-14/laion2b_s13b_b90k"


def test_an_engine_is_made_without_starting_anything(random_llava: Path) -> None:
    at_once = {
        "transformers": make_engine(EngineOptions("transformers", "/nowhere", {"batch": 5})).at_once,
        "vllm": make_engine(EngineOptions("vllm", "/nowhere", {"at_once": 7})).at_once,
        "endpoint": make_engine(EngineOptions("endpoint", "m", {"urls": [URL], "at_once": 9})).at_once,
        "coca": make_engine(EngineOptions("coca", "local-dir:/nowhere")).at_once,
    }
    assert at_once == {"transformers": 10, "vllm": 7, "endpoint": 9, "coca": 16}
    assert set(at_once) == set(ENGINES)


def test_what_answers_says_its_version() -> None:
    assert engine_version(EngineOptions("endpoint", "m", {"urls": [URL]})) == "endpoint"
    assert engine_version(EngineOptions("transformers", "tiny")).startswith("transformers 5.")
    assert engine_version(EngineOptions("coca", "coca_ViT-B-32/laion2b_s13b_b90k")).startswith("open_clip_torch 3.")


@pytest.mark.parametrize("argument", ["--trust-remote-code", "--load-format=pt", "--host", "--api_key=x"])
def test_the_server_of_ours_is_told_nothing_that_opens_it(random_llava: Path, argument: str) -> None:
    from captioners.vllm_server import VllmOptions

    with pytest.raises(Refusal, match="is not for `arguments`"):
        VllmOptions(model=str(random_llava), arguments=("--max-model-len=64", argument)).check_arguments()
