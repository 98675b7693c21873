"""A real vLLM server over the shipped model: what it says, what it refuses, and that it may die in the middle.

One server is started for all tests here; the last one kills it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pytest
from PIL import Image

from beam_jobs.accounting import Tally
from beam_jobs.recaptioning.launching import named_models, plan_captioning
from beam_jobs.stages import recaption
from beam_jobs.storage.files import atomic_write
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from beam_jobs.world.caption_truth import caption_truth, said_groups
from beam_jobs.world.drawing import draw
from beam_jobs.world.scenes import Scene, scene
from captioners.captioner import Answer, Decoding, Request
from captioners.engines import check, engine_version, make_engine, model_id
from captioners.key import KEY_VARIABLE
from captioners.prompts import find_prompt
from captioners.vllm import Vllm
from schemas.keys import sample_key, uid, uid_order
from schemas.reasons import Failed
from schemas.recaption import EngineOptions
from schemas.recipe import Recipe, parse_recipe
from schemas.tables import IMAGES, PLANNED, SELECTED, conform

Made = TypeVar("Made")
Ask = Callable[[EngineOptions, Sequence[Request]], list[Any]]
VLLM_VARIABLE = "PAIRMILL_VLLM_PYTHON"
SECRET = "sk-not-for-the-server"
SCENES = 150
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
    requests = asked([unseen[0][1]], temperature=2.0, n=4, seed=7)
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


RECIPE = """
name: killed
summary: captions of a shard whose server dies
cites: a test
recaption:
  captioners:
    - {label: short, prompt: caption_short, decoding: {max_tokens: 64}}
"""


def write_shard(folder: RunFolder, recipe: Recipe, pictures: Sequence[bytes]) -> None:
    """A shard as download and select leave it, all rows kept."""
    texts = [f"picture {number}" for number in range(len(pictures))]
    urls = [f"http://pictures.test/{number}.jpg" for number in range(len(pictures))]
    keys = [sample_key(0, number, rows_per_shard=1000) for number in range(len(pictures))]
    uids = sorted((uid(text, url) for text, url in zip(texts, urls, strict=True)), key=uid_order)
    rows = {"uid": uids, "url": urls}
    write_table(folder.planned(0), conform(pa.table({**rows, "text": texts}), PLANNED))
    write_table(folder.image_table(0), conform(pa.table({**rows, "caption": texts, "key": keys}), IMAGES))
    kept = pa.table({"uid": uids, "keep": [True] * len(uids)})
    write_table(folder.selected(recipe.name, 0), conform(kept, SELECTED))
    with atomic_write(folder.image_tar(0)) as file:
        tar = TarShardWriter(file)
        for key, picture in zip(keys, pictures, strict=True):
            tar.add(f"{key}.jpg", picture)
        tar.close()


class Asked:
    """The engine as a shard asks it; kills its server once so many answers have come."""

    def __init__(self, running: Running, *, kill_after: int | None) -> None:
        self._running = running
        self._kill_after = kill_after
        self.most_waiting = 16
        self.digests: list[str] = []
        self.answered = 0

    def ask(self, request: Request) -> Future[Answer]:
        self.digests.append(request.digest)
        future = asyncio.run_coroutine_threadsafe(self._running.engine.answer(request), self._running.loop)
        future.add_done_callback(self._count)
        return future

    def _count(self, future: Future[Answer]) -> None:
        self.answered += 1
        pid = self._running.engine.server.pid
        if self.answered == self._kill_after and pid is not None:
            os.killpg(pid, signal.SIGKILL)


def test_a_server_killed_in_the_middle_of_a_shard_loses_no_caption_and_repeats_none(
    vllm: Running, unseen: list[tuple[Scene, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = parse_recipe(RECIPE, "killed.yaml")
    captioning = named_models(plan_captioning(recipe, [], PLANNED))
    folder = RunFolder(str(tmp_path / "work"))
    write_shard(folder, recipe, [picture for _, picture in unseen])
    sidecar = folder.captions(recipe.name, "short", 0)

    def run(answers: str, kill_after: int | None) -> tuple[Asked, Tally, pa.Table]:
        engine = Asked(vllm, kill_after=kill_after)
        monkeypatch.setattr(recaption, "held_engine", lambda options, make: engine)
        task = recaption.RecaptionTask(folder.work, recipe, 0, ("short",), captioning, str(tmp_path / answers))
        (tally,) = recaption.recaption_shard(task).values()
        return engine, tally, read_table(sidecar)

    before = vllm.engine.server.pid
    _, _, undisturbed = run("undisturbed", None)
    engine, tally, disturbed = run("disturbed", SCENES // 4)
    assert vllm.engine.server.restarted == 1
    assert vllm.engine.server.pid != before
    assert disturbed["short"].null_count == 0
    # Other batches add in another order: where two words are equally likely, they may part.
    pairs = zip(disturbed["short"].to_pylist(), undisturbed["short"].to_pylist(), strict=True)
    assert sum(one == other for one, other in pairs) >= SCENES - 2
    assert len(engine.digests) == len(set(engine.digests)) == SCENES
    assert (tally.numbers["asked"], tally.numbers["found"]) == (SCENES, 0)
    again, tally, found = run("disturbed", None)
    assert again.digests == []
    assert (tally.numbers["asked"], tally.numbers["found"]) == (0, SCENES)
    assert found == disturbed
