"""Asking the captioners of one level about the kept rows of a shard.

In: the rows, in order, with their pictures as the tar is read; plans; the answers that are known; engines. Out: what
each captioner said of each row, or why it said nothing. Pictures are read and made smaller in threads ahead of the
engines, and only for questions that no stored answer is found for; a bounded number is in flight. An engine that is
down, or fails again and again without a break, ends the job: no row is lost for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from beam_jobs.cores import usable_cores
from beam_jobs.recaptioning.answers import Answers
from beam_jobs.recaptioning.held import Held
from beam_jobs.recaptioning.pictures import picture_for, picture_id
from beam_jobs.recaptioning.plans import Plan
from captioners.captioner import Answer, EngineDown, Request
from filters.ahead import map_ahead
from schemas.reasons import Failed
from schemas.refusal import JobFailed

# So many failures of one captioner without an answer between them are its engine's, not the rows'.
GIVE_UP_AFTER = 100
_TRY_AGAIN = "the answers so far are stored: the same command goes on where this one stopped"


@dataclass(frozen=True)
class Row:
    """A kept row of a shard. place: in the order of uids."""

    number: int
    place: int
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """What a captioner said of a row: an answer, or the failure in its stead. prompt: as it was filled."""

    prompt: str
    digest: str | None
    answer: Answer | None = None
    failed: Failed | None = None


@dataclass(frozen=True)
class _Question:
    label: str
    row: Row
    prompt: str
    digest: str | None = None
    request: Request | None = None
    failed: Failed | None = None


Captions = Callable[[Row], Mapping[str, Sequence[str]]]


class Asker:
    """Asks about one shard; counts what it asked and what it found."""

    def __init__(self, answers: Answers, engine: Callable[[Plan], Held]) -> None:
        self._answers = answers
        self._engine = engine
        self.asked: Counter[str] = Counter()
        self.found: Counter[str] = Counter()

    def ask(
        self, level: Sequence[Plan], rows: Iterable[tuple[Row, bytes | None]], captions: Captions
    ) -> dict[str, dict[int, Said]]:
        """By label and row number. captions: of a row, the accepted ones of earlier captioners, the chosen first."""
        plans = {plan.label: plan for plan in level}
        asking = _Level(plans, self._answers, self._engine)

        def prepare(item: tuple[Row, bytes | None]) -> list[_Question]:
            row, picture = item
            return [self._question(plan, row, picture, captions(row)) for plan in level]

        threads = usable_cores()
        try:
            with closing(map_ahead(prepare, rows, threads=threads, ahead=4 * threads)) as prepared:
                for question in _flat(prepared):
                    asking.put(question)
            asking.finish()
        finally:
            asking.stop()
            self._answers.flush()
        self.asked += asking.asked
        self.found += asking.found
        return asking.said

    def _question(
        self, plan: Plan, row: Row, picture: bytes | None, captions: Mapping[str, Sequence[str]]
    ) -> _Question:
        prompt = plan.fill(row.columns, captions)
        if prompt is None:
            lacking = ", ".join(label for label in plan.needs if not captions[label])
            return _Question(plan.label, row, "", failed=Failed("caption_without_input", f"no caption of {lacking}"))
        side = plan.captioner.image_side
        if plan.sees and picture is None:
            raise ValueError(f"row {row.number} has no picture")
        request = plan.request(prompt, image_id=picture_id(picture, side) if plan.sees and picture else None)
        digest = request.digest
        if digest in self._answers.by_digest:
            return _Question(plan.label, row, prompt, digest)
        if plan.sees and picture is not None:
            try:
                image, media_type = picture_for(picture, side)
            except Failed as failed:
                return _Question(plan.label, row, prompt, digest, failed=failed)
            request = replace(request, image=image, media_type=media_type)
        return _Question(plan.label, row, prompt, digest, request)


class _Level:
    """The questions in flight, and what came of those that are not any more."""

    def __init__(self, plans: Mapping[str, Plan], answers: Answers, engine: Callable[[Plan], Held]) -> None:
        self.said: dict[str, dict[int, Said]] = {label: {} for label in plans}
        self.asked: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self._plans = plans
        self._answers = answers
        self._engine = engine
        self._ended: SimpleQueue[tuple[str, str, Future[Answer]]] = SimpleQueue()
        self._futures: dict[str, Future[Answer]] = {}
        self._waiting: dict[str, list[_Question]] = {}
        self._in_flight: Counter[str] = Counter()
        self._failed_running: Counter[str] = Counter()

    def put(self, question: _Question) -> None:
        """Takes a question on; waits while as many are in flight as its engine can use."""
        self._drain()
        digest = question.digest
        if question.failed is not None or digest is None:
            self._say(question, None, question.failed)
        elif digest in self._answers.by_digest:
            self.found[question.label] += 1
            self._say(question, self._answers.by_digest[digest], None)
        elif digest in self._waiting:
            self.found[question.label] += 1
            self._waiting[digest].append(question)
        else:
            assert question.request is not None
            engine = self._engine(self._plans[question.label])
            while self._in_flight[question.label] >= engine.most_waiting:
                self._take(*self._ended.get())
            self.asked[question.label] += 1
            self._waiting[digest] = [question]
            self._in_flight[question.label] += 1
            future = engine.ask(question.request)
            self._futures[digest] = future
            label = question.label
            future.add_done_callback(lambda ended: self._ended.put((label, digest, ended)))

    def finish(self) -> None:
        """Returns when nothing is in flight any more."""
        while self._waiting:
            self._take(*self._ended.get())

    def stop(self) -> None:
        """After a failure: keeps the answers that are there, and asks for no more."""
        for future in list(self._futures.values()):
            future.cancel()
        while True:
            try:
                label, digest, future = self._ended.get_nowait()
            except Empty:
                return
            if not future.cancelled() and future.exception() is None and digest in self._waiting:
                self._take(label, digest, future)

    def _drain(self) -> None:
        while not self._ended.empty():
            self._take(*self._ended.get())

    def _take(self, label: str, digest: str, future: Future[Answer]) -> None:
        self._in_flight[label] -= 1
        questions = self._waiting.pop(digest)
        del self._futures[digest]
        try:
            answer = future.result()
        except Failed as failed:
            self._failed_running[label] += 1
            if self._failed_running[label] >= GIVE_UP_AFTER:
                raise JobFailed(
                    f"captioner {label!r}: {GIVE_UP_AFTER} requests failed without one answer between them, "
                    f"at last: {failed}; {_TRY_AGAIN}"
                ) from failed
            for question in questions:
                self._say(question, None, failed)
            return
        except EngineDown as error:
            raise JobFailed(f"captioner {label!r}: {error}; {_TRY_AGAIN}") from error
        except JobFailed as error:
            raise JobFailed(f"captioner {label!r}: {error}; {_TRY_AGAIN}") from error
        self._failed_running[label] = 0
        self._answers.add(questions[0].row.place, digest, answer)
        for question in questions:
            self._say(question, answer, None)

    def _say(self, question: _Question, answer: Answer | None, failed: Failed | None) -> None:
        said = Said(question.prompt, question.digest, answer, failed)
        self.said[question.label][question.row.number] = said


def _flat(prepared: Iterable[Sequence[_Question]]) -> Iterator[_Question]:
    for questions in prepared:
        yield from questions
