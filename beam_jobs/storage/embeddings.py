"""Embeddings in clip-retrieval's layout: float16 rows of unit length, in npy 1.0, C order.

In: float32 rows. Out: a file that appears at once; the bytes depend on the rows alone. And back.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np

from beam_jobs.storage.files import open_read, write_bytes


def write_embeddings(url: str, rows: np.ndarray) -> str:
    """Writes an array (rows, dimension); the SHA-256 of the file."""
    file = BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(rows, dtype=np.float16), version=(1, 0), allow_pickle=False)
    return write_bytes(url, file.getvalue())


def read_embeddings(url: str) -> np.ndarray:
    """The array as it is stored."""
    with open_read(url) as file:
        rows: np.ndarray = np.load(BytesIO(file.read()), allow_pickle=False)
    return rows
