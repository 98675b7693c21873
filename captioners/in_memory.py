"""What engines over a model in this process's memory share: the model's thread, and requests gathered into batches.

In: how to load a model that answers batches. Out: an engine (`captioner.py`), to which only `answer` is lacking.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from captioners.batches import Batches
from captioners.captioner import Answer
from schemas.reasons import Failed

Ready = TypeVar("Ready")
Own = TypeVar("Own", bound="InMemory[Any]")


class Answering(Protocol):
    """A loaded model, used by one thread."""

    def answers(self, batch: Sequence[Any]) -> Sequence[Answer | Failed]:
        """One a request, in order."""
        ...


class InMemory(ABC, Generic[Ready]):
    """A model's life, from `async with` to its end. Ready: a request as the model takes it, its picture decoded.

    batch: requests that the model is given at once. alike: as `Batches` has it.
    """

    def __init__(self, *, batch: int, alike: Callable[[Ready], object] = lambda ready: None) -> None:
        self._size = batch
        self._alike = alike
        self._batches: Batches[Ready, Answer | Failed] | None = None
        self._loaded: Answering | None = None

    @abstractmethod
    def load(self) -> Answering:
        """The model. Raises JobFailed."""

    @property
    def at_once(self) -> int:
        return 2 * self._size

    async def __aenter__(self: Own) -> Own:
        self._batches = Batches(self._run, size=self._size, alike=self._alike)
        await self._batches.alone(self._load)
        return self

    async def __aexit__(self, *ended: object) -> None:
        if self._batches is not None:
            self._batches.close()
        self._batches = self._loaded = None

    async def ask(self, ready: Callable[[], Ready]) -> Answer:
        """Has a request answered among others. Raises Failed."""
        assert self._batches is not None, "the engine is entered before it is asked"
        answer = await self._batches.make(ready)
        if isinstance(answer, Failed):
            raise answer
        return answer

    def _load(self) -> None:
        self._loaded = self.load()

    def _run(self, batch: Sequence[Ready]) -> Sequence[Answer | Failed]:
        assert self._loaded is not None
        return self._loaded.answers(batch)
