"""Counts over what was downloaded: repeats of texts and contents, and concepts of texts and tags.

In: images/, planned/ and scores/. Out: (ledger, shard, Tally) of each sidecar; of concepts also
groups/<label>/counts.parquet, how often each occurs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import PBegin, PCollection

from beam_jobs.corpus.concepts import ConceptKeys
from beam_jobs.corpus.joint import JointKeys
from beam_jobs.corpus.keying import Keying, add_totals
from beam_jobs.corpus.repeats import RepeatKeys
from beam_jobs.corpus.tallies import Counted, Spectrum
from beam_jobs.counting import CountKeys, Made
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.vectors import Indices
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.rules import PASSES, columns_read, first_failing
from schemas.grouping_counts import CountsOptions, StoredConcepts
from schemas.reasons import KEPT
from schemas.recipe_steps import Rule
from schemas.recipe_text import Place

# A shard holds about so many; sizes buckets and decides nothing else.
_ROWS_PER_SHARD = 10_000


class FindCounts(beam.PTransform):
    """Counts over the rows that have an image."""

    def __init__(self, work: str, shards: Sequence[int], options: CountsOptions, scores: Sequence[str]) -> None:
        super().__init__()
        self._source = ImagesSource(work, options, tuple(scores))
        self._shards = shards

    def expand(self, begin: PBegin) -> PCollection:
        return begin | CountKeys(self._source, parts=self._shards, rows=len(self._shards) * _ROWS_PER_SHARD)


@dataclass(frozen=True)
class ImagesSource:
    """The rows of image shards that have an image."""

    work: str
    options: CountsOptions
    scores: tuple[str, ...]

    @cached_property
    def keying(self) -> Keying:
        if not isinstance(self.options, StoredConcepts):
            return RepeatKeys(self.options.counter)
        texts = ConceptKeys(self.options.counter, self.options.sha256)
        return JointKeys(texts, self.options.tags) if self.options.tags else texts

    @property
    def tabulates(self) -> bool:
        return isinstance(self.options, StoredConcepts)

    def living(self, part: int) -> Iterator[pa.Table]:
        yield self._counted(ImageRows(self.work, part, self.scores))[1]

    def write(self, part: int, totals: Counted, spectrum: Spectrum) -> Made:
        rows = ImageRows(self.work, part, self.scores)
        uids = rows.uids()
        places, table = self._counted(rows)
        made = add_totals(table, self.keying, totals, spectrum)
        at = np.zeros(len(uids), dtype=np.int64)
        at[places] = np.arange(len(places))
        absent = np.ones(len(uids), dtype=bool)
        absent[places] = False
        taken = pa.array(at, mask=absent)
        label = self.options.label
        columns = {f"{label}_{name}": column.take(taken) for name, column in made.items()}
        digest = write_table(
            RunFolder(self.work).groups(label, part), pa.table({"uid": uids.combine_chunks(), **columns})
        )
        details = {"pairs": {"counted": len(places), "not counted": len(uids) - len(places)}}
        tally = Tally(rows_in=len(uids), reasons={KEPT: len(uids)}, digest=digest, details=details)
        return f"group/{label}", part, tally

    def groups(self, part: int) -> set[str | None]:
        assert isinstance(self.options, StoredConcepts)
        per = self.options.per
        return {value for table in self.living(part) for value in table[per].unique().to_pylist()} if per else set()

    def tabulate(self, totals: Counted, groups: Sequence[str | None]) -> str:
        keying = self.keying
        assert isinstance(keying, (ConceptKeys, JointKeys))
        return write_table(RunFolder(self.work).group_counts(self.options.label), keying.table(groups, totals))

    def _counted(self, rows: ImageRows) -> tuple[Indices, pa.Table]:
        """Which rows of a shard count, and what is read of them."""
        asked = [Rule("keep", self.options.where, "counted", Place("where"))] if self.options.where else []
        names = dict.fromkeys(["uid", *self.options.reads, *columns_read(asked)])
        places = rows.places()
        table = pa.table({name: rows.column(name) for name in names}).take(pa.array(places))
        true = first_failing(table, asked) == PASSES
        return places[true], table.filter(pa.array(true))
