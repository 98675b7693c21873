"""The rows of one image shard, with all that was learned of them side by side: what every count here is made of.

In: a run folder, a recipe's name, and which sidecars there are. Out: one shard at a time, so that memory holds one
shard and no more; of very large runs some shards, a fair sample. Sidecars that do not hold the same rows in the same
order are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.storage.files import exists
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.parquet import read_schema, read_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.reasons import KEPT

PLANNED_COLUMNS = ("uid", "url", "text", "page_url", "position", "page_language")
IMAGE_COLUMNS = (
    "uid", "reason", "format", "byte_size", "frame_count", "key", "error_message",
    "width", "height", "original_width", "original_height",
)  # fmt: skip
IMAGE_NUMBERS = ("byte_size", "width", "height", "original_width", "original_height", "frame_count")
SELECTED_COLUMNS = ("uid", "keep", "reason")


# So many rows take some twenty minutes on one core (planning/constants.yaml), and tell what a billion would.
MOST_ROWS = 10_000_000


@dataclass(frozen=True)
class Sidecars:
    """Where the rows of a run stand: its shards, and the scorers and groupers that have spoken of them.

    shards: those that are read; `left_out` others are not.
    """

    folder: RunFolder
    recipe: str
    shards: tuple[int, ...]
    left_out: int
    scores: tuple[str, ...]
    groups: tuple[str, ...]
    selected: bool


@dataclass(frozen=True)
class ShardRows:
    """An image shard's rows. `table` holds the columns of all sidecars, each name once."""

    shard: int
    table: pa.Table
    selected: bool

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def uids(self) -> list[str]:
        return self.table["uid"].to_pylist()

    @cached_property
    def fetched(self) -> np.ndarray:
        """Whether the row has an image, as bool."""
        return self.table["reason"].is_null().to_numpy()

    @cached_property
    def reasons(self) -> np.ndarray:
        """Where each row ended, as str: `kept`, a rule's reason, or a failure class."""
        end = pa.scalar(KEPT, pa.string())
        if self.selected:
            dropped = pc.coalesce(self.table["selected_reason"], pa.scalar("unknown", pa.string()))
            decided = pc.if_else(pc.fill_null(self.table["keep"], False), end, dropped)
            ended = pc.coalesce(self.table["reason"], decided)
        else:
            ended = pc.coalesce(self.table["reason"], end)
        return ended.to_numpy()

    def numbers(self, column: str) -> np.ndarray:
        """A numeric or boolean column as float64, NaN where a row has no value."""
        values = self.table[column]
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        return values.cast(pa.float64()).to_numpy().astype(np.float64)


def find_sidecars(work: str, recipe: str, ledgers: Sequence[str], *, most_rows: int = MOST_ROWS) -> Sidecars:
    """The finished shards of a run, and those sidecars of the named ledgers that exist for its first one.

    Of more rows than most_rows every n-th shard: which shard a row lies in is up to a hash, so any are a fair sample.
    """
    folder = RunFolder(work)
    markers = Ledger(folder.ledger("download")).markers()
    every = max(1, -(-sum(marker.tally.rows_in for marker in markers.values()) // most_rows))
    chosen = list(markers)[::every]
    shards = tuple(shard for shard in chosen if exists(folder.image_table(shard)))
    first = shards[0] if shards else 0
    scores = tuple(label for label in _labels(ledgers, "score") if exists(folder.scores(label, first)))
    groups = tuple(label for label in _labels(ledgers, "group") if exists(folder.groups(label, first)))
    selected = exists(folder.selected(recipe, first))
    return Sidecars(folder, recipe, shards, len(markers) - len(chosen), scores, groups, selected)


def _labels(ledgers: Sequence[str], stage: str) -> list[str]:
    return [ledger.partition("/")[2] for ledger in ledgers if ledger.startswith(f"{stage}/")]


@dataclass(frozen=True)
class Numeric:
    """A column of numbers. made_by: `images`, or a scorer's or grouper's label. kind: whole | real | yes_no."""

    made_by: str
    kind: str


def numeric_columns(sidecars: Sidecars) -> dict[str, Numeric]:
    """Numeric and boolean columns, scorers' first, then groupers', then those of the images."""
    if not sidecars.shards:
        return {}
    first = sidecars.shards[0]
    found: dict[str, Numeric] = {}
    for maker, url in [*_sources(sidecars, first), ("images", sidecars.folder.image_table(first))]:
        for field in read_schema(url):
            kind = _kind(field.type)
            if kind and (maker != "images" or field.name in IMAGE_NUMBERS):
                found.setdefault(field.name, Numeric(maker, kind))
    return found


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "yes_no"
    if pa.types.is_integer(kind):
        return "whole"
    return "real" if pa.types.is_floating(kind) else ""


def _sources(sidecars: Sidecars, shard: int) -> list[tuple[str, str]]:
    scores = [(label, sidecars.folder.scores(label, shard)) for label in sidecars.scores]
    return scores + [(label, sidecars.folder.groups(label, shard)) for label in sidecars.groups]


def _some(url: str, columns: Sequence[str]) -> pa.Table:
    present = set(read_schema(url).names)
    return read_table(url, [name for name in columns if name in present])


def read_rows(sidecars: Sidecars, shard: int) -> ShardRows:
    """One shard. Raises ValueError where a sidecar's rows are not those of the images table."""
    folder = sidecars.folder
    images = _some(folder.image_table(shard), IMAGE_COLUMNS)
    tables = [_some(folder.planned(shard), PLANNED_COLUMNS)]
    tables += [read_table(url) for _, url in _sources(sidecars, shard)]
    if sidecars.selected:
        selected = read_table(folder.selected(sidecars.recipe, shard), SELECTED_COLUMNS)
        tables.append(selected.rename_columns(["uid", "keep", "selected_reason"]))
    columns = {name: images[name] for name in images.column_names}
    for table in tables:
        if table["uid"] != images["uid"]:
            raise ValueError(f"the tables of image shard {shard} do not have the same rows")
        for name in table.column_names:
            columns.setdefault(name, table[name])
    return ShardRows(shard, pa.table(columns), sidecars.selected)


def iter_rows(sidecars: Sidecars) -> Iterator[ShardRows]:
    """Every shard in order, one in memory at a time."""
    for shard in sidecars.shards:
        yield read_rows(sidecars, shard)
