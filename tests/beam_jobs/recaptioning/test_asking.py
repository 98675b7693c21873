"""Asking an engine about rows: how many at once, what twice, and what an engine's end means."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from beam_jobs.recaptioning.answers import Answers
from beam_jobs.recaptioning.asking import Asker, Row, Said
from beam_jobs.recaptioning.held import held_engine, let_go, take_hold
from beam_jobs.recaptioning.pictures import picture_for, picture_id
from beam_jobs.recaptioning.plans import Plan, levels
from captioners.captioner import Answer, EngineDown, Request
from captioners.prompts import Prompt
from schemas.reasons import Failed
from schemas.recaption import Captioner, EngineOptions, Source, parse_recaption
from schemas.recipe_text import Place
from schemas.refusal import JobFailed


class Scripted:
    """An engine that answers with the prompt, unless it is told otherwise."""

    at_once = 3

    def __init__(self, say: Callable[[Request], str] = lambda request: request.prompt.upper()) -> None:
        self.asked: Counter[str] = Counter()
        self.entered = 0
        self.working = self.most = 0
        self._say = say

    async def __aenter__(self) -> Scripted:
        self.entered += 1
        return self

    async def __aexit__(self, *ended: object) -> None:
        self.entered -= 1

    async def answer(self, request: Request) -> Answer:
        self.asked[request.prompt] += 1
        self.working += 1
        self.most = max(self.most, self.working)
        await asyncio.sleep(0.002)
        self.working -= 1
        return Answer((self._say(request),), ("stop",), 1, 2)


def captioner(label: str, **options: object) -> Captioner:
    section = {"captioners": [{"label": label, "prompt": "p", "model": label, **options}]}
    return parse_recaption(section, Place("mine.yaml")).captioners[0]


def plan(text: str = "{alt}", *, label: str = "one", before: tuple[str, ...] = (), **options: object) -> Plan:
    prompt = Prompt(name="p", version=1, text=text, source="a test", image=False)
    return Plan(captioner(label, **options), prompt, "m", before)


def rows(*texts: str) -> list[Row]:
    return [Row(number, 10 * number, {"uid": f"u{number}", "text": text}) for number, text in enumerate(texts)]


@pytest.fixture
def holding() -> Iterator[None]:
    take_hold()
    try:
        yield
    finally:
        let_go()


def ask(engine: Scripted, folder: Path, given: list[Row], *plans: Plan) -> tuple[dict[str, dict[int, Said]], Asker]:
    answers = Answers(str(folder / "answers"), 0, 10_000)
    answers.find()
    held = held_engine(EngineOptions("scripted", str(id(engine))), lambda options: engine)
    asker = Asker(answers, lambda one: held)
    said = asker.ask(
        plans, [(row, None) for row in given], lambda row: {"short": [f"s{row.number}"] * (row.number % 2)}
    )
    return said, asker


def test_each_question_is_asked_once_and_a_bounded_number_at_a_time(holding: None, tmp_path: Path) -> None:
    engine = Scripted()
    given = rows(*(f"text {number % 20}" for number in range(60)))
    said, asker = ask(engine, tmp_path, given, plan())
    assert [said["one"][number].answer for number in (0, 59)] == [
        Answer(("TEXT 0",), ("stop",), 1, 2),
        Answer(("TEXT 19",), ("stop",), 1, 2),
    ]
    assert set(engine.asked.values()) == {1} and len(engine.asked) == 20
    assert (asker.asked["one"], asker.found["one"]) == (20, 40)
    assert engine.most == 3
    again, asker = ask(engine, tmp_path, given, plan())
    assert again == said
    assert (asker.asked["one"], asker.found["one"], engine.asked.total()) == (0, 60, 20)


def test_an_engine_is_left_with_its_last_holder() -> None:
    engine = Scripted()
    take_hold()
    take_hold()
    held_engine(EngineOptions("scripted", str(id(engine))), lambda options: engine)
    let_go()
    assert engine.entered == 1
    let_go()
    assert engine.entered == 0


def test_a_row_without_the_caption_that_its_prompt_asks_for_is_not_asked_about(holding: None, tmp_path: Path) -> None:
    engine = Scripted()
    said, _ = ask(engine, tmp_path, rows("a", "b"), plan("{alt} {caption}", before=("short",)))
    assert (said["one"][0].failed or Failed("timeout", "")).reason == "caption_without_input"
    assert said["one"][1].prompt == "b s1"


def test_an_engine_that_is_down_ends_the_job_with_its_answers_stored(holding: None, tmp_path: Path) -> None:
    def say(request: Request) -> str:
        if request.prompt == "last":
            raise EngineDown("nothing listens")
        return "said"

    with pytest.raises(JobFailed, match="captioner 'one': nothing listens; the answers so far are stored"):
        ask(Scripted(say), tmp_path, rows(*"abcdefghij", "last"), plan())
    assert len(Answers(str(tmp_path / "answers"), 0, 1000).find()) >= 5


def test_failures_in_a_row_end_the_job_and_failures_between_answers_do_not(
    holding: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_jobs.recaptioning.asking.GIVE_UP_AFTER", 8)

    def say(request: Request) -> str:
        if request.prompt.startswith("bad"):
            raise Failed("caption_failed", "no")
        return "said"

    mixed = [f"{'bad' if number % 4 else 'good'} {number}" for number in range(60)]
    said, _ = ask(Scripted(say), tmp_path, rows(*mixed), plan())
    assert Counter(each.failed is None for each in said["one"].values()) == {True: 15, False: 45}
    with pytest.raises(JobFailed, match="8 requests failed without one answer between them, at last: caption_failed"):
        ask(Scripted(say), tmp_path, rows(*(f"bad {number}" for number in range(100, 130))), plan())


def test_captioners_that_read_others_come_after_them() -> None:
    one, two = plan(label="a"), plan("{caption}", label="b", before=("a",))
    three = plan("{captions} {tags}", label="c", before=("a", "b"), input={"tags": "x", "captions": ["a"]})
    four = plan("{caption}", label="d", before=("a", "b", "c"))
    assert [[each.label for each in level] for level in levels([one, two, three, four])] == [["a"], ["b", "c"], ["d"]]
    assert (three.needs, three.columns) == (("a",), ("x",))


def test_prompts_are_filled_with_lists_constants_and_nothing() -> None:
    given = plan("{alt}|{tags}|{language}|{ocr}", input={"alt": ["text", "more"], "tags": "tags", "ocr": "none"})
    row = {"text": "one", "more": ["two", None, "one"], "tags": ["x", "y"], "none": None}
    assert given.fill(row, {}) == "one; two|x, y|English|"
    assert plan("{language}", input={"language": "'German'"}).sources("language") == (Source(constant="German"),)


def test_pictures_are_sent_as_stored_or_as_small_as_is_enough() -> None:
    stored = BytesIO()
    Image.new("RGB", (400, 100), (200, 0, 0)).save(stored, "PNG")
    data = stored.getvalue()
    assert picture_for(data, 100) == (data, "image/png") == picture_for(data, None)
    small, media_type = picture_for(data, 50)
    assert (Image.open(BytesIO(small)).size, media_type) == ((200, 50), "image/jpeg")
    assert picture_id(data, 50) == f"{picture_id(data, None)}@50"
    with pytest.raises(Failed, match="the stored picture cannot be read"):
        picture_for(b"no picture", 50)
