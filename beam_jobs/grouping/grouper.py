"""What groupers share: a step that knows its run folder and options, and the buckets of rows settled into groups.

In: shard numbers; blobs of rows (beam_jobs/matching). Out: sidecars groups/<label>/NNNNN.parquet and their Tally.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from beam_jobs.matching import exact_steps
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.sidecars import row_kinds
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import Grouper
from schemas.reasons import KEPT

Made = tuple[str, int, Tally]
Blob = tuple[int, bytes]


def named(shard: int) -> Blob:
    """A shard that is to get a sidecar, whether anything is sent to it or not."""
    return shard, b""


class Finder(beam.PTransform):
    """A pipeline to the (ledger, shard, Tally) of one grouper's sidecars.

    scores: labels of the score sidecars in which its preferences may name columns.
    """

    def __init__(self, work: str, shards: Sequence[int], options: Grouper, scores: Sequence[str]) -> None:
        super().__init__()
        self._job: tuple[str, Any, tuple[str, ...]] = (work, options, tuple(scores))
        self._shards = shards


class GroupFn(beam.DoFn):
    """A step that knows the run folder, its grouper's options and the scores that preferences may name."""

    def __init__(self, work: str, options: Grouper, scores: tuple[str, ...]) -> None:
        self._work = work
        self._options: Any = options
        self._scores = scores

    def rows(self, shard: int) -> ImageRows:
        return ImageRows(self._work, shard, self._scores)

    def write(self, shard: int, table: pa.Table) -> Made:
        label = self._options.label
        digest = write_table(RunFolder(self._work).groups(label, shard), table)
        reasons = {KEPT: table.num_rows}
        tally = Tally(rows_in=table.num_rows, reasons=reasons, digest=digest, details=self.details(table))
        return f"group/{label}", shard, tally

    def details(self, table: pa.Table) -> dict[str, dict[str, int]]:
        """What the ledger is told of a sidecar's rows."""
        return {"duplicates": dict(row_kinds(table, self._options.label))}


class SettleBucket(beam.DoFn):
    """A bucket of rows to the members of its groups, by shard."""

    def __init__(self, carry: tuple[str, ...] = ()) -> None:
        self._carry = carry

    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Blob]:
        yield from exact_steps.settle_bucket(grouped[1], self._carry)
