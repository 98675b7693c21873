"""Arrow tables in Parquet files: zstd, no timestamps, the same bytes for the same table.

In: tables or a stream of record batches. Out: a file, committed at once, and the SHA-256 of its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from beam_jobs.storage.files import HashingFile, atomic_write, open_read

ROWS_PER_GROUP = 10_000


class TableFile:
    """A Parquet file being written, batch by batch."""

    def __init__(self, file: HashingFile, schema: pa.Schema, compression: str) -> None:
        self._file = file
        self._writer = pq.ParquetWriter(file, schema, compression=compression, store_schema=True)
        self.rows = 0

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        self.rows += table.num_rows

    def close(self) -> None:
        self._writer.close()

    def hexdigest(self) -> str:
        """SHA-256 of the file; valid once the block of `open_table` has ended."""
        return self._file.hexdigest()


@contextmanager
def open_table(url: str, schema: pa.Schema, *, compression: str = "zstd") -> Iterator[TableFile]:
    """A table file to stream batches into; it exists only after the block ended well."""
    with atomic_write(url) as file:
        table_file = TableFile(file, schema, compression)
        yield table_file
        table_file.close()


def write_table(
    url: str, table: pa.Table, *, compression: str = "zstd", metadata: Mapping[str, str] | None = None
) -> str:
    """Writes a table; the SHA-256 of the file. `metadata` goes into the file's schema metadata."""
    if metadata is not None:
        table = table.replace_schema_metadata(dict(metadata))
    with open_table(url, table.schema, compression=compression) as file:
        file.write(table)
    return file.hexdigest()


def read_table(url: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole table, or some of its columns in the order asked for."""
    with open_read(url) as file:
        table = pq.ParquetFile(file).read(columns=None if columns is None else list(columns))
    return table if columns is None else table.select(list(columns))


def read_schema(url: str) -> pa.Schema:
    """Column names and types (and metadata) without reading a row."""
    with open_read(url) as file:
        return pq.read_schema(file)


def count_rows(url: str) -> int:
    with open_read(url) as file:
        return int(pq.ParquetFile(file).metadata.num_rows)


def iter_batches(
    url: str, columns: Sequence[str] | None = None, *, batch_rows: int = ROWS_PER_GROUP
) -> Iterator[pa.RecordBatch]:
    """The rows in batches of at most `batch_rows`, in file order; memory of one row group."""
    with open_read(url) as file:
        yield from pq.ParquetFile(file).iter_batches(
            batch_size=batch_rows, columns=None if columns is None else list(columns)
        )
