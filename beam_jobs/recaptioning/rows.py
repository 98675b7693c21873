"""The kept rows of an image shard, as captioners and rules read them.

In: a run folder, a recipe, a shard, the columns that are read. Out: which rows are kept, their columns, and their
pictures as the tar is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.homes import Homes, LoadSidecars
from beam_jobs.recaptioning.asking import Row
from beam_jobs.storage.files import open_read
from beam_jobs.storage.parquet import read_schema, read_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import Sample, iter_samples
from schemas.keys import uid_order
from schemas.recipe import Recipe
from schemas.tables import SELECTED

_PICTURES = ("jpg", "png", "webp")


@dataclass(frozen=True)
class KeptRows:
    """Rows of a shard: which of all are kept, which have a picture, and some columns of those that are kept."""

    uids: pa.ChunkedArray
    kept: npt.NDArray[np.bool_]
    has_picture: npt.NDArray[np.bool_]
    keys: Sequence[str]
    columns: pa.Table
    tar: str

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @cached_property
    def rows(self) -> list[Row]:
        return [
            Row(number, uid_order(columns["uid"]), columns) for number, columns in enumerate(self.columns.to_pylist())
        ]

    @property
    def originals(self) -> list[str | None]:
        return [row.columns["text"] for row in self.rows]

    @property
    def pictures_at(self) -> npt.NDArray[np.int64]:
        """Of each kept row, its row among those with a picture: where its embeddings stand."""
        return (np.cumsum(self.has_picture) - 1)[self.kept]

    def with_pictures(self, *, read: bool) -> Iterator[tuple[Row, bytes | None]]:
        """Each row with its stored picture; without where none is read."""
        if not read:
            yield from ((row, None) for row in self.rows)
            return
        with open_read(self.tar) if self.rows else nullcontext() as file:
            yield from zip(self.rows, self._pictures(file) if file is not None else (), strict=True)

    def _pictures(self, file: IO[bytes]) -> Iterator[bytes]:
        samples = iter_samples(file, set(self.keys).__contains__)
        for key in self.keys:
            sample = next(samples, None)
            if sample is None or sample.key != key:
                raise ValueError(f"the picture {key} is not at its place in {self.tar}")
            yield _picture(sample)


def read_kept(work: str, recipe: Recipe, shard: int, columns: Sequence[str]) -> KeptRows:
    """The kept rows with those columns, `uid` and `text` among them."""
    folder = RunFolder(work)
    images = read_table(folder.image_table(shard), ["uid", "reason", "key"])
    made = [name for name in read_schema(folder.selected(recipe.name, shard)).names if name not in SELECTED.names]
    selected = read_table(folder.selected(recipe.name, shard), ["uid", "keep", *made])
    if selected["uid"] != images["uid"]:
        raise ValueError(f"the selection of image shard {shard} does not have its rows")
    kept = selected["keep"].to_numpy()
    wanted = [name for name in dict.fromkeys(["text", *columns]) if name != "uid"]
    table, _ = LoadSidecars(work, Homes.of(recipe))(shard, [name for name in wanted if name not in made])
    for name in wanted:
        if name in made:
            table = table.append_column(name, selected[name])
    mask = pa.array(kept)
    return KeptRows(
        uids=images["uid"],
        kept=kept,
        has_picture=images["reason"].is_null().to_numpy(),
        keys=images["key"].filter(mask).to_pylist(),
        columns=table.filter(mask),
        tar=folder.image_tar(shard),
    )


def _picture(sample: Sample) -> bytes:
    for extension in _PICTURES:
        if extension in sample.members:
            return sample.members[extension]
    raise ValueError(f"no picture among the members {sorted(sample.members)} of {sample.key}")
