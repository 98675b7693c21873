"""Score: the columns and embeddings that scorers give, one sidecar per scorer beside each image shard.

In: images/NNNNN.tar with its table, planned/NNNNN.parquet, the scorers still missing, and the embeddings that earlier
scorers stored. Out: scores/<label>/NNNNN.parquet
with the rows and the order of the image table, null where there is no picture; embeddings/<label>/ in clip-retrieval's
layout, a row per picture. The tar is read once, each picture is decoded once for all scorers, and reading and decoding
go on in threads while the models work.
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from beam_jobs.accounting import Tally
from beam_jobs.cores import usable_cores
from beam_jobs.storage.embeddings import read_embeddings, write_embeddings
from beam_jobs.storage.files import open_read
from beam_jobs.storage.parquet import read_schema, read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import Sample, iter_samples
from filters.ahead import map_ahead
from filters.gathering import Gathering
from filters.loading import load_model
from filters.registry import Entry, make_scorers
from filters.scorer import IMAGE, Need, Scorer
from schemas.reasons import KEPT
from schemas.refusal import Refusal
from schemas.tables import IMG2DATASET

METADATA_KEY = "pairmill"
_PICTURE_EXTENSIONS = ("jpg", "png", "webp")
# How many batches' pictures wait decoded, at most.
_BATCHES_AHEAD = 2
# What Pillow raises on bytes that are no whole image.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreTask:
    """Which scorers a shard still lacks, as entries of the recipe. `device` is auto, cpu or cuda.

    needed: the entries whose embeddings they read, made before or in this task.
    """

    work: str
    shard: int
    scorers: tuple[Entry, ...]
    device: str = "auto"
    needed: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class _Rows:
    """`images` is the shard's table, `has_picture` its rows that have one, `inputs` what scorers read of those."""

    images: pa.Table
    has_picture: pa.Array
    inputs: pa.Table


def score_shard(task: ScoreTask) -> dict[str, Tally]:
    """Scores the pictures of one shard; a Tally per ledger `score/<label>`."""
    folder = RunFolder(task.work)
    scorers = make_scorers(task.scorers)
    rows = _read_rows(folder, task.shard, scorers)
    needed = {scorer.label: scorer for scorer in make_scorers(task.needed)}
    first = [Gathering(scorer, load_model(scorer, task.device), rows.inputs) for scorer in scorers if not scorer.needs]
    for gathering in first:
        if not gathering.wants_images:
            gathering.add_all()
    of_images = [each for each in first if each.wants_images]
    if of_images and rows.inputs.num_rows:
        with open_read(folder.image_tar(task.shard)) as file:
            _score_pictures(file, rows.inputs["key"].to_pylist(), of_images)
    written = {each.scorer.label: _write(folder, task.shard, rows, each) for each in first}
    for scorer in scorers:
        if scorer.needs:
            stored = {need: _stored(folder, task.shard, need) for need in scorer.needs}
            last = Gathering(scorer, load_model(scorer, task.device, needed), rows.inputs, stored)
            last.add_all()
            written[scorer.label] = _write(folder, task.shard, rows, last)
    return {f"score/{scorer.label}": written[scorer.label] for scorer in scorers}


def _stored(folder: RunFolder, shard: int, need: Need) -> np.ndarray:
    at = folder.image_embeddings if need.side == "image" else folder.text_embeddings
    return read_embeddings(at(need.label, shard))


def _read_rows(folder: RunFolder, shard: int, scorers: Sequence[Scorer]) -> _Rows:
    images = read_table(folder.image_table(shard))
    planned = read_schema(folder.planned(shard)).names
    wanted = list(dict.fromkeys(name for scorer in scorers for name in scorer.inputs if name != IMAGE))
    for name in wanted:
        if name not in planned and name not in images.column_names:
            exist = ", ".join(dict.fromkeys([*planned, *images.column_names]))
            raise Refusal(f"score: a scorer reads the column {name!r}, which no table has; there are {exist}")
    of_planned = [name for name in ["uid", *wanted] if name in planned]
    inputs = read_table(folder.planned(shard), list(dict.fromkeys(of_planned)))
    if not inputs["uid"].equals(images["uid"]):
        raise ValueError(f"shard {shard}: planned/ and images/ hold different rows")
    for name in ["key", *wanted]:
        if name not in inputs.column_names:
            inputs = inputs.append_column(name, images[name])
    has_picture = pc.is_null(images["reason"]).combine_chunks()
    return _Rows(images, has_picture, inputs.filter(has_picture).combine_chunks())


