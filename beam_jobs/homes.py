"""Which table of a run folder holds which column, and some columns of a shard side by side.

In: a recipe; a shard and the names of columns. Out: the files that hold them; a table with those columns and uid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.storage.parquet import read_table
from beam_jobs.storage.run_folder import RunFolder
from filters.registry import make_scorers
from schemas.recipe import Recipe
from schemas.tables import IMAGES, PLANNED


@dataclass(frozen=True)
class Homes:
    """Which sidecar holds which column: `scores` and `groups` by column, to their labels."""

    scores: Mapping[str, str]
    groups: Mapping[str, str]

    @staticmethod
    def of(recipe: Recipe) -> Homes:
        return Homes(
            scores={name: scorer.label for scorer in make_scorers(recipe.score) for name in scorer.outputs},
            groups={name: grouper.label for grouper in recipe.group.groupers for name in grouper.columns},
        )

    def url(self, folder: RunFolder, column: str, shard: int) -> str:
        """The file of a shard that holds a column; what no stage makes came with the pairs."""
        if column in PLANNED.names:
            return folder.planned(shard)
        if column in self.scores:
            return folder.scores(self.scores[column], shard)
        if column in self.groups:
            return folder.groups(self.groups[column], shard)
        return folder.image_table(shard) if column in IMAGES.names else folder.planned(shard)


@dataclass(frozen=True)
class LoadSidecars:
    """Called with a shard and columns: the columns and uid side by side, and which rows were downloaded."""

    work: str
    homes: Homes

    def __call__(self, shard: int, columns: Sequence[str]) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
        folder = RunFolder(self.work)
        files: dict[str, list[str]] = {}
        for name in dict.fromkeys(columns):
            if name != "uid":
                files.setdefault(self.homes.url(folder, name, shard), []).append(name)
        images = read_table(folder.image_table(shard), ["uid", "reason"])
        found = {"uid": images["uid"]}
        for url, names in files.items():
            table = read_table(url, ["uid", *names])
            if table["uid"] != images["uid"]:
                raise ValueError(f"{url} does not have the rows of {folder.image_table(shard)}")
            found.update({name: table[name] for name in names})
        return pa.table(found), np.asarray(images["reason"].is_null())
