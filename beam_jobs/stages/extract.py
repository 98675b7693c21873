"""extract: one split of a source to one part of the pairs.

In: a split (files, row groups, pages). Out: pairs/part-NNNNN.parquet, a row per image reference with its text, context,
licence and consent; rows that lead nowhere bear their reason. Streams: memory is that of a batch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.reading import read_split, split_schema
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.splits import Split
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import open_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.reasons import KEPT


@dataclass(frozen=True)
class ExtractTask:
    """What makes one part. `shard` is the part's number."""

    work: str
    shard: int
    split: Split
    options: ExtractOptions = field(default_factory=ExtractOptions)


def extract_part(task: ExtractTask) -> Tally:
    """Writes the part's table; counts its rows by reason, and pages and records by what became of them."""
    counts = Counts()
    reasons: Counter[str] = Counter()
    url = RunFolder(task.work).pairs(task.shard)
    with open_table(url, split_schema(task.split)) as table:
        for batch in read_split(task.split, task.options, counts=counts):
            reasons.update(_reasons(batch))
            table.write(batch)
    return Tally(
        rows_in=sum(reasons.values()),
        reasons=dict(sorted(reasons.items())),
        digest=table.hexdigest(),
        details=counts.details(),
    )


def _reasons(batch: pa.RecordBatch) -> dict[str, int]:
    counted = pc.value_counts(pc.fill_null(batch.column("reason"), KEPT))
    return {entry["values"]: entry["counts"] for entry in counted.to_pylist()}
