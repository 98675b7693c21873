"""Scorers of the user's own: functions, objects, Beam ModelHandlers; and that a recipe alone runs none of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from apache_beam.ml.inference.base import ModelHandler
from PIL import Image

from beam_jobs.cli import main
from beam_jobs.cli_command import REFUSED
from beam_jobs.model_handlers import HandledModel
from filters.gathering import Gathering
from filters.loading import load_model
from filters.registry import check_code, check_files, make_scorer, make_scorers
from filters.scorer import Batch
from schemas.refusal import Refusal

MODULE = "own_scorers_of_a_test"
SOURCE = """
from pathlib import Path

Path(__file__).with_suffix(".ran").touch()

def redness(batch):
    red = [image.getpixel((0, 0))[0] for image in batch.images]
    return {"red": red, "words": [len(text.split()) for text in batch.texts("text")]}

class Longest:
    def load(self, device):
        return {"bound": 4, "device": device}
    def prepare(self, image, model):
        return max(image.size)
    def score(self, batch, model):
        return {"longest": [min(side, model["bound"]) for side in batch.images]}

longest = Longest()
wrong = lambda batch: {"other": []}
number = 7
"""
ROWS = pa.table({"uid": ["a", "b"], "text": ["one two", "three"]})
PICTURES = [Image.new("RGB", (2, 3), (200, 0, 0)), Image.new("RGB", (9, 3), (10, 0, 0))]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / f"{MODULE}.py"
    sys.modules.pop(MODULE, None)


def entry(name: str, columns: Mapping[str, str], *inputs: str) -> dict[str, Any]:
    return {"callable": {"function": f"{MODULE}:{name}", "columns": dict(columns), "inputs": list(inputs)}}


def scored(given: Mapping[str, Any]) -> pa.Table:
    scorer = make_scorer(given)
    gathering = Gathering(scorer, load_model(scorer, "cpu"), ROWS)
    for row, image in enumerate(PICTURES):
        gathering.add(row, scorer.prepare(image, gathering.model))
    return gathering.close().columns


def test_a_function_gives_columns(module: Path) -> None:
    found = scored(entry("redness", {"red": "int32", "words": "int64"}, "image", "text"))
    assert found.schema == pa.schema([("red", pa.int32()), ("words", pa.int64())])
    assert found.to_pydict() == {"red": [200, 10], "words": [2, 1]}


def test_an_object_may_load_and_prepare(module: Path) -> None:
    assert scored(entry("longest", {"longest": "int32"}, "image")).to_pydict() == {"longest": [3, 4]}


def test_other_columns_than_declared_are_an_error(module: Path) -> None:
    with pytest.raises(TypeError, match=r"gave the columns \['other'\]; declared: \['score'\]"):
        scored(entry("wrong", {"score": "float32"}, "image"))


def test_a_recipe_alone_runs_no_code(module: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pairs = "url,text\nhttp://a.test/1.jpg,one\n"
    (tmp_path / "pairs.csv").write_text(pairs)
    source = f"table:{tmp_path / 'pairs.csv'}"
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"name: mine\nscore:\n- callable: {{function: '{MODULE}:redness', columns: {{red: int32}}}}\n")
    launch = [
        "plan",
        "--recipe",
        str(recipe),
        "--source",
        source,
        "--work",
        str(tmp_path / "w"),
    ]
    assert main(launch) == REFUSED
    assert f"may do so only with --allow-code {MODULE}" in capfd.readouterr().err
    assert main([*launch, "--allow-code", "another"]) == REFUSED
    assert not module.with_suffix(".ran").exists()
    assert main([*launch, "--allow-code", MODULE]) == 0
    assert module.with_suffix(".ran").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"function": "no_colon"}, "`function` must be module:name; given 'no_colon'"),
        ({"function": f"{MODULE}:absent"}, f"the module '{MODULE}' has no 'absent'"),
        ({"function": f"{MODULE}:number"}, f"{MODULE}:number is neither a function nor an object with `score`"),
        ({"function": "no_such_module_here:f"}, "the module 'no_such_module_here' cannot be imported"),
        ({"columns": {}}, "`columns` must name what it makes"),
        ({"columns": {"a": "floaty"}}, "the type of 'a' must be Arrow's, as float32 or string; given 'floaty'"),
        ({"batch_size": 0}, "batch_size must be at least 1; given 0"),
    ],
)
def test_what_is_no_scorer_is_refused_at_launch(module: Path, options: dict[str, Any], message: str) -> None:
    given = {"function": f"{MODULE}:redness", "columns": {"red": "int32"}, **options}
    with pytest.raises(Refusal, match=message):
        scorers = make_scorers([{"callable": given}])
        check_code(scorers, [MODULE, "no_such_module_here"])
        check_files(scorers)


class Counting(ModelHandler[int, int, dict[str, int]]):
    """Adds what its model says to each example."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self._shared = shared

    def load_model(self) -> Any:
        return Addend()

    def run_inference(
        self, batch: Sequence[int], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[int]:
        return [number + model.addend() for number in batch]

    def share_model_across_processes(self) -> bool:
        return self._shared


class Addend:
    def addend(self) -> int:
        return 5


@pytest.mark.parametrize("shared", [False, True])
def test_a_model_handler_of_beams(shared: bool) -> None:
    handler = Counting(shared=shared).with_preprocess_fn(lambda number: number * 10).with_postprocess_fn(float)
    handled = HandledModel(
        f"counting-{shared}", handler, example=lambda row: len(row["text"]), values=lambda found: {"score": found}
    )
    model = handled.load("cpu")
    assert handled.score(Batch(ROWS, PICTURES), model) == {"score": [75.0, 55.0]}


def test_a_pytorch_handler_sees_pictures(tmp_path: Path) -> None:
    import torch
    from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerTensor

    network = torch.nn.Linear(3, 1)
    torch.save(network.state_dict(), tmp_path / "taste.pth")
    handler = PytorchModelHandlerTensor(
        str(tmp_path / "taste.pth"), torch.nn.Linear, {"in_features": 3, "out_features": 1}, device="CPU"
    )
    handled = HandledModel(
        "taste",
        handler,
        example=lambda row: torch.tensor(row["image"].getpixel((0, 0)), dtype=torch.float32),
        values=lambda found: {"taste": float(found.inference)},
    )
    found = handled.score(Batch(ROWS, PICTURES), handled.load("cpu"))
    expected = network(torch.tensor([[200.0, 0, 0], [10, 0, 0]])).flatten().tolist()
    assert found["taste"] == pytest.approx(expected, rel=1e-5)
