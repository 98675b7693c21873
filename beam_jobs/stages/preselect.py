"""Preselect: which pairs are worth fetching, laid out in image shards.

In: pairs/part-*.parquet, counters' sidecars beside them, the recipe's `preselect` steps. Out: preselected/part-* (same
rows: uid, reason or null, shard) and planned/NNNNN.parquet: the living rows of a shard in the order of their uids'
hashes, so that shards are shuffled by construction. Two shuffles: keys of the steps that compare rows, then the
planned rows themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.corpus.sidecars import CorpusColumns
from beam_jobs.judging import ALIVE, NOT_ALIVE, Codes, JudgeShards, read_codes
from beam_jobs.matching.layout import bin_bits, cut, histogram, orders, shards_of
from beam_jobs.shuffle import GroupBlobs
from beam_jobs.storage.blobs import pack, unpack
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import iter_batches, read_schema, read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.text_columns import add_text_columns, columns_to_read
from schemas.reasons import KEPT
from schemas.recipe_steps import Step
from schemas.tables import PLANNED_DROPS, PRESELECTED

Made = tuple[str, int, Tally]
# In the metadata of rows that are sent: their part, and the number of the first row of their batch.
_FROM = b"from"


def load_pairs(
    work: str, part: int, columns: Sequence[str], *, corpus: Mapping[str, str] | None = None
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """A part's columns, uid among them, and which of its rows are alive after extraction.

    corpus: the columns that counters made, to their labels. Columns that are nowhere are made of texts.
    """
    url = RunFolder(work).pairs(part)
    counted = CorpusColumns(work, corpus or {})
    own = [name for name in columns if name not in counted.homes]
    read = columns_to_read(own, read_schema(url).names)
    table = read_table(url, list(dict.fromkeys(["uid", *read, "reason"])))
    for name, column in counted.read(part, columns, uids=table["uid"]).items():
        table = table.append_column(name, column)
    alive = np.asarray(table["reason"].is_null())
    return add_text_columns(table, own), alive


class _LoadPairs:
    def __init__(self, work: str, corpus: Mapping[str, str]) -> None:
        self._work = work
        self._corpus = corpus

    def __call__(self, part: int, columns: Sequence[str]) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
        return load_pairs(self._work, part, columns, corpus=self._corpus)


class _CountPlaces(beam.DoFn):
    """How many living rows of a part fall in each bin of the order of uids."""

    def __init__(self, work: str, bits: int) -> None:
        self._folder = RunFolder(work)
        self._bits = bits

    def process(self, judged: tuple[int, bytes]) -> Iterator[npt.NDArray[np.int64]]:
        part, blob = judged
        uids = read_table(self._folder.pairs(part), ["uid"])["uid"]
        yield histogram(orders(uids.filter(read_codes(blob) == ALIVE).to_pylist()), self._bits)


class _Sum(beam.CombineFn):
    """Adds histograms."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def create_accumulator(self) -> npt.NDArray[np.int64]:
        return np.zeros(1 << self._bits, dtype=np.int64)

    def add_input(self, accumulator: npt.NDArray[np.int64], element: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return accumulator + element

    def merge_accumulators(self, accumulators: Iterable[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        return np.sum(list(accumulators), axis=0, dtype=np.int64)

    def extract_output(self, accumulator: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return accumulator


class _LayOut(beam.DoFn):
    """Writes a part's sidecar, and sends its living rows to their shards."""

    ROWS = "rows"

    def __init__(
        self, work: str, bits: int, rows_per_shard: int, *, reasons: Sequence[str], corpus: Mapping[str, str]
    ) -> None:
        self._folder = RunFolder(work)
        self._corpus = CorpusColumns(work, corpus)
        self._bits = bits
        self._rows_per_shard = rows_per_shard
        self._reasons = tuple(reasons)

    def process(
        self, judged: tuple[int, bytes], counts: npt.NDArray[np.int64]
    ) -> Iterator[Made | beam.pvalue.TaggedOutput]:
        part, blob = judged
        codes = read_codes(blob)
        starts = cut(counts, self._rows_per_shard)
        ids = read_table(self._folder.pairs(part), ["uid", "reason"])
        shards = np.where(codes == ALIVE, shards_of(orders(ids["uid"].to_pylist()), starts, self._bits), -1)
        counted = self._corpus.read(part, self._corpus.homes, uids=ids["uid"])
        first = 0
        for batch in iter_batches(self._folder.pairs(part)):
            here = shards[first : first + batch.num_rows]
            table = pa.Table.from_batches([batch])
            for name, column in counted.items():
                table = table.append_column(name, column.slice(first, batch.num_rows))
            yield from self._rows(part, first, table, here)
            first += batch.num_rows
        yield "preselect", part, self._write(part, ids, codes, shards)

    def _rows(
        self, part: int, first: int, table: pa.Table, shards: npt.NDArray[np.integer]
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        living = table.drop_columns(list(PLANNED_DROPS))
        for shard in np.unique(shards[shards >= 0]):
            rows = np.flatnonzero(shards == shard)
            sent = living.take(pa.array(rows)).combine_chunks()
            blob = pack(sent.replace_schema_metadata({_FROM: f"{part} {first}"}))
            yield beam.pvalue.TaggedOutput(self.ROWS, (int(shard), blob))

    def _write(self, part: int, ids: pa.Table, codes: Codes, shards: npt.NDArray[np.integer]) -> Tally:
        found = [self._reasons[code] if code >= 0 else None for code in codes.tolist()]
        before = ids["reason"].to_pylist()
        sidecar = pa.table(
            {
                "uid": ids["uid"],
                "reason": pa.array([old or new for old, new in zip(before, found, strict=True)], pa.string()),
                "shard": pa.array(shards, pa.int32(), mask=shards < 0),
            },
            schema=PRESELECTED,
        )
        digest = write_table(self._folder.preselected(part), sidecar)
        alive = codes[codes != NOT_ALIVE]
        reasons = Counter(KEPT if code == ALIVE else self._reasons[code] for code in alive.tolist())
        return Tally(rows_in=len(alive), reasons=dict(reasons), digest=digest)


def _origin(sent: pa.Table) -> tuple[int, int]:
    part, first = sent.schema.metadata[_FROM].split()
    return int(part), int(first)


class _WritePlanned(beam.DoFn):
    """Writes the rows of a shard in the order of their uids' hashes; equal uids in the order of parts."""

    def __init__(self, work: str) -> None:
        self._folder = RunFolder(work)

    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[Made]:
        shard, blobs = grouped
        sent = sorted(map(unpack, blobs), key=_origin)
        table = pa.concat_tables([part.replace_schema_metadata() for part in sent], promote_options="permissive")
        ranks = np.argsort(orders(table["uid"].to_pylist()), kind="stable")
        table = table.take(pa.array(ranks)).combine_chunks()
        digest = write_table(self._folder.planned(shard), table)
        yield "planned", shard, Tally(rows_in=table.num_rows, reasons={KEPT: table.num_rows}, digest=digest)


class PreselectParts(beam.PTransform):
    """A pipeline to two collections of (ledger stage, number, Tally): the parts judged, the shards planned.

    rows: how many living pairs there are, which sizes the histogram and the buckets. corpus: the columns that counters
    made, to their labels; they are planned with the rows.
    """

    def __init__(
        self,
        work: str,
        *,
        parts: Sequence[int],
        rows: int,
        steps: Sequence[Step],
        rows_per_shard: int,
        corpus: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._work = work
        self._parts = list(parts)
        self._rows = rows
        self._steps = tuple(steps)
        self._rows_per_shard = rows_per_shard
        self._corpus = dict(corpus or {})

    def expand(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, beam.PCollection]:
        bits = bin_bits(self._rows, self._rows_per_shard)
        judged = (
            pipeline
            | beam.Create(self._parts)
            | "Judge" >> JudgeShards(_LoadPairs(self._work, self._corpus), self._steps, rows=self._rows)
        )
        counts = (
            judged
            | "CountPlaces" >> beam.ParDo(_CountPlaces(self._work, bits))
            | "SumPlaces" >> beam.CombineGlobally(_Sum(bits))
        )
        reasons = [step.reason for step in self._steps]
        laid_out = judged | "LayOut" >> beam.ParDo(
            _LayOut(self._work, bits, self._rows_per_shard, reasons=reasons, corpus=self._corpus),
            beam.pvalue.AsSingleton(counts),
        ).with_outputs(_LayOut.ROWS, main="parts")
        planned = (
            laid_out[_LayOut.ROWS] | "ByShard" >> GroupBlobs() | "WritePlanned" >> beam.ParDo(_WritePlanned(self._work))
        )
        return laid_out.parts, planned
