"""What the groupers read of an image shard: which rows have an image, how good a copy each is, its embedding.

In: the run folder. Out: tables with `id` (shard and row), `uid` and a float64 column a preference (lower is better);
embeddings as float16 rows. Rows that failed are left out; nothing here reads an image.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.matching.settle import ID, UID, preference, row_ids
from beam_jobs.matching.vectors import Halves, Indices, usable
from beam_jobs.storage.files import open_read
from beam_jobs.storage.parquet import read_schema, read_table
from beam_jobs.storage.run_folder import RunFolder

# numpy parses a header as Python; early releases of 3.10 to 3.12 may raise SystemError when two threads do so at once.
_PARSING = threading.Lock()
_NAMED = {
    "most_pixels": ("original_width", "original_height"),
    "longest_text": ("caption",),
}


@dataclass(frozen=True)
class ImageRows:
    """One shard's rows as groupers see them. scores: labels of the score sidecars that preferences may name."""

    work: str
    shard: int
    scores: tuple[str, ...] = ()

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.work)

    def uids(self) -> pa.ChunkedArray:
        return read_table(self.folder.image_table(self.shard), [UID])[UID]

    def places(self) -> Indices:
        """The rows that have an image, in order."""
        table = read_table(self.folder.image_table(self.shard), ["status", "reason"])
        return np.flatnonzero(has_image(table)).astype(np.int64)

    def candidates(self, columns: Sequence[str], keep: Sequence[str]) -> pa.Table:
        """The rows that have an image: id, uid, a column a preference of `keep`, and columns of images/ as they are."""
        own = dict.fromkeys([UID, "status", "reason", *columns, *(c for name in keep for c in _NAMED.get(name, ()))])
        images = read_table(self.folder.image_table(self.shard), list(own))
        kept = has_image(images)
        ids = row_ids(self.shard, np.arange(images.num_rows))
        made = {ID: pa.array(ids), UID: images[UID]}
        for number, name in enumerate(keep):
            made[preference(number)] = self._preference(name, images)
        made.update({name: images[name] for name in columns})
        return pa.table(made).filter(pa.array(kept)).combine_chunks()

    def _preference(self, name: str, images: pa.Table) -> pa.Array:
        if name == "most_pixels":
            sides = [pc.fill_null(pc.cast(images[side], pa.float64()), 0.0) for side in _NAMED[name]]
            return pc.negate(pc.multiply(*sides))
        if name == "longest_text":
            return pc.negate(pc.cast(pc.fill_null(pc.utf8_length(images["caption"]), 0), pa.float64()))
        numbers = self.column(name.removeprefix("-"))
        kind = numbers.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(f"keep: column {name!r} is of type {kind}; expected numbers")
        values = pc.fill_null(pc.cast(numbers, pa.float64()), float("nan"))
        return pc.negate(values) if name.startswith("-") else values

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of images, planned or the score sidecars, for all rows of the shard."""
        tables = [self.folder.image_table(self.shard), self.folder.planned(self.shard)]
        for url in [*tables, *(self.folder.scores(label, self.shard) for label in self.scores)]:
            if name in read_schema(url).names:
                return read_table(url, [name])[name]
        raise ValueError(f"no column {name!r} in images, planned or scores {list(self.scores)}")

    def embeddings(self, label: str) -> tuple[Indices, Halves]:
        """The rows that have a usable embedding, and their embeddings in the same order."""
        url = self.folder.image_embeddings(label, self.shard)
        with open_read(url) as file:
            embeddings = read_halves(file, url, *open_halves(file, url))
        places = self.places()
        if len(places) != len(embeddings):
            raise ValueError(f"{url} holds {len(embeddings)} rows; images/ has {len(places)} with an image")
        fit = usable(embeddings)
        return places[fit], embeddings[fit]


def embedding_shape(work: str, label: str, shard: int) -> tuple[int, int]:
    """Rows and width of a shard's embedding file, by its header alone."""
    url = RunFolder(work).image_embeddings(label, shard)
    with open_read(url) as file:
        return open_halves(file, url)


def read_head(work: str, label: str, shard: int, rows: int) -> Halves:
    """The first rows of a shard's embeddings, reading no more than them; unusable ones left out."""
    url = RunFolder(work).image_embeddings(label, shard)
    with open_read(url) as file:
        there, width = open_halves(file, url)
        head = read_halves(file, url, min(rows, there), width)
    return head[usable(head)]


def has_image(images: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    good = pc.and_(pc.equal(images["status"], "success"), pc.is_null(images["reason"]))
    return np.asarray(pc.fill_null(good, False), dtype=bool)


def open_halves(file: IO[bytes], url: str) -> tuple[int, int]:
    """Reads the header of an npy file and checks that it is a float16 matrix in C order."""
    major, minor = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if (major, minor) == (1, 0) else np.lib.format.read_array_header_2_0
    with _PARSING:
        shape, fortran, kind = read(file)
    if fortran or kind != np.float16 or len(shape) != 2:
        raise ValueError(f"{url}: expected a float16 matrix in C order; it holds {kind} of shape {shape}")
    return int(shape[0]), int(shape[1])


def read_halves(file: IO[bytes], url: str, rows: int, width: int) -> Halves:
    """The next rows of an open npy file."""
    data = file.read(rows * width * 2)
    if len(data) < rows * width * 2:
        raise ValueError(f"{url} ends after {len(data) // (2 * width)} of {rows} rows")
    return np.frombuffer(data, dtype=np.float16).reshape(rows, width)
