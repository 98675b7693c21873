"""Narrow rows as bytes for a shuffle, with float16 vectors where there are any, and held again in bounded memory.

In: Arrow tables (and vectors of the same rows). Out: Arrow IPC streams, one a (shard, destination); a `Held` of all
that arrived at a destination, vectors on disk from a stated number of bytes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from beam_jobs.matching.vectors import Halves, Indices

VECTOR = "vector"
HELD_BYTES = 256 << 20


def pack(table: pa.Table, vectors: Halves | None = None) -> bytes:
    """A table, with a fixed-size column of vectors if given, as an Arrow IPC stream."""
    if vectors is not None:
        flat = np.ascontiguousarray(vectors)
        column = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(2 * flat.shape[1]), len(flat), [None, pa.py_buffer(flat)]
        )
        table = table.append_column(VECTOR, column)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack(blob: bytes) -> pa.Table:
    """The table of one stream, vectors as they were packed."""
    return pa.ipc.open_stream(blob).read_all()


def unpack_all(blobs: Iterable[bytes]) -> pa.Table | None:
    """The rows of all streams in one table, without vectors; None when there is no stream."""
    tables = [unpack(blob) for blob in blobs]
    return pa.concat_tables(tables).combine_chunks() if tables else None


def vectors_of(table: pa.Table) -> Halves:
    """The vectors of an unpacked table."""
    column = table[VECTOR].combine_chunks()
    chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    width = column.type.byte_width
    data = np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * width :][: len(chunk) * width]
    return data.view(np.float16).reshape(len(chunk), width // 2)


class Held:
    """Rows gathered at one destination: narrow columns in memory, vectors in memory or in a temporary file.

    A context manager: the file goes when the block ends.
    """

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        self._held_bytes = held_bytes
        self._tables: list[pa.Table] = []
        self._blocks: list[Halves] = []
        self._bytes = 0
        self._width = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.spilled_bytes = 0

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, blob: bytes) -> None:
        table = unpack(blob)
        self._tables.append(table.drop_columns([VECTOR]))
        self._blocks.append(vectors_of(table))
        self._bytes += self._blocks[-1].nbytes
        if self._bytes > self._held_bytes:
            self._spill()

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(table.num_rows for table in self._tables)

    def table(self) -> pa.Table:
        """The narrow columns of all rows, in the order of arrival."""
        return pa.concat_tables(self._tables).combine_chunks()

    def vectors(self) -> Halves:
        """The vectors of all rows, in the order of arrival; a memory map once they were too many."""
        if self._folder is None:
            return np.concatenate(self._blocks)
        if self._blocks:
            self._spill()
        return np.memmap(self._path, np.float16, mode="r").reshape(-1, self._width)

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "vectors"

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pairmill-")
        self._width = self._blocks[0].shape[1]
        with self._path.open("ab") as file:
            for block in self._blocks:
                file.write(np.ascontiguousarray(block).data)
        self.spilled_bytes += self._bytes
        self._blocks, self._bytes = [], 0


class Chosen:
    """Some rows of a matrix, read only when asked for: the rows of one cell, in the order given."""

    def __init__(self, matrix: Halves, places: Indices) -> None:
        self._matrix = matrix
        self._places = places

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._places), self._matrix.shape[1])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, which: slice | Indices) -> Halves:
        return np.asarray(self._matrix[self._places[which]])
