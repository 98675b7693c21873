"""The sidecar of a grouper: a row for each row of the image shard, in its order.

In: the uids of a shard, which rows were looked at, and the settled members among them. Out: an Arrow table, and how
many rows are what.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_jobs.matching.settle import ID, UID, row_of
from beam_jobs.matching.vectors import Indices


def group_columns(label: str, uids: pa.ChunkedArray, looked_at: Indices, settled: pa.Table | None) -> pa.Table:
    """uid, `<label>_group`, `<label>_size`, `<label>_duplicate_of`.

    A row alone is a group of one with its own uid as the name; a row that was not looked at has nulls.
    """
    rows = len(uids)
    seen = np.zeros(rows, dtype=bool)
    seen[looked_at] = True
    own = np.array(uids.to_pylist(), dtype=object)
    group, of = own.copy(), np.full(rows, None, dtype=object)
    size = np.ones(rows, np.int32)
    if settled is not None and settled.num_rows:
        ids = settled[ID].to_numpy()
        at = row_of(ids)
        group[at] = settled["group"].to_pylist()
        size[at] = settled["size"].to_numpy()
        copies = ids != settled["survivor_id"].to_numpy()
        of[at[copies]] = np.array(settled["survivor"].to_pylist(), dtype=object)[copies]
    group[~seen] = None
    return pa.table(
        {
            UID: uids.combine_chunks(),
            f"{label}_group": pa.array(group, pa.string()),
            f"{label}_size": pa.array(size, pa.int32(), mask=~seen),
            f"{label}_duplicate_of": pa.array(of, pa.string()),
        }
    )


def row_kinds(table: pa.Table, label: str) -> Mapping[str, int]:
    """How many rows of a sidecar are a survivor, a duplicate, alone, or have nothing to compare."""
    sizes = table[f"{label}_size"].to_numpy(zero_copy_only=False)
    copies = np.asarray(table[f"{label}_duplicate_of"].is_valid())
    shared: NDArray[np.bool_] = np.nan_to_num(np.asarray(sizes, dtype=np.float64)) >= 2
    return {
        "survivor": int((shared & ~copies).sum()),
        "duplicate": int(copies.sum()),
        "alone": int((np.asarray(sizes, dtype=np.float64) == 1).sum()),
        "no_image": int(table[f"{label}_size"].null_count),
    }
