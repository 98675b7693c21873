"""The contract of a captioner: requests in, answers out, in any order, each with what it cost.

A request is an image (bytes, or none), a prompt and how to decode; its digest is its identity: equal digests mean
equal questions, so an answer that was stored under it is never asked for again. An engine answers requests, several
at a time; it neither stores nor judges. What it cannot answer is a Failed with a reason of the closed list.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from schemas.keys import fingerprint

FINISHES = ("stop", "length")


@dataclass(frozen=True)
class Decoding:
    """How an answer is drawn. temperature 0: the likeliest token each time, and seed plays no part.

    max_tokens: of an answer. n: answers to one request. stop: texts that end an answer, not part of it.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    n: int = 1
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("max_tokens", 1), ("n", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: expected a whole number of at least {least}; given {value!r}")
        for name, most in (("temperature", 2.0), ("top_p", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
                raise ValueError(f"{name}: expected a number from 0 to {most:g}; given {value!r}")
        if self.top_p == 0:
            raise ValueError("top_p: expected a number above 0; given 0")
        if self.n > 1 and self.temperature == 0:
            raise ValueError(f"n: {self.n} answers at temperature 0 would be one; give a temperature")
        if not all(isinstance(text, str) and text for text in self.stop):
            raise ValueError(f"stop: expected texts; given {list(self.stop)!r}")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "stop": list(self.stop)}


@dataclass(frozen=True)
class Request:
    """One question. image: an encoded picture, of media_type, or None for a question on texts alone.

    model: what answers, as its provenance names it (a folder's digest or a served name).
    """

    model: str
    prompt: str
    decoding: Decoding
    image: bytes | None = None
    media_type: str = "image/jpeg"
    system: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of image bytes, prompts, model and decoding, in hex."""
        stated = {
            "model": self.model,
            "system": self.system,
            "prompt": self.prompt,
            "image": hashlib.sha256(self.image).hexdigest() if self.image is not None else None,
            "decoding": self.decoding.to_json(),
        }
        return fingerprint(stated)


@dataclass(frozen=True)
class Answer:
    """What came of a request: its n texts with how each ended (of FINISHES), and tokens read and written."""

    texts: tuple[str, ...]
    finishes: tuple[str, ...]
    tokens_in: int
    tokens_out: int


class Engine(Protocol):
    """What answers. Entered before the first request and left after the last; `answer` may be awaited many times at
    once, up to `at_once`, and raises schemas.reasons.Failed where it has no answer."""

    @property
    def at_once(self) -> int:
        """How many requests keep the engine busy."""

    async def __aenter__(self) -> Engine: ...

    async def __aexit__(self, *ended: object) -> None: ...

    async def answer(self, request: Request) -> Answer: ...