def _score_pictures(file: IO[bytes], keys: Sequence[str], gatherings: Sequence[Gathering]) -> None:
    """Feeds every picture of a tar to the scorers, in the order of its rows."""

    def prepare(sample: Sample) -> tuple[Sample, list[Any] | str]:
        try:
            image = _decode(sample)
            return sample, [each.scorer.prepare(image, each.model) for each in gatherings]
        except _UNREADABLE as error:
            return sample, f"{type(error).__name__}: {error}"

    ahead = _BATCHES_AHEAD * max(each.rows_at_once for each in gatherings)
    found = 0
    with closing(map_ahead(prepare, iter_samples(file), threads=usable_cores(), ahead=ahead)) as samples:
        for row, (sample, prepared) in enumerate(samples):
            if keys[row : row + 1] != [sample.key]:
                raise ValueError(f"the tar holds {sample.key!r} where its table has {keys[row : row + 1]}")
            found += 1
            if isinstance(prepared, str):
                _log.warning("stored image %s cannot be scored: %s", sample.key, prepared)
                continue
            for gathering, each in zip(gatherings, prepared, strict=True):
                gathering.add(row, each)
    if found != len(keys):
        raise ValueError(f"the tar holds {found} samples, its table {len(keys)}")


def _decode(sample: Sample) -> Image.Image:
    """The stored picture, decoded as open_clip's own loading would: whole, at full size, in its own mode."""
    for extension in _PICTURE_EXTENSIONS:
        if extension in sample.members:
            image = Image.open(BytesIO(sample.members[extension]))
            image.load()
            return image
    raise ValueError(f"no picture among the members {sorted(sample.members)}")


def _write(folder: RunFolder, shard: int, rows: _Rows, gathering: Gathering) -> Tally:
    """Writes what one scorer gave, its sidecar last."""
    scorer, gathered = gathering.scorer, gathering.close()
    metadata = {METADATA_KEY: json.dumps(scorer.provenance(gathering.model), sort_keys=True)}
    if gathered.image_embeddings is not None:
        write_embeddings(folder.image_embeddings(scorer.label, shard), gathered.image_embeddings)
    if gathered.text_embeddings is not None:
        write_embeddings(folder.text_embeddings(scorer.label, shard), gathered.text_embeddings)
    if scorer.embeds:
        write_table(folder.embedding_table(scorer.label, shard), _embedding_rows(rows), metadata=metadata)
    columns = _beside_failures(gathered.columns, rows.has_picture)
    sidecar = pa.table({"uid": rows.images["uid"], **{name: columns[name] for name in columns.column_names}})
    digest = write_table(folder.scores(scorer.label, shard), sidecar, metadata=metadata)
    scored = int(gathered.scored.sum())
    reasons = {KEPT: scored, "score_failed": len(gathered.scored) - scored}
    return Tally(len(gathered.scored), {reason: n for reason, n in reasons.items() if n}, digest)


def _beside_failures(columns: pa.Table, has_picture: pa.Array) -> pa.Table:
    """Columns of the rows with a picture spread over all rows of the shard, null elsewhere."""
    mask = np.asarray(has_picture.to_numpy(zero_copy_only=False), dtype=bool)
    return columns.take(pa.array(np.cumsum(mask) - 1, pa.int64(), mask=~mask))


def _embedding_rows(rows: _Rows) -> pa.Table:
    """Which row of the embeddings is which picture, in clip-retrieval's columns."""
    kept = rows.images.filter(rows.has_picture)
    names = ["uid", *(name for name in IMG2DATASET.names if name != "caption")]
    return pa.table({"image_path": kept["key"], "caption": kept["caption"], **{name: kept[name] for name in names}})
