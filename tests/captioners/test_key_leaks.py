"""A server that repeats the key in all that it says: nothing of ours says it too."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable

import pytest
from aiohttp import web

from captioners.captioner import Decoding, Request
from captioners.endpoint import Endpoint, EndpointOptions
from captioners.key import KEY_VARIABLE, repeats, without_key
from schemas.reasons import Failed

SECRET = "sk-0123456789abcdef"
ASKED = Request("m", "What is it?", Decoding(max_tokens=9), b"\xff\xd8picture")

Echo = Callable[[str], web.StreamResponse]


def completion(text: str) -> web.StreamResponse:
    return web.json_response({"choices": [{"index": 0, "message": {"content": text}}], "id": "1"})


ECHOES: dict[str, Echo] = {
    "status 400": lambda said: web.Response(status=400, text=said, reason=said[:40], headers={"X-Echo": said}),
    "status 401": lambda said: web.json_response({"error": {"message": f"wrong key: {said}"}}, status=401),
    "status 429": lambda said: web.Response(status=429, text=said, headers={"Retry-After": said}),
    "status 500": lambda said: web.Response(status=500, text=said),
    "a redirect": lambda said: web.Response(status=302, headers={"Location": f"http://127.0.0.1:1/{said}"}),
    "no JSON": lambda said: web.Response(text=f"{{{said}"),
    "other JSON": lambda said: web.json_response({"choices": {said: said}}),
    "a caption": lambda said: completion(f"a ring with {said}"),
    "a name": lambda said: web.json_response({"choices": [{"message": {"content": "a ring"}}], said: said}),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_no_failure_says_the_key(
    echo: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        return ECHOES[echo](request.headers["Authorization"])

    async def run() -> str:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/chat/completions", handler)
        # The server's own log is the server's.
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[attr-defined]
        options = EndpointOptions((url,), "m", timeout=5.0, deadline=10.0, tries=2, first_wait=0.01)
        try:
            async with Endpoint(options) as engine:
                with pytest.raises(Failed) as failure:
                    await engine.answer(ASKED)
                told = "".join(traceback.format_exception(failure.value))
                return told + repr(failure.value.__context__) + repr(failure.value.__cause__) + repr(engine.options)
        finally:
            await runner.cleanup()

    said = asyncio.run(run())
    assert set(seen) == {f"Bearer {SECRET}"}
    assert SECRET not in said + "".join(capfd.readouterr()) + caplog.text


def test_words_that_stand_for_no_key_may_be_said() -> None:
    assert repeats(SECRET, f"a {SECRET}".encode())
    assert not repeats("EMPTY", b"EMPTY shelves")
    assert not repeats("", b"anything")


def test_no_process_of_ours_inherits_the_key() -> None:
    assert without_key({KEY_VARIABLE: SECRET, "PATH": "/bin"}) == {"PATH": "/bin"}
