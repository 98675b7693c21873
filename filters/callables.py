"""A scorer of the user's own: a function, or an object that loads a model, named by module and name.

In: a batch, as every scorer gets it. Out: the columns that the recipe declares for it. A recipe alone can run no code:
the command line must allow the module (`--allow-code MODULE`), which `registry.check_code` sees to at launch.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.scorer import IMAGE, Batch, Column, Scorer, Scores, option
from schemas.refusal import Refusal

if TYPE_CHECKING:
    from PIL import Image

_PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Loaded:
    """The user's object and, where it has `load`, what that gave."""

    code: Any
    model: Any


@dataclass(frozen=True, kw_only=True)
class UserCode(Scorer):
    """A function of yours as a scorer, or an object with `load` and `score`; only with --allow-code MODULE.

    A function takes a batch (`filters.scorer.Batch`: a table with the inputs, and pictures) and gives a mapping of
    column to values, one a row. An object has `score(batch, model)` instead, `load(device)` where it needs a model, and
    `prepare(image, model)` for what can be done to a picture ahead, in threads. A Beam ModelHandler becomes such an
    object by `beam_jobs.model_handlers.HandledModel`. What it gives must depend on the batch alone; raise `revision`
    when it gives something else.
    """

    name: ClassVar[str] = "callable"
    version: ClassVar[int] = 1
    on_gpu: ClassVar[bool] = True
    source: ClassVar[str] = "yours"
    example: ClassVar[Mapping[str, Any]] = {"function": "package.module:name", "columns": {"score": "float32"}}

    function: str = option("", "where it is: module:name, importable on every worker")
    columns_made: Mapping[str, str] = option({}, "each column that it makes, with its Arrow type", given="columns")
    reads: tuple[str, ...] = option((IMAGE,), "image, and columns of the pairs or images table", given="inputs")
    revision: int = option(1, "which version of your code this is")
    batch_size: int = option(64, "rows given at once")

    def check(self) -> None:
        where = f"scorer {self.label!r}"
        if not _PLACE.fullmatch(self.function):
            raise Refusal(f"{where}: `function` must be module:name; given {self.function!r}")
        if not self.columns_made:
            raise Refusal(f"{where}: `columns` must name what it makes, with a type each, such as {{score: float32}}")
        for name, kind in self.columns_made.items():
            _arrow(kind, name, where)
        if not self.reads:
            raise Refusal(f"{where}: `inputs` must name what it reads: image, or columns")
        if self.batch_size < 1:
            raise Refusal(f"{where}: batch_size must be at least 1; given {self.batch_size}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        self._code()

    @property
    def code_module(self) -> str | None:
        return self.function.partition(":")[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.reads

    @property
    def columns(self) -> tuple[Column, ...]:
        where = f"scorer {self.label!r}"
        return tuple(
            Column(self.column(name), _arrow(kind, name, where), f"as {self.function} gives it")
            for name, kind in self.columns_made.items()
        )

    @property
    def rows_per_batch(self) -> int:
        return self.batch_size

    def load(self, device: str = "auto") -> Loaded:
        code = self._code()
        return Loaded(code, code.load(device) if hasattr(code, "load") else None)

    def prepare(self, image: Image.Image, model: Loaded) -> Any:
        return model.code.prepare(image, model.model) if hasattr(model.code, "prepare") else image

    def score(self, batch: Batch, model: Loaded) -> Scores:
        given = model.code.score(batch, model.model) if hasattr(model.code, "score") else model.code(batch)
        columns = {name: given[name] for name in (given.column_names if isinstance(given, pa.Table) else given)}
        if set(columns) != set(self.columns_made):
            raise TypeError(
                f"{self.function} gave the columns {sorted(columns)}; declared: {sorted(self.columns_made)}"
            )
        named = zip(self.columns_made, self.columns, strict=True)
        return Scores(pa.table([_values(columns[name], column.type) for name, column in named], schema=self.schema))

    def _code(self) -> Any:
        module, _, name = self.function.partition(":")
        where = f"scorer {self.label!r}"
        try:
            found = getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise Refusal(f"{where}: the module {module!r} cannot be imported: {error}") from error
        except AttributeError as error:
            raise Refusal(f"{where}: the module {module!r} has no {name!r}") from error
        if not hasattr(found, "score") and not callable(found):
            raise Refusal(f"{where}: {self.function} is neither a function nor an object with `score`")
        return found


def _values(values: Any, kind: pa.DataType) -> Any:
    return values.cast(kind) if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values, type=kind)


def _arrow(kind: str, name: str, where: str) -> pa.DataType:
    try:
        return pa.type_for_alias(kind)
    except ValueError as error:
        raise Refusal(f"{where}: the type of {name!r} must be Arrow's, as float32 or string; given {kind!r}") from error
