"""A part of the pairs as counters read it, and the sidecar that they make of it.

In: pairs/part-NNNNN.parquet. Out: corpus/<label>/part-NNNNN.parquet: a row for each row of the part, in its order: uid
and the counter's columns, null where the row ended at extraction. Both in chunks, so that memory is that of a chunk
and of the part's different keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.corpus.keying import Keying, add_totals
from beam_jobs.corpus.tallies import Counted, Spectrum
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import iter_batches, open_table, read_schema
from beam_jobs.storage.run_folder import RunFolder
from filters.text_columns import add_text_columns, columns_to_read
from schemas.corpus import Counter
from schemas.reasons import KEPT

CHUNK_ROWS = 65_536
# Of a sidecar's schema metadata; what made it and how exact it is, as JSON.
PROVENANCE = "pairmill"


@dataclass(frozen=True)
class PartRows:
    """The rows of one part."""

    work: str
    part: int

    def chunks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """uid, `columns` and `reason` of all rows, in order. Columns that the part lacks are made of its texts."""
        url = RunFolder(self.work).pairs(self.part)
        names = list(dict.fromkeys(["uid", *columns_to_read(columns, read_schema(url).names), "reason"]))
        for batch in iter_batches(url, names, batch_rows=CHUNK_ROWS):
            yield add_text_columns(pa.Table.from_batches([batch]), columns)

    def living(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The same of the rows that are alive after extraction."""
        for table in self.chunks(columns):
            yield table.filter(pc.is_null(table["reason"]))


def write_sidecar(
    rows: PartRows,
    counter: Counter,
    keying: Keying,
    *,
    totals: Counted,
    spectrum: Spectrum,
    provenance: Mapping[str, Any],
) -> Tally:
    """Writes the sidecar of a part, given the totals of its keys."""
    schema = pa.schema(
        [("uid", pa.string()), *counter.columns.items()],
        metadata={PROVENANCE: json.dumps(provenance, sort_keys=True)},
    )
    url = RunFolder(rows.work).corpus(counter.label, rows.part)
    told = count = 0
    with open_table(url, schema) as file:
        for table in rows.chunks(keying.reads):
            alive = np.asarray(pc.is_null(table["reason"])).astype(bool)
            made = add_totals(table.filter(pa.array(alive)), keying, totals, spectrum)
            at = pa.array(np.cumsum(alive) - 1, mask=~alive)
            columns = [made[name].take(at) for name in counter.MADE]
            count += int(alive.sum())
            told += len(columns[-1]) - columns[-1].null_count
            file.write(pa.table([table["uid"], *columns], schema=schema))
    return Tally(
        rows_in=count,
        reasons={KEPT: count} if count else {},
        digest=file.hexdigest(),
        details={"pairs": {"with a value": told, "without": count - told}},
    )
