"""A real vLLM server over the shipped model: what it says, what it refuses, and that it may die in the middle.

One server is started for all tests here; the last one kills it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image

from beam_jobs.world.caption_truth import caption_truth, said_groups
from beam_jobs.world.drawing import draw
from beam_jobs.world.scenes import Scene, scene
from captioners.captioner import Answer, Decoding, Request
from captioners.engines import check, engine_version, make_engine, model_id
from captioners.key import KEY_VARIABLE
from captioners.prompts import find_prompt
from captioners.vllm import Vllm
from schemas.reasons import Failed
from schemas.recaption import EngineOptions

Made = TypeVar("Made")
Ask = Callable[[EngineOptions, Sequence[Request]], list[Any]]
VLLM_VARIABLE = "PAIRMILL_VLLM_PYTHON"
SECRET = "sk-not-for-the-server"
SCENES = 60
LEAST_RIGHT = 0.9


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The Python of an environment with vLLM."""
    python = os.environ.get(VLLM_VARIABLE, str(Path(__file__).resolve().parents[2] / ".vllm" / "bin" / "python"))
    if not Path(python).exists():
        pytest.skip(f"vLLM is missing: no {python} (make vllm, or set {VLLM_VARIABLE})")
    return python


@pytest.fixture(scope="session")
def vllm_options(vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> EngineOptions:
    log = tmp_path_factory.mktemp("vllm") / "vllm.log"
    return EngineOptions(
        "vllm",
        "tiny",
        {
            "python": vllm_python,
            "arguments": ["--max-model-len=1024", "--enforce-eager", "--dtype=float32", "--max-num-seqs=16"],
            "start_timeout": 900.0,
            "log": str(log),
        },
    )


class Running:
    """An engine that is entered, in the loop of a thread that lives as long as the tests."""

    def __init__(self, engine: Vllm) -> None:
        self.engine = engine
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def wait(self, doing: Awaitable[Made]) -> Made:
        async def run() -> Made:
            return await doing

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(timeout=900)

    def ask(self, requests: Sequence[Request]) -> list[Any]:
        async def run() -> list[Any]:
            return await asyncio.gather(*map(self.engine.answer, requests), return_exceptions=True)

        return self.wait(run())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="session")
def vllm(vllm_options: EngineOptions) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, SECRET)
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        check(vllm_options)
        engine = make_engine(vllm_options)
        assert isinstance(engine, Vllm)
        running = Running(engine)
        running.wait(engine.__aenter__())
        try:
            yield running
        finally:
            running.wait(engine.__aexit__())
            running.close()


@pytest.fixture(scope="session")
def unseen() -> list[tuple[Scene, bytes]]:
    """Scenes that the model has not learned from, and their pictures as JPEGs."""
    made = []
    for number in range(SCENES):
        shown = scene("caption accuracy", number, split="held_out")
        file = BytesIO()
        Image.fromarray(draw(shown, 160 + number)).save(file, "JPEG", quality=90)
        made.append((shown, file.getvalue()))
    return made


def asked(pictures: Sequence[bytes], prompt: str = "caption_short", **decoding: Any) -> list[Request]:
    words = find_prompt(prompt, {}).fill({})
    return [Request("tiny", words, Decoding(**{"max_tokens": 64, **decoding}), picture) for picture in pictures]


def test_captions_of_unseen_scenes_name_the_right_shapes_colours_and_counts(
    vllm: Running, unseen: list[tuple[Scene, bytes]]
) -> None:
    for prompt, most in (("caption_short", 64), ("recap_datacomp", 128)):
        answers = vllm.ask(asked([picture for _, picture in unseen], prompt, max_tokens=most))
        assert all(isinstance(answer, Answer) and answer.finishes == ("stop",) for answer in answers)
        right = [caption_truth(answer.texts[0], shown) for answer, (shown, _) in zip(answers, unseen, strict=True)]
        told = [(answer.texts[0], shown.description) for answer, (shown, _) in zip(answers, unseen, strict=True)]
        wrong = [each for each, truth in zip(told, right, strict=True) if not truth.groups]
        assert sum(truth.groups for truth in right) >= LEAST_RIGHT * SCENES, wrong


def test_transformers_says_the_same_from_the_same_folder(
    vllm: Running, vllm_options: EngineOptions, unseen: list[tuple[Scene, bytes]], ask_all: Ask
) -> None:
    in_process = EngineOptions("transformers", "tiny", {"device": "cpu"})
    assert model_id(in_process) == model_id(vllm_options)
    requests = asked([picture for _, picture in unseen[:20]])
    others = ask_all(in_process, requests)
    served = vllm.ask(requests)
    assert [answer.tokens_in for answer in served] == [answer.tokens_in for answer in others]
    # Two programs that add in another order may part where two words are equally likely.
    same = [said_groups(one.texts[0]) == said_groups(other.texts[0]) for one, other in zip(served, others, strict=True)]
    assert sum(same) >= 19
    assert [answer.tokens_out for answer in served].count(others[0].tokens_out) > 0


def test_seeds_draw_several_captions_and_the_same_ones_again(vllm: Running, unseen: list[tuple[Scene, bytes]]) -> None:
    requests = asked([unseen[0][1]], temperature=1.5, n=4, seed=7)
    first, again = vllm.ask(requests), vllm.ask(requests)
    assert first == again
    assert len(first[0].texts) == 4
    assert len(set(first[0].texts)) > 1


def test_what_does_not_fit_is_refused_and_what_is_no_picture_fails_alone(
    vllm: Running, unseen: list[tuple[Scene, bytes]]
) -> None:
    long = Request("tiny", "word " * 1500, Decoding(max_tokens=8), unseen[0][1])
    broken = asked([b"\xff\xd8 no picture"])[0]
    refused, failed, good = vllm.ask([long, broken, *asked([unseen[0][1]])])
    assert isinstance(refused, Failed) and str(refused) == "caption_refused: the server answered with status 400"
    assert isinstance(failed, Failed) and failed.reason in ("caption_refused", "caption_failed")
    assert isinstance(good, Answer)


def test_the_server_knows_no_key_and_says_what_it_is(vllm: Running, vllm_options: EngineOptions) -> None:
    pid = vllm.engine.server.pid
    assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert SECRET not in Path(str(vllm_options.options["log"])).read_text()
    name, _, version = engine_version(vllm_options).partition(" ")
    assert name in ("vllm", "vllm-cpu") and version[0].isdigit()


def test_a_server_killed_in_the_middle_loses_no_caption(vllm: Running, unseen: list[tuple[Scene, bytes]]) -> None:
    requests = asked([picture for _, picture in unseen])
    undisturbed = vllm.ask(requests)
    before = vllm.engine.server.pid
    assert before is not None
    answered: list[int] = []

    async def one(number: int) -> Answer:
        answer = await vllm.engine.answer(requests[number])
        answered.append(number)
        if len(answered) == SCENES // 4:
            os.killpg(before, signal.SIGKILL)
        return answer

    async def run() -> list[Answer]:
        bound = asyncio.Semaphore(16)

        async def bounded(number: int) -> Answer:
            async with bound:
                return await one(number)

        return await asyncio.gather(*map(bounded, range(SCENES)))

    answers = vllm.wait(run())
    assert sorted(answered) == list(range(SCENES))
    assert [answer.texts for answer in answers] == [answer.texts for answer in undisturbed]
    assert vllm.engine.server.restarted == 1
    assert vllm.engine.server.pid != before
