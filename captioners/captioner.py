"""The contract of a captioner: requests in, answers out, in any order, each with what it cost.

A request is an image (bytes, or none), a prompt and how to decode; its digest is its identity: equal digests mean
equal questions, so an answer that was stored under it is never asked for again. An engine answers requests, several
at a time; it neither stores nor judges. What it cannot answer is a Failed with a reason of the closed list.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from schemas.decoding import Decoding
from schemas.keys import fingerprint

__all__ = ["FINISHES", "Answer", "Decoding", "Engine", "EngineDown", "Request"]

FINISHES = ("stop", "length")


@dataclass(frozen=True)
class Request:
    """One question. image: an encoded picture, of media_type, or None for a question on texts alone.

    model: what answers, as its provenance names it (a folder's digest or a served name). image_id: what stands for the
    picture in the digest, so that a stored answer is found without making `image`; by default its SHA-256.
    """

    model: str
    prompt: str
    decoding: Decoding
    image: bytes | None = None
    media_type: str = "image/jpeg"
    system: str | None = None
    image_id: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of picture, prompts, model and decoding, in hex."""
        picture = self.image_id
        if picture is None and self.image is not None:
            picture = hashlib.sha256(self.image).hexdigest()
        stated = {
            "model": self.model,
            "system": self.system,
            "prompt": self.prompt,
            "image": picture,
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


class EngineDown(Exception):
    """No server could be reached in any of the bounded tries: nothing is wrong with the request that found it out."""


class Engine(Protocol):
    """What answers. Entered before the first request and left after the last; `answer` may be awaited many times at
    once, up to `at_once`, and raises schemas.reasons.Failed where it has no answer, EngineDown where none can come."""

    @property
    def at_once(self) -> int:
        """How many requests keep the engine busy."""

    async def __aenter__(self) -> Engine: ...

    async def __aexit__(self, *ended: object) -> None: ...

    async def answer(self, request: Request) -> Answer: ...
