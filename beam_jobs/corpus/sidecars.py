"""The sidecars of counters beside the pairs that they are of.

In: which counter made which column. Out: columns of one part, with the rows and the order of its pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from beam_jobs.storage.parquet import read_table
from beam_jobs.storage.run_folder import RunFolder


@dataclass(frozen=True)
class CorpusColumns:
    """homes: each column that a counter made, to the counter's label."""

    work: str
    homes: Mapping[str, str] = field(default_factory=dict)

    def read(self, part: int, names: Iterable[str], *, uids: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
        """Those of the columns named that counters made. uids: of the part's rows, which the sidecars must have."""
        files: dict[str, list[str]] = {}
        for name in names:
            if name in self.homes:
                files.setdefault(RunFolder(self.work).corpus(self.homes[name], part), []).append(name)
        found: dict[str, pa.ChunkedArray] = {}
        for url, columns in files.items():
            table = read_table(url, ["uid", *columns])
            if table["uid"] != uids:
                raise ValueError(f"{url} does not have the rows of {RunFolder(self.work).pairs(part)}")
            found.update({name: table[name] for name in columns})
        return found
