"""How a captioner draws its answers: what a recipe says under `decoding`.

In: numbers and texts. Out: a checked, frozen Decoding; ValueError says what does not fit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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
