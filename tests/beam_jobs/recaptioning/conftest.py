"""A server that speaks the OpenAI chat protocol, says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from beam_jobs.cli import main
from beam_jobs.recipes import recipe_text

RunArguments = Callable[[Path], list[str]]
Answering = Callable[[dict[str, Any], int], web.StreamResponse]

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("circle", "square", "triangle", "star", "ring")

RECAPTION = """
recaption:
  captioners:
    - label: short
      engine: endpoint
      model: served
      prompt: caption_short
      decoding: {max_tokens: 32}
      accept: [{drop: caption_is_refusal, reason: refusal}, {keep: caption_words >= 3, reason: too_few_words}]
    - label: fused
      engine: endpoint
      model: served
      prompt: fuse
      accept: [{keep: caption_similarity > -1, reason: far_from_picture}]
  similarity: clip
  prompts:
    fuse: {version: 3, text: "Merge {alt} with {caption}", image: false, source: a test}
  texts:
    - {as: recap, p_original: 0.5, other: fused}
    - {as: parts, of: [short, fused], steps: [split, unique]}
  columns:
    - {weight: exp(short_similarity - mean), as: short_weight, means: {mean: short_similarity}}
"""


def completion(*texts: str, finish: str = "stop") -> dict[str, Any]:
    choices = [
        {"index": number, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        for number, text in enumerate(texts)
    ]
    return {"choices": choices, "usage": {"prompt_tokens": 11, "completion_tokens": 5}}


def asked_of(body: dict[str, Any]) -> str:
    """The words of a request."""
    content = body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def described(body: dict[str, Any]) -> str:
    """A caption that depends on all that was asked, as a model's does."""
    digest = hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).digest()
    colour, shape = COLOURS[digest[0] % len(COLOURS)], SHAPES[digest[1] % len(SHAPES)]
    return f"a {colour} {shape} number {digest.hex()[:8]}. It stands alone."


class Server:
    """Answers in a thread of its own until it is stopped. `answer` may be replaced at any time."""

    completion = staticmethod(completion)
    described = staticmethod(described)

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.answer: Answering = lambda body, number: web.json_response(completion(described(body)))
        self.most_at_once = 0
        self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self) -> Server:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def stop(self) -> None:
        """No connection is taken any more, and those that are open end."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def captioner(self) -> str:
        """The flag that sends all captioners to it."""
        waits = "timeout: 5, deadline: 20, tries: 3, first_wait: 0.02, longest_wait: 0.05"
        return f"--captioner=*={{engine: endpoint, model: served, urls: ['{self.url}'], at_once: 4, {waits}}}"

    def dies_after(self, answers: int) -> None:
        """Takes no connection any more once it has given so many answers."""

        def answer(body: dict[str, Any], number: int) -> web.StreamResponse:
            if number > answers:
                self._loop.create_task(self._stop())
                return web.Response(status=503)
            return web.json_response(completion(described(body)))

        self.answer = answer

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/chat/completions", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0.001)
        self._at_once -= 1
        response = self.answer(body, len(self.bodies) + 1)
        self.bodies.append(body)
        if response.status == 200:
            self.asked[hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()] += 1
        return response


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server().start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def recap_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of `small_shards` with captioners."""
    text, _ = recipe_text("base")
    text = text.replace("rows_per_shard: 1000", "rows_per_shard: 20").replace("name: base", "name: recap")
    text = text.replace("samples_per_shard: 10000", "samples_per_shard: 12\n  caption: recap")
    path = tmp_path_factory.mktemp("recipe") / "recap.yaml"
    path.write_text(text + RECAPTION)
    return path


Recaption = Callable[..., int]


@pytest.fixture
def recaption(recap_recipe: Path, server: Server) -> Recaption:
    """Runs stages of the recipe over a work folder that was scored before."""

    def run(work: Path, *flags: str, recipe: Path = recap_recipe, stages: str = "recaption:write") -> int:
        return main(["run", f"--recipe={recipe}", f"--work={work}", f"--stages={stages}", server.captioner, *flags])

    return run


@pytest.fixture(scope="session")
def selected_once(undisturbed: Path, recap_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that another recipe has taken through all stages, and this one as far as its selection."""
    work = shutil.copytree(undisturbed, tmp_path_factory.mktemp("selected") / "work")
    engine = "--captioner=*={engine: endpoint, model: served, urls: ['http://127.0.0.1:1/v1']}"
    assert main(["run", f"--recipe={recap_recipe}", f"--work={work}", "--stages=select", engine]) == 0
    return Path(work)


@pytest.fixture
def selected(selected_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(selected_once, tmp_path / "work"))
