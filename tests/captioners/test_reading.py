"""Texts made by a training loader: real WebDataset shards, epochs that differ, workers that agree."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import tarfile
from collections import Counter
from multiprocessing import Value
from pathlib import Path
from typing import Any

import pytest
import webdataset

from captioners.reading import ReadTexts, TextOf, load_texts, parse_reading
from schemas.refusal import Refusal

READING: dict[str, Any] = {
    "version": 1,
    "recipe": "mixed",
    "seed": 5,
    "kinds": {"parts": "list<string>", "recap": "string", "short": "string"},
    "captioners": ["long"],
    "texts": [
        {"as": "parts", "of": ["long"], "steps": ["split", {"sample": 2}], "otherwise": None},
        {"as": "recap", "one_of": ["text", "long"], "weights": [0.8, 0.2]},
        {"as": "short", "of": ["long"], "steps": [{"shear": "text"}], "otherwise": "text"},
    ],
}
COUNT = 400


def columns(number: int) -> dict[str, Any]:
    long = f"Ring {number} is red. Star {number} is blue. The paper is grey."
    return {"uid": f"{number:032x}", "text": f"my ring {number}", "long": long if number % 4 else None}


@pytest.fixture
def texts(tmp_path: Path) -> ReadTexts:
    path = tmp_path / "texts.json"
    path.write_text(json.dumps(READING))
    return load_texts(path)


@pytest.fixture
def shard(tmp_path: Path) -> str:
    path = tmp_path / "00000.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(COUNT):
            for extension, data in (("json", json.dumps(columns(number)).encode()), ("txt", b"stored")):
                member = tarfile.TarInfo(f"{number:09d}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return str(path)


def read(shard: str, step: TextOf) -> list[str]:
    return [sample["txt"] for sample in webdataset.WebDataset(shard, shardshuffle=False).map(step)]


def test_texts_of_a_sample_are_those_of_its_seed_uid_and_epoch(texts: ReadTexts) -> None:
    assert texts.apply(columns(5), 0) == {
        "parts": ["Ring 5 is red", "Star 5 is blue"],
        "recap": "Ring 5 is red. Star 5 is blue. The paper is grey.",
        "short": "Ring 5 is",
    }
    assert texts.apply(columns(8), 0) == {"parts": None, "recap": "my ring 8", "short": "my ring 8"}
    assert len({json.dumps(texts.apply(columns(5), epoch)["parts"]) for epoch in range(40)}) == 6
    without_text = {**columns(5), "caption": "my ring 5"}
    del without_text["text"]
    assert texts.apply(without_text, 0) == texts.apply(columns(5), 0)


def test_a_loader_reads_the_original_as_often_as_the_recipe_says(texts: ReadTexts, shard: str) -> None:
    drawn: Counter[str] = Counter()
    for epoch in range(5):
        for number, text in enumerate(read(shard, TextOf(texts, "recap", epoch=epoch))):
            if number % 4:
                drawn["original" if text == f"my ring {number}" else "long"] += 1
            else:
                assert text == f"my ring {number}"
    assert drawn["original"] / drawn.total() == pytest.approx(0.8, abs=0.04)


def test_epochs_differ_and_copies_in_other_processes_agree(texts: ReadTexts, shard: str) -> None:
    epoch = Value("i", 0)
    step = TextOf(texts, "parts", epoch=epoch)
    first = read(shard, step)
    epoch.value = 1
    second = read(shard, step)
    epoch.value = 0
    assert read(shard, step) == first != second
    copy = pickle.loads(pickle.dumps(TextOf(texts, "parts", epoch=1)))
    assert read(shard, copy) == second
    assert first[0] == "my ring 0"
    assert set(first[1::400]) <= {"Ring 1 is red", "Star 1 is blue", "The paper is grey"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 2}, "texts.json: expected version 1; given 2"),
        ({"kinds": {"parts": "text"}}, "texts.json: expected in kinds one of string, list<string> for 'parts'; given"),
        ({"texts": [{"as": "x"}]}, "texts.json: texts[0]: expected one of `of`, `p_original`, `one_of`, `template`"),
    ],
)
def test_what_is_no_reading_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_reading({**READING, **changed}, where="texts.json")
    assert str(refusal.value).startswith(message)
    with pytest.raises(Refusal, match="expected an object with version, recipe, seed, texts, kinds"):
        parse_reading([], where="texts.json")


def test_a_text_that_is_not_made_is_refused(texts: ReadTexts) -> None:
    with pytest.raises(Refusal, match="texts of 'mixed': unknown text 'long'; known: parts, recap, short"):
        TextOf(texts, "long")
    tagged = parse_reading(
        {**READING, "texts": [{"as": "s", "of": ["long"], "steps": [{"syntax": 3}]}], "kinds": {"s": "string"}},
        where="texts.json",
    )
    with pytest.raises(Refusal, match="the step `syntax` needs a tagger"):
        TextOf(tagged, "s")
    step = TextOf(tagged, "s", tagger=lambda words: ["NN" if word in ("Ring", "Star") else "DT" for word in words])
    assert step({"json": columns(5)})["txt"] == "Ring 5 Star"


def test_a_loader_loads_neither_models_nor_beam_nor_arrow() -> None:
    ask = (
        "import sys, captioners.reading; heavy = ('torch', 'pyarrow', 'apache_beam', 'numpy', 'transformers'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
