"""Select: the recipe's rules over all that is known of each downloaded pair, to keep or a reason why not.

In: for each image shard, the columns that the steps name, from planned/, images/, scores/ and groups/ side by side.
Out: selected/<recipe>/NNNNN.parquet, with the rows of the shard: uid, keep, and the first reason why not; a row whose
download failed keeps the class of its failure as its reason; and the columns that the recipe makes of what it keeps,
with the facts behind them in columns.json. No image is opened and no model is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.homes import Homes, LoadSidecars
from beam_jobs.judging import ALIVE, NOT_ALIVE, JudgeShards, Load, read_codes
from beam_jobs.matching.kept_columns import Facts, make_columns
from beam_jobs.measuring import MeasureKept, kept_rows
from beam_jobs.storage.files import write_json
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.reasons import KEPT
from schemas.recipe import Recipe
from schemas.tables import SELECTED


def write_selection(
    work: str,
    recipe: str,
    shard: int,
    *,
    codes: npt.NDArray[np.int16],
    reasons: Sequence[str],
    columns: Mapping[str, pa.Array] | None = None,
) -> Tally:
    """Writes a shard's selection. codes: for each row the index in `reasons`, ALIVE or NOT_ALIVE.

    columns: those of the kept rows, made for this recipe.
    """
    folder = RunFolder(work)
    images = read_table(folder.image_table(shard), ["uid", "reason"])
    dropped = pa.array(reasons, pa.string()).take(pa.array(codes, pa.int16(), mask=codes < 0))
    ended = pc.coalesce(images["reason"].combine_chunks(), dropped)
    selected = pa.table({"uid": images["uid"], "keep": codes == ALIVE, "reason": ended}, schema=SELECTED)
    kept = np.flatnonzero(codes == ALIVE)
    places = np.full(len(codes), -1)
    places[kept] = np.arange(len(kept))
    for name, values in (columns or {}).items():
        selected = selected.append_column(name, values.take(pa.array(places, mask=places < 0)))
    digest = write_table(folder.selected(recipe, shard), selected)
    judged = codes[codes != NOT_ALIVE]
    counts = Counter(KEPT if code == ALIVE else reasons[code] for code in judged.tolist())
    return Tally(rows_in=len(judged), reasons=dict(counts), digest=digest)


class _WriteSelection(beam.DoFn):
    def __init__(self, work: str, recipe: Recipe, load: Load) -> None:
        self._work = work
        self._name = recipe.name
        self._reasons = tuple(step.reason for step in recipe.select)
        self._made = recipe.columns
        self._load = load

    def process(self, judged: tuple[int, bytes], facts: Facts | None = None) -> Iterator[tuple[str, int, Tally]]:
        shard, blob = judged
        columns = None if facts is None else make_columns(kept_rows(self._load, judged, self._made), self._made, facts)
        codes = read_codes(blob)
        tally = write_selection(self._work, self._name, shard, codes=codes, reasons=self._reasons, columns=columns)
        yield f"select/{self._name}", shard, tally


def write_facts(facts: Facts, work: str, recipe: str) -> None:
    """Writes what the recipe's columns were made with."""
    write_json(RunFolder(work).made_columns(recipe), dict(facts))


class SelectShards(beam.PTransform):
    """A pipeline to (ledger stage, shard, Tally) of each image shard."""

    def __init__(self, work: str, *, shards: Sequence[int], recipe: Recipe) -> None:
        super().__init__()
        self._work = work
        self._shards = list(shards)
        self._recipe = recipe

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        steps = self._recipe.select
        load = LoadSidecars(self._work, Homes.of(self._recipe))
        rows = len(self._shards) * self._recipe.download.rows_per_shard
        judged = pipeline | beam.Create(self._shards) | "Judge" >> JudgeShards(load, steps, rows=rows)
        write = _WriteSelection(self._work, self._recipe, load)
        if not self._recipe.columns:
            return judged | "WriteSelection" >> beam.ParDo(write)
        facts = judged | "Measure" >> MeasureKept(load, self._recipe.columns)
        facts | "WriteFacts" >> beam.Map(write_facts, self._work, self._recipe.name)
        return judged | "WriteSelection" >> beam.ParDo(write, beam.pvalue.AsSingleton(facts))
