"""One scorer over the rows of a shard: rows gathered into batches, and what came of them put back in place.

In: the rows' columns (`uid` among them), embeddings that the scorer reads, then one row or prepared picture after
another. Out: a column per output and a row
per row given, null (zero, among embeddings) where a picture could not be read. Batches are cut by this scorer's rows
alone, so that its values do not depend on which others score beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from filters.loading import LoadedModel
from filters.scorer import IMAGE, Batch, Need, Scorer, Scores


@dataclass(frozen=True)
class Gathered:
    """The scores of a shard's rows. `scored` tells the rows that have any."""

    columns: pa.Table
    scored: np.ndarray
    image_embeddings: np.ndarray | None
    text_embeddings: np.ndarray | None


class Gathering:
    """Scores rows as they come; `close` gives the whole."""

    def __init__(
        self,
        scorer: Scorer,
        loaded: LoadedModel,
        inputs: pa.Table,
        embeddings: Mapping[Need, np.ndarray] | None = None,
    ) -> None:
        self.scorer = scorer
        self._loaded = loaded
        self._given = dict(embeddings or {})
        self._inputs = inputs.select(["uid", *(name for name in scorer.inputs if name != IMAGE)])
        self._total = inputs.num_rows
        self._rows: list[int] = []
        self._images: list[Any] = []
        self._scored: list[int] = []
        self._scores: list[Scores] = []

    @property
    def model(self) -> Any:
        return self._loaded.model

    @property
    def wants_images(self) -> bool:
        return IMAGE in self.scorer.inputs

    @property
    def rows_at_once(self) -> int:
        return self.scorer.rows_for(self.model)

    def add(self, row: int, image: Any = None) -> None:
        """The next row, with what `prepare` gave where the scorer wants pictures."""
        self._rows.append(row)
        if self.wants_images:
            self._images.append(image)
        if len(self._rows) >= self.rows_at_once:
            self._score()

    def add_all(self) -> None:
        """All rows in turn, but those of which an embedding that the scorer reads is missing: they were not scored."""
        known = np.ones(self._total, dtype=bool)
        for each in self._given.values():
            known &= each.any(axis=1)
        for row in np.flatnonzero(known).tolist():
            self.add(row)

    def close(self) -> Gathered:
        if self._rows:
            self._score()
        scored = np.zeros(self._total, dtype=bool)
        scored[self._scored] = True
        return Gathered(
            self._columns(),
            scored,
            self._embeddings([each.image_embeddings for each in self._scores]),
            self._embeddings([each.text_embeddings for each in self._scores]),
        )

    def _score(self) -> None:
        given = {need: each[self._rows].astype(np.float32) for need, each in self._given.items()}
        batch = Batch(self._inputs.take(pa.array(self._rows, pa.int64())), self._images, given)
        with self._loaded.lock:
            scores = self.scorer.score(batch, self.model)
        self._check(scores, len(batch))
        self._scored += self._rows
        self._scores.append(scores)
        self._rows, self._images = [], []

    def _check(self, scores: Scores, rows: int) -> None:
        """A scorer keeps its promise, or the shard fails: nobody could read the columns otherwise."""
        if not scores.columns.schema.equals(self.scorer.schema):
            raise TypeError(
                f"scorer {self.scorer.label!r} promised {self.scorer.schema.to_string()!r} "
                f"and gave {scores.columns.schema.to_string()!r}"
            )
        for given in (scores.columns, scores.image_embeddings, scores.text_embeddings):
            if given is not None and len(given) != rows:
                raise TypeError(f"scorer {self.scorer.label!r} was given {rows} rows and gave {len(given)}")

    def _columns(self) -> pa.Table:
        given = pa.concat_tables([self.scorer.schema.empty_table(), *(each.columns for each in self._scores)])
        place = np.full(self._total, -1, dtype=np.int64)
        place[self._scored] = np.arange(len(self._scored))
        return given.combine_chunks().take(pa.array(place, mask=place < 0))

    def _embeddings(self, parts: list[np.ndarray | None]) -> np.ndarray | None:
        if not self.scorer.embeds:
            return None
        given = [part for part in parts if part is not None]
        if len(given) < len(parts):
            return None
        embeddings = np.zeros((self._total, self.scorer.dimension(self.model)), dtype=np.float32)
        if given:
            embeddings[self._scored] = np.concatenate(given)
        return embeddings
