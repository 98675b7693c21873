"""Captions by HTTP from a real server that misbehaves in every way that servers do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from captioners.captioner import Answer, Decoding, Request
from captioners.chat import BadAnswer, chat_body, read_answer
from captioners.endpoint import Endpoint, EndpointOptions
from captioners.key import KEY_VARIABLE
from schemas.reasons import Failed
from schemas.refusal import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ASKED = Request(model="m", prompt="What is it?", decoding=Decoding(max_tokens=9), image=b"\xff\xd8picture")
SECRET = "sk-never-to-be-seen"


def completion(*texts: str, finish: str = "stop") -> dict[str, Any]:
    choices = [
        {"index": number, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        for number, text in enumerate(texts)
    ]
    return {"choices": choices, "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[attr-defined]
    finally:
        await runner.cleanup()


def options(*urls: str, **changed: Any) -> EndpointOptions:
    given: dict[str, Any] = {"timeout": 0.4, "deadline": 5.0, "tries": 3, "first_wait": 0.02, "longest_wait": 0.05}
    return EndpointOptions(urls=urls, model="m", **{**given, **changed})


def ask(handler: Handler, asked: Request = ASKED, **changed: Any) -> Answer:
    """The answer of an engine over one server."""

    async def run() -> Answer:
        async with serving(handler) as url, Endpoint(options(url, **changed), environment={}) as engine:
            return await engine.answer(asked)

    return asyncio.run(run())


def in_turn(answers: Iterator[Callable[[], web.StreamResponse]]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return next(answers)()

    return handler


def test_the_image_goes_as_data_with_prompt_and_decoding() -> None:
    seen: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(await request.json())
        return web.json_response(completion(" a red ring "))

    asked = Request("m", "Say it.", Decoding(9, 0.2, 0.9, 1, 5, ("\n",)), b"abc", "image/png", "Be brief.")
    assert ask(handler, asked) == Answer(("a red ring",), ("stop",), 7, 3)
    assert seen == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
                        {"type": "text", "text": "Say it."},
                    ],
                },
            ],
            "max_tokens": 9,
            "temperature": 0.2,
            "top_p": 0.9,
            "n": 1,
            "seed": 5,
            "stream": False,
            "stop": ["\n"],
        }
    ]


BODIES: dict[str, Callable[[], web.StreamResponse]] = {
    "malformed JSON": lambda: web.Response(body=b'{"choices": [', content_type="application/json"),
    "not JSON": lambda: web.Response(text="<html>busy</html>"),
    "no choices": lambda: web.json_response({"choices": []}),
    "no message": lambda: web.json_response({"choices": [{"index": 0}]}),
    "status 429": lambda: web.Response(status=429, headers={"Retry-After": "0"}),
    "status 500": lambda: web.Response(status=500),
    "status 503": lambda: web.Response(status=503),
}


@pytest.mark.parametrize("fault", BODIES)
def test_what_may_pass_is_asked_again(fault: str) -> None:
    answers = iter([BODIES[fault], BODIES[fault], lambda: web.json_response(completion("late"))])
    assert ask(in_turn(answers)).texts == ("late",)


@pytest.mark.parametrize("fault", BODIES)
def test_what_does_not_pass_ends_with_a_reason(fault: str) -> None:
    with pytest.raises(Failed, match="3 tries") as failure:
        ask(in_turn(iter([BODIES[fault]] * 3)))
    assert failure.value.reason == "caption_failed"


def test_a_refused_request_is_not_sent_again() -> None:
    answers = iter([lambda: web.Response(status=400, text="image too large")])
    with pytest.raises(Failed) as failure:
        ask(in_turn(answers))
    assert (failure.value.reason, failure.value.message) == ("caption_refused", "the server answered with status 400")


def test_a_server_that_stalls_costs_its_timeout_and_no_more() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    started = time.monotonic()
    with pytest.raises(Failed) as failure:
        ask(handler, timeout=0.2, tries=2)
    assert failure.value.reason == "caption_timeout"
    assert time.monotonic() - started < 10


def test_half_a_body_is_no_answer() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "500", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(json.dumps(completion("half")).encode()[:40])
        assert request.transport is not None
        request.transport.close()
        return response

    with pytest.raises(Failed) as failure:
        ask(handler)
    assert failure.value.reason == "caption_failed"


def test_the_deadline_holds_whatever_a_server_asks_for() -> None:
    answers = iter([lambda: web.Response(status=429, headers={"Retry-After": "3600"})])
    with pytest.raises(Failed) as failure:
        ask(in_turn(answers), deadline=0.5)
    assert (failure.value.reason, failure.value.message) == ("caption_timeout", "no answer in 0.5 s")


def test_another_server_answers_for_one_that_is_down() -> None:
    async def good(request: web.Request) -> web.StreamResponse:
        return web.json_response(completion("here"))

    async def run() -> Answer:
        async with serving(good) as url:
            down = "http://127.0.0.1:1/v1"
            async with Endpoint(options(down, url), environment={}) as engine:
                return await engine.answer(ASKED)

    assert asyncio.run(run()).texts == ("here",)


def test_servers_share_the_requests() -> None:
    served = [0, 0]

    def counting(number: int) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            served[number] += 1
            await asyncio.sleep(0.02)
            return web.json_response(completion("one"))

        return handler

    async def run() -> Sequence[Answer]:
        async with (
            serving(counting(0)) as one,
            serving(counting(1)) as other,
            Endpoint(options(one, other, timeout=5.0), environment={}) as engine,
        ):
            return await asyncio.gather(*(engine.answer(ASKED) for _ in range(10)))

    assert len(asyncio.run(run())) == 10
    assert served == [5, 5]


def test_the_key_is_sent_and_never_said(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401, text=f"wrong key {SECRET}")

    async def run() -> str:
        async with serving(handler) as url, Endpoint(options(url), environment={KEY_VARIABLE: SECRET}) as engine:
            with pytest.raises(Failed) as failure:
                await engine.answer(ASKED)
            return str(failure.value) + repr(engine.options)

    said = asyncio.run(run())
    assert seen == [f"Bearer {SECRET}"]
    assert SECRET not in said + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ((), "captioner endpoint: expected at least one URL, none given"),
        (("ftp://host/v1",), "captioner endpoint: expected an http or https URL; given 'ftp://host/v1'"),
        (
            (f"https://me:{SECRET}@host/v1",),
            "captioner endpoint: 'https://host/v1' holds a password; keys come from PAIRMILL_API_KEY alone",
        ),
    ],
)
def test_wrong_urls_are_refused(urls: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        options(*urls)
    assert str(refusal.value) == message


def test_equal_questions_have_one_digest_and_others_another() -> None:
    assert ASKED.digest == Request("m", "What is it?", Decoding(max_tokens=9), b"\xff\xd8picture").digest
    others = [
        Request("n", "What is it?", Decoding(max_tokens=9), b"\xff\xd8picture"),
        Request("m", "What is that?", Decoding(max_tokens=9), b"\xff\xd8picture"),
        Request("m", "What is it?", Decoding(max_tokens=8), b"\xff\xd8picture"),
        Request("m", "What is it?", Decoding(max_tokens=9), b"\xff\xd8picture."),
        Request("m", "What is it?", Decoding(max_tokens=9), None),
        Request("m", "What is it?", Decoding(max_tokens=9), b"\xff\xd8picture", system=""),
    ]
    assert len({ASKED.digest, *(other.digest for other in others)}) == 7


def test_choices_come_in_the_order_of_their_indices() -> None:
    body = completion("first", "second", finish="length")
    body["choices"].reverse()
    answer = read_answer(json.dumps(body).encode(), n=2)
    assert (answer.texts, answer.finishes) == (("first", "second"), ("length", "length"))
    with pytest.raises(BadAnswer, match="2 choices, 3 were asked for"):
        read_answer(json.dumps(body).encode(), n=3)


def test_a_question_on_texts_alone_is_plain_text() -> None:
    body = json.loads(chat_body(Request("m", "Merge.", Decoding(), None), served_name="served"))
    assert (body["model"], body["messages"]) == ("served", [{"role": "user", "content": "Merge."}])
