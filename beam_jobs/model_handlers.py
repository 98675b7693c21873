"""A Beam ModelHandler (PyTorch, ONNX, TensorRT, vLLM ...) as a scorer of a recipe, through the scorer `callable`.

In: a handler, how a row becomes what it takes, how its predictions become columns. Out: an object with `load`,
`prepare` and `score`, to be named in a recipe as `callable: {function: "module:name", columns: ...}`. Where the handler
says so, one model serves all processes of a machine, by Beam's own means.

    from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerTensor
    judge = HandledModel("judge", PytorchModelHandlerTensor(...), example=pixels_of, values=columns_of)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.ml.inference.base import ModelHandler
from apache_beam.utils import multi_process_shared

from filters.scorer import Batch

Row = Mapping[str, Any]


@dataclass(frozen=True)
class HandledModel:
    """`name` tells this model from others on the machine.

    `example` is given a row (the scorer's inputs, `uid` and, where it reads pictures, `image`) and gives what the
    handler takes; `values` is given one prediction and gives a value for each column.
    """

    name: str
    handler: ModelHandler[Any, Any, Any]
    example: Callable[[Row], Any]
    values: Callable[[Any], Mapping[str, Any]]

    def load(self, device: str) -> Any:
        """The model, once per process or, where the handler wants it so, once per machine."""
        if self.handler.share_model_across_processes():
            load, tag = self.handler.load_model, f"pairmill-{self.name}"
            return multi_process_shared.MultiProcessShared(load, tag=tag, always_proxy=True).acquire()
        return self.handler.load_model()

    def score(self, batch: Batch, model: Any) -> dict[str, list[Any]]:
        rows: list[dict[str, Any]] = batch.table.to_pylist()
        for row, image in zip(rows, batch.images, strict=False):
            row["image"] = image
        examples = [_through(self.handler.get_preprocess_fns(), self.example(row)) for row in rows]
        found: Sequence[Any] = list(self.handler.run_inference(examples, model))
        if len(found) != len(rows):
            raise TypeError(f"{type(self.handler).__name__} was given {len(rows)} examples and gave {len(found)}")
        values = [self.values(_through(self.handler.get_postprocess_fns(), each)) for each in found]
        return {name: [each[name] for each in values] for name in (values[0] if values else ())}


def _through(steps: Iterable[Callable[[Any], Any]], value: Any) -> Any:
    for step in steps:
        value = step(value)
    return value
