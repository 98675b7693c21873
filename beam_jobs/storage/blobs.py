"""Tables as bytes for a shuffle: Arrow IPC, zstd.

In and out: a pyarrow.Table with its schema; equal tables give equal bytes.
"""

from __future__ import annotations

import pyarrow as pa


def pack(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack(blob: bytes) -> pa.Table:
    return pa.ipc.open_stream(blob).read_all()
