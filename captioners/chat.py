"""The OpenAI-compatible chat request and its answer, as bytes: what goes over the wire, and nothing of the wire.

In: a Request and the served model's name. Out: the JSON body; and an Answer from the JSON of a response. An answer
that is no such JSON, or lacks choices, or holds other than was asked for, raises BadAnswer. The image goes as data.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from captioners.captioner import Answer, Request


class BadAnswer(ValueError):
    """A response that is not what the protocol says; the message says what of it."""


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    index: int = 0
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Response(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_read = msgspec.json.Decoder(_Response).decode


def chat_body(request: Request, *, served_name: str) -> bytes:
    """The body of POST /v1/chat/completions."""
    messages: list[dict[str, Any]] = []
    if request.system is not None:
        messages.append({"role": "system", "content": request.system})
    text = {"type": "text", "text": request.prompt}
    if request.image is None:
        messages.append({"role": "user", "content": request.prompt})
    else:
        data = f"data:{request.media_type};base64,{base64.b64encode(request.image).decode('ascii')}"
        messages.append({"role": "user", "content": [{"type": "image_url", "image_url": {"url": data}}, text]})
    decoding = request.decoding
    body: dict[str, Any] = {
        "model": served_name,
        "messages": messages,
        "max_tokens": decoding.max_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "n": decoding.n,
        "seed": decoding.seed,
        "stream": False,
    }
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    return msgspec.json.encode(body)


def read_answer(body: bytes, *, n: int) -> Answer:
    """The answer that a response holds, its choices in the order of their indices. Raises BadAnswer."""
    try:
        response = _read(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"no chat completion: {error}") from error
    choices = sorted(response.choices, key=lambda choice: choice.index)
    if len(choices) != n:
        raise BadAnswer(f"{len(choices)} choices, {n} were asked for")
    usage = response.usage or _Usage()
    return Answer(
        texts=tuple((choice.message.content or "").strip() for choice in choices),
        finishes=tuple("length" if choice.finish_reason == "length" else "stop" for choice in choices),
        tokens_in=usage.prompt_tokens,
        tokens_out=usage.completion_tokens,
    )
