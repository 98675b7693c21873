"""Similarity of texts: of two columns of a pair, and of a text to a list of tasks.

In: columns of texts, or text embeddings that a CLIP scorer stored. Out: a cosine per row. `text_similarity` works on
characters where it is given no CLIP scorer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from filters.clip import TextTower, check_text_tower, encode_beside, text_tower_beside
from filters.scorer import Batch, Column, Need, Scorer, Scores, option
from schemas.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np

_SEQUENCE = 3


@dataclass(frozen=True, kw_only=True)
class TextSimilarity(Scorer):
    """Cosine of two texts of a pair: of their CLIP embeddings, or of their counts of three-character sequences.

    With `embedding`, the texts that this CLIP scorer has embedded are read as stored; others go through its text
    tower. Without, case and white space are ignored, and no model is needed.
    """

    name: ClassVar[str] = "text_similarity"
    version: ClassVar[int] = 1
    source: ClassVar[str] = "as ALIP's similarity of raw text and caption (Yang et al., 2023) by CLIP's text tower"

    text: str = option("text", "the column of texts")
    other: str = option("page_title", "the column that it is compared with")
    embedding: str | None = option(None, "the CLIP scorer, before this one, whose text tower is used; none: characters")

    def check(self) -> None:
        if not self.text or not self.other or self.text == self.other:
            raise Refusal(
                f"scorer 'text_similarity': `text` and `other` must be two columns; given {self.text!r}, {self.other!r}"
            )

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        for scorer in needed.values():
            check_text_tower(self, scorer)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text, self.other)

    @property
    def needs(self) -> tuple[Need, ...]:
        return () if self.embedding is None else (Need(self.embedding, "text"),)

    @property
    def columns(self) -> tuple[Column, ...]:
        kind = "three-character sequences, 0" if self.embedding is None else "CLIP text embeddings, -1"
        meaning = f"cosine of {self.text} and {self.other} by {kind} to 1; null where either is empty"
        return (Column(self.column("text_similarity"), pa.float32(), meaning),)

    def load_beside(self, needed: Mapping[str, Scorer], device: str = "auto") -> TextTower | None:
        return None if self.embedding is None else text_tower_beside(needed[self.embedding], device)

    def score(self, batch: Batch, model: TextTower | None) -> Scores:
        texts, others = batch.texts(self.text), batch.texts(self.other)
        if model is None:
            found = [sequence_cosine(one, other) for one, other in zip(texts, others, strict=True)]
        else:
            stored = batch.embeddings[self.needs[0]]
            sides = [stored if model.column == name else model.encode(batch.texts(name)) for name in self.inputs]
            found = (sides[0] * sides[1]).sum(axis=1).tolist()
        both = [bool(one.strip() and other.strip()) for one, other in zip(texts, others, strict=True)]
        values = [value if known else None for value, known in zip(found, both, strict=True)]
        return Scores(pa.table([pa.array(values, pa.float32())], schema=self.schema))


def sequence_cosine(one: str, other: str) -> float:
    """Cosine of two texts' counts of three-character sequences, padded by spaces; 0 where one is empty."""
    counts = [_sequences(text) for text in (one, other)]
    product = sum(count * counts[1][each] for each, count in counts[0].items())
    lengths = [sum(count * count for count in each.values()) for each in counts]
    return product / math.sqrt(lengths[0] * lengths[1]) if product else 0.0


def _sequences(text: str) -> Counter[str]:
    words = " ".join(text.casefold().split())
    padded = f" {words} " if words else ""
    return Counter(padded[first : first + _SEQUENCE] for first in range(len(padded) - _SEQUENCE + 1))


@dataclass(frozen=True)
class Tasks:
    names: tuple[str, ...]
    rows: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TaskSimilarity(Scorer):
    """The highest cosine of a text to a list of tasks (class names), and which: CiT's curation score.

    CiT embeds with SimCSE's BERT and draws its line while it trains; here the text tower of a CLIP scorer stands in,
    and a fixed threshold with a least share (`top_fraction` with `unless`) is the static form.
    """

    name: ClassVar[str] = "task_similarity"
    version: ClassVar[int] = 1
    source: ClassVar[str] = "Xu et al., 'CiT: Curation in Training for Effective Vision-Language Data', 2023"
    example: ClassVar[Mapping[str, Any]] = {"tasks": ["dog", "cat"]}

    embedding: str = option("clip", "the CLIP scorer, before this one in the recipe, whose text embeddings are read")
    tasks: tuple[str, ...] = option((), "names of tasks")
    file: str | None = option(None, "or a file of them, UTF-8, one a line")
    template: str = option("{}", "what a name is put into, in the place of {}")

    def check(self) -> None:
        if bool(self.tasks) == (self.file is not None):
            raise Refusal("scorer 'task_similarity': give either `tasks`, a list of names, or `file`, one name a line")
        if not all(name.strip() for name in self.tasks):
            raise Refusal("scorer 'task_similarity': `tasks` holds an empty name")
        if "{}" not in self.template:
            raise Refusal(f"scorer 'task_similarity': template must have {{}} in it; given {self.template!r}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        self._names()
        check_text_tower(self, needed[self.embedding])

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def needs(self) -> tuple[Need, ...]:
        return (Need(self.embedding, "text"),)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(self.column("task_similarity"), pa.float32(), "cosine of the text and the closest task, -1 to 1"),
            Column(self.column("task_nearest"), pa.string(), "the closest task"),
        )

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def configuration(self) -> dict[str, Any]:
        """The names stand in it, not the file's path: another list gives other values."""
        whole = super().configuration()
        whole["options"] = {**whole["options"], "file": None, "tasks": list(self._names())}
        return whole

    def load_beside(self, needed: Mapping[str, Scorer], device: str = "auto") -> Tasks:
        names = self._names()
        texts = [self.template.replace("{}", name) for name in names]
        return Tasks(names, encode_beside(needed[self.embedding], device, texts))

    def score(self, batch: Batch, model: Tasks) -> Scores:
        import numpy as np

        similarity = batch.embeddings[self.needs[0]] @ model.rows.T
        nearest = similarity.argmax(axis=1)
        names = np.array(model.names, dtype=object)[nearest]
        values = (pa.array(similarity.max(axis=1), pa.float32()), pa.array(names, pa.string()))
        return Scores(pa.table(list(values), schema=self.schema))

    def _names(self) -> tuple[str, ...]:
        if self.file is None:
            return self.tasks
        try:
            lines = Path(self.file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(f"scorer 'task_similarity': the file {self.file!r} cannot be read: {error}") from error
        names = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
        if not names:
            raise Refusal(f"scorer 'task_similarity': the file {self.file!r} names no task")
        return names
