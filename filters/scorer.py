"""The contract of a scorer: a batch of pairs in, one row of columns per pair out. It never drops a row.

A scorer is a frozen dataclass whose fields are its options. `load` and `score` are the two methods of Beam's
`ModelHandler`, without Beam; `prepare` is what may be done to one decoded picture ahead of the batch, in a
thread. What a scorer gives is a function of its options and its input: no clock, no randomness, no machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from schemas.needed import refuse_absent as refuse_absent
from schemas.needed import require as require
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

IMAGE = "image"
SIDES = ("image", "text")
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")


def option(default: Any, doc: str, *, given: str | None = None) -> Any:
    """A dataclass field that a recipe may set, with the line that `pairmill scorers NAME` prints.

    given: what the recipe calls it, where that is not the field's name.
    """
    metadata = {"doc": doc, **({"given": given} if given else {})}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Column:
    """A column that a scorer makes. `meaning` states unit and range."""

    name: str
    type: pa.DataType
    meaning: str


@dataclass(frozen=True)
class Need:
    """Stored embeddings that a scorer reads: those of the scorer called `label`, of its images or its texts."""

    label: str
    side: str


@dataclass(frozen=True)
class Batch:
    """Rows to score: `uid` and the columns declared as inputs and, in that order, what `prepare` gave per picture.

    `images` is empty for a scorer that asks for none. `embeddings` has float32 rows for each of the scorer's needs.
    """

    table: pa.Table
    images: Sequence[Any] = ()
    embeddings: Mapping[Need, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def texts(self, column: str) -> list[str]:
        """The texts of a column, null as the empty text."""
        return [text or "" for text in self.table[column].to_pylist()]


@dataclass(frozen=True)
class Scores:
    """What came of a batch: exactly the declared columns, and embeddings (float32, unit length) or None."""

    columns: pa.Table
    image_embeddings: np.ndarray | None = None
    text_embeddings: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Base of all scorers. `name` and `version` say which computation it is; a changed one has a new version."""

    name: ClassVar[str]
    version: ClassVar[int]
    source: ClassVar[str] = ""
    # Whether its model is faster on a GPU, where there is one.
    on_gpu: ClassVar[bool] = False
    # Options, as a recipe gives them, to show a scorer with that has required ones.
    example: ClassVar[Mapping[str, Any]] = {}

    alias: str | None = field(
        default=None, metadata={"doc": "another label for this scorer; its columns begin with it", "given": "as"}
    )

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise Refusal(
                f"scorer {self.name!r}: `as` must be lower-case letters, digits and _, beginning with a letter; "
                f"given {self.label!r}"
            )
        self.check()

    def check(self) -> None:
        """Raises Refusal where the options make no sense; opens no file and imports nothing heavy."""

    @property
    def label(self) -> str:
        """What this scorer is called in its recipe: its folder below `scores/`."""
        return self.alias if self.alias is not None else self.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it reads: `image` for the stored picture, anything else a column of the pairs or images table."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it makes."""
        raise NotImplementedError

    @property
    def outputs(self) -> Mapping[str, pa.DataType]:
        """Column name to Arrow type."""
        return {column.name: column.type for column in self.columns}

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(list(self.outputs.items()))

    @property
    def needs(self) -> tuple[Need, ...]:
        """Embeddings of scorers before it in the recipe that it reads, as they are stored."""
        return ()

    @property
    def code_module(self) -> str | None:
        """The module of the user's that it would run; None for every scorer of ours."""
        return None

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        """Raises Refusal where a file that it names is absent or does not fit `needed`: the scorers of its needs.

        Called once, at launch.
        """

    @property
    def embeds(self) -> bool:
        """Whether `score` gives embeddings, to be stored beside the scores."""
        return False

    def dimension(self, model: Any) -> int:
        """The length of an embedding; asked only of a scorer that embeds."""
        raise NotImplementedError

    @property
    def rows_per_batch(self) -> int:
        """How many rows `score` is given at once (the last batch of a shard is smaller)."""
        return 64

    @property
    def known_dimension(self) -> int | None:
        """The length of an embedding where it is told without loading the model."""
        return None

    def rows_for(self, model: Any) -> int:
        """The same, where the model has a say in it."""
        return self.rows_per_batch

    def load(self, device: str = "auto") -> Any:
        """The model, loaded once per process and shared among threads; None where there is none."""
        return None

    def load_beside(self, needed: Mapping[str, Scorer], device: str = "auto") -> Any:
        """As `load`, for a scorer that has needs: `needed` are the scorers of its needs, by label."""
        return self.load(device)

    def prepare(self, image: Image.Image, model: Any) -> Any:
        """What `score` needs of one decoded picture. Called from several threads at once."""
        return image

    def score(self, batch: Batch, model: Any) -> Scores:
        """One row of `columns` per row of the batch. Never called by two threads at once for one model."""
        raise NotImplementedError

    def configuration(self) -> dict[str, Any]:
        """Everything that decides the values, as JSON: what a fingerprint of the scores is taken of."""
        options = {each.name: plain(getattr(self, each.name)) for each in fields(self) if each.name != "alias"}
        return {"scorer": self.name, "version": self.version, "label": self.label, "options": options}

    def provenance(self, model: Any) -> dict[str, Any]:
        """What a reader of the scores needs to make them again, as JSON: stands in the sidecar's metadata."""
        return self.configuration()

    def column(self, name: str) -> str:
        """A column's name: as it is, or behind the label where the recipe gives one."""
        return name if self.label == self.name else f"{self.label}_{name}"


def plain(value: Any) -> Any:
    """An option's value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value
