"""What `pairmill captioners` says."""

from __future__ import annotations

import pytest

from beam_jobs.cli import main
from captioners.catalogue import catalogue, describe
from captioners.engines import ENGINES
from captioners.prompts import shipped_prompts
from schemas.refusal import Refusal


def test_every_engine_and_prompt_has_its_line_with_its_source() -> None:
    lines = catalogue()
    assert "  transformers      in this process: a sample on a CPU, or one GPU" in lines
    assert (
        "  recap_datacomp@1  picture  Recap-DataComp-1B (arXiv:2406.08478) [paper] [repo: UCSC-VLAA/Recap-DataComp-1B]"
        in lines
    )
    assert "  alip@1            picture  ALIP's OFA captions (arXiv:2308.08428) (approximate)" in lines
    assert len(lines) == len(ENGINES) + len(shipped_prompts()) + 3


def test_an_engine_is_shown_with_its_options() -> None:
    lines = describe("vllm")
    assert lines[0] == "engine vllm: a vLLM server of its own, one a worker: GPUs, or a CPU"
    assert "    python         the Python that has vLLM, made by `make vllm` (default: this one)" in lines
    assert "    restarts       how often a server that died is started again (default 3)" in lines
    assert describe("coca")[1] == "  asked without a prompt"
    assert (
        "    device  where the model runs; auto: on a GPU, if there is one (one of auto, cpu, cuda; default auto)"
        in (describe("transformers") + describe("coca"))
    )


def test_a_prompt_is_shown_to_the_letter() -> None:
    assert describe("concept_yes_no@1") == [
        "prompt concept_yes_no@1: without the picture",
        "  source: The Neglected Tails in Vision-Language Models (arXiv:2401.12425)",
        "  its words were read: [repo: analysis/laion/llama/llama_miner.py]",
        "  {name}: a concept",
        "  {caption}: the caption that an earlier captioner of the recipe made",
        "  {definition}: what the concept is",
        "  system:",
        "    Just answer Yes or No.",
        "  text:",
        '    Does the "{name}" in "{caption}", refer to the visual concept: "{name}" - "{definition}"?',
    ]


def test_an_unknown_name_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refusal, match=r"unknown captioner 'judge_clair@9'; known: alip, .*, vllm, zerocap"):
        describe("judge_clair@9")
    assert main(["captioners", "clare"]) == 2
    assert capsys.readouterr().err.startswith("pairmill: refused: unknown captioner 'clare'; known: alip, altogether")


def test_the_command_lists_them_and_its_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captioners"]) == 0
    assert capsys.readouterr().out.splitlines() == catalogue()
    with pytest.raises(SystemExit):
        main(["captioners", "--help"])
    assert "example: pairmill captioners vllm" in capsys.readouterr().out
