"""The images nearest to each, step by step, as plain functions on bytes: what the Beam stage wires together.

    fit_probes         a sample of all embeddings  -> cells, and how many of them a row must visit
    visit_rows         a shard's embeddings        -> its rows in the buckets of the cells that they live in or visit
    nearest_of_bucket  rows of a bucket's cells    -> by shard, the nearest that each row met there, with their texts
    neighbours_table   all that came to a shard    -> its sidecar

Vectors and texts travel to buckets, texts of neighbours to shards; images never.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.matching.cell_files import each, write_cells
from beam_jobs.matching.cells import MOST_VISITS, Cells
from beam_jobs.matching.fit_cells import (
    HELD_OUT,
    ONE_BLOCK_ROWS,
    cells_for,
    home_of,
    kmeans,
    rows_per_cell,
    sample_rows,
)
from beam_jobs.matching.image_rows import ImageRows, embedding_shape, read_head
from beam_jobs.matching.narrow import HELD_BYTES, Chosen, Held, pack, unpack_all
from beam_jobs.matching.near_steps import BLOB_BYTES
from beam_jobs.matching.nearest import nearest_centres
from beam_jobs.matching.settle import ID, UID, row_of, shard_of
from beam_jobs.matching.threads import side_by_side
from beam_jobs.matching.vectors import SLACK, Floats, Indices, exact_cosines, runs, unit_rows
from schemas.grouping_clusters import NeighboursOptions
from schemas.keys import uid_order

# A crowd offers no more of its rows than these, the first by the hash of their uid: the others are as near.
MOST_OFFERED = 32_768
MOST_PROBES = MOST_VISITS + 1
_CELL, _RESIDENT, _TEXT = "cell", "resident", "text"
_MEASURED_WITH, _MEASURED_AMONG = 1024, 65_536
_TILE_ROWS, _TILE_COLUMNS = 1024, 4096
# So many more candidates are taken by float32 than are asked for.
_SPARE = 8
MET = pa.schema([("row", pa.int64()), ("cosine", pa.float64()), (UID, pa.string()), (_TEXT, pa.string())])


def fit_probes(work: str, shards: Sequence[int], options: NeighboursOptions) -> tuple[str, int]:
    """Fits and writes cells and how many of them to visit; a digest, and how many rows there are."""
    shards = sorted(shards)
    shapes = each(partial(embedding_shape, work, options.embedding), shards)
    rows, width = sum(shape[0] for shape in shapes), max((shape[1] for shape in shapes), default=0)
    count = cells_for(rows, options.cells)
    wanted = sample_rows(rows, count)
    quotas = [(shard, -(-shape[0] * wanted // max(1, rows))) for shard, shape in zip(shards, shapes, strict=True)]
    heads = each(lambda given: read_head(work, options.embedding, *given), quotas)
    sample = unit_rows(np.concatenate([head for head in heads if len(head)] or [np.zeros((0, width), np.float16)]))
    one_block = rows <= ONE_BLOCK_ROWS
    if one_block or len(sample) < 2 * options.k:
        cells = Cells(np.zeros((1, width), np.float32), math.inf, np.empty((width, 0), np.float32), np.ones(1))
        return write_cells(work, options.label, cells, rows=rows, sampled=len(sample)), rows
    held_out = min(HELD_OUT, len(sample) // 2)
    fitted = sample[: len(sample) - held_out][: rows_per_cell(count) * count]
    centroids = kmeans(fitted, min(count, len(fitted)), options.seed)
    home = home_of(sample, centroids)
    probes, recall = _probes_needed(sample, home, centroids, options)
    share = np.bincount(home, minlength=len(centroids)) / len(home)
    cells = Cells(centroids, 0.0, np.empty((width, 0), np.float32), share, recall, float(probes - 1))
    return write_cells(work, options.label, cells, rows=rows, sampled=len(sample)), rows


def _probes_needed(sample: Floats, home: Indices, centroids: Floats, options: NeighboursOptions) -> tuple[int, float]:
    """How many of its nearest cells a row visits to find the stated share of the k nearest, in the sample; the share.

    Neighbours are farther in a sample than among all rows, so the share among all is rather higher.
    """
    sample, home = sample[-_MEASURED_AMONG:], home[-_MEASURED_AMONG:]
    asking = sample[-_MEASURED_WITH:]
    similar = asking @ sample.T
    own = np.arange(len(sample) - len(asking), len(sample))
    similar[np.arange(len(asking)), own] = -2
    nearest = np.argpartition(similar, len(sample) - options.k, axis=1)[:, -options.k :]
    to_cells = asking @ centroids.T
    of_neighbours = np.take_along_axis(to_cells, home[nearest], axis=1)
    needed = (to_cells[:, None, :] > of_neighbours[:, :, None]).sum(axis=2)
    found = np.cumsum(np.bincount(needed.ravel(), minlength=MOST_PROBES)[:MOST_PROBES]) / needed.size
    probes = min(int(np.searchsorted(found, options.recall)) + 1, MOST_PROBES, len(centroids))
    return probes, float(found[probes - 1])


def visit_rows(
    rows: ImageRows, options: NeighboursOptions, cells: Cells, buckets: NDArray[np.int64]
) -> Iterator[tuple[int, bytes]]:
    """A shard's rows for each bucket: with uid and text where they live, the vector alone where they ask."""
    places, halves = rows.embeddings(options.embedding)
    probes = int(cells.mean_visits) + 1
    near, _ = nearest_centres(unit_rows(halves), cells, probes)
    table = rows.candidates(["caption"], ())
    table = table.filter(pa.array(np.isin(row_of(table[ID].to_numpy()), places))).combine_chunks()
    at = np.tile(np.arange(len(places)), near.shape[1])
    to, resident = near.T.ravel(), np.arange(len(at)) < len(places)
    order = np.lexsort((at, to))
    rows_a_blob = max(1, BLOB_BYTES // max(1, halves[:1].nbytes))
    for number, run in runs(buckets[to[order]]):
        for start in range(run.start, run.stop, rows_a_blob):
            here = order[start : min(run.stop, start + rows_a_blob)]
            part, lives = table.take(pa.array(at[here])), pa.array(resident[here])
            none = pa.scalar(None, pa.string())
            told = [pc.if_else(lives, part[name], none) for name in (UID, "caption")]
            sent = pa.table([part[ID], *told, pa.array(to[here], pa.int32()), lives], schema=_SENT)
            yield number, pack(sent.combine_chunks(), halves[at[here]])


_SENT = pa.schema(
    [(ID, pa.int64()), (UID, pa.string()), (_TEXT, pa.string()), (_CELL, pa.int32()), (_RESIDENT, pa.bool_())]
)


@dataclass(frozen=True)
class _Cell:
    """The rows of a cell, in the order of their ids: all ask, the offered answer."""

    rows: Chosen
    ids: Indices
    offered: Indices


def nearest_of_bucket(
    blobs: Iterable[bytes], options: NeighboursOptions, *, held_bytes: int = HELD_BYTES
) -> Iterator[tuple[int, bytes]]:
    """For each row that lives in the bucket or visits it the nearest that live there, by the shard that asks."""
    with Held(held_bytes) as held:
        for blob in blobs:
            held.add(blob)
        table, vectors = held.table(), held.vectors()
        ids, cell = table[ID].to_numpy(), table[_CELL].to_numpy()
        resident = table[_RESIDENT].to_numpy(zero_copy_only=False)
        order = np.lexsort((ids, cell))

        def meet(cell_run: tuple[int, slice]) -> list[tuple[Indices, Indices, NDArray[np.float64]]]:
            here = order[cell_run[1]]
            offered = np.flatnonzero(resident[here])
            if len(offered) > MOST_OFFERED:
                chosen = table[UID].take(pa.array(here[offered])).to_pylist()
                offered = offered[np.sort(np.argsort([uid_order(uid) for uid in chosen])[:MOST_OFFERED])]
            met = _nearest(_Cell(Chosen(vectors, here), ids[here], offered), options)
            return [(here[asking], here[found], cosines) for asking, found, cosines in met]

        met = [part for parts in side_by_side(meet, runs(cell[order])) for part in parts]
    if not met:
        return
    asking, found, cosines = (np.concatenate(column) for column in zip(*met, strict=True))
    asked = ids[asking]
    order = np.lexsort((ids[found], asked))
    for shard, here in runs(shard_of(asked[order])):
        some = order[here]
        told = table.take(pa.array(found[some]))
        columns = [row_of(asked[some]), cosines[some], told[UID], told[_TEXT]]
        yield shard, pack(pa.table(columns, schema=MET))


def _nearest(cell: _Cell, options: NeighboursOptions) -> Iterator[tuple[Indices, Indices, NDArray[np.float64]]]:
    """(who asks, who is near, cosine) as positions in the cell, of up to k a row; in tiles of a bounded size."""
    taken = options.k + _SPARE
    for start in range(0, len(cell.ids), _TILE_ROWS):
        asking = np.arange(start, min(start + _TILE_ROWS, len(cell.ids)))
        units = unit_rows(cell.rows[asking])
        best = np.full((len(asking), taken), -2.0, np.float32)
        who = np.full((len(asking), taken), -1, np.int64)
        for other in range(0, len(cell.offered), _TILE_COLUMNS):
            offered = cell.offered[other : other + _TILE_COLUMNS]
            similar = units @ unit_rows(cell.rows[offered]).T
            similar[cell.ids[asking][:, None] == cell.ids[offered][None, :]] = -2
            similar[similar >= np.float32(options.below + SLACK)] = -2
            all_similar = np.concatenate([best, similar], axis=1)
            all_who = np.concatenate([who, np.broadcast_to(offered, similar.shape)], axis=1)
            first = np.argpartition(-all_similar, taken - 1, axis=1)[:, :taken]
            best, who = np.take_along_axis(all_similar, first, axis=1), np.take_along_axis(all_who, first, axis=1)
        row, column = np.nonzero(best > -2)
        near = who[row, column]
        cosines = exact_cosines(cell.rows[asking[row]], cell.rows[near])
        fit = cosines < options.below
        row, near, cosines = row[fit], near[fit], cosines[fit]
        order = np.lexsort((near, -cosines, row))
        row, near, cosines = row[order], near[order], cosines[order]
        starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]][: len(row)])
        place = np.arange(len(row)) - np.repeat(starts, np.diff(np.r_[starts, len(row)]))
        kept = place < options.k
        yield asking[row[kept]], near[kept], cosines[kept]


def neighbours_table(rows: ImageRows, options: NeighboursOptions, met: Iterable[bytes]) -> pa.Table:
    """The sidecar of a shard: of what each row met in the cells that it visited, the nearest, ties by uid."""
    uids = rows.uids()
    places, _ = rows.embeddings(options.embedding)
    table = unpack_all(met)
    table = MET.empty_table() if table is None else table
    table = table.sort_by([("row", "ascending"), ("cosine", "descending"), (UID, "ascending")]).combine_chunks()
    row = table["row"].to_numpy()
    starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]][: len(row)])
    place = np.arange(len(row)) - np.repeat(starts, np.diff(np.r_[starts, len(row)]))
    table, row = table.filter(pa.array(place < options.k)).combine_chunks(), row[place < options.k]
    counts = np.bincount(row, minlength=len(uids)) if len(row) else np.zeros(len(uids), np.int64)
    offsets = np.r_[0, np.cumsum(counts)].astype(np.int32)
    asked = np.zeros(len(uids), dtype=bool)
    asked[places] = True
    made = [table[UID], table["cosine"].cast(pa.float32()), table[_TEXT]]
    lists = [
        pa.ListArray.from_arrays(pa.array(offsets), column.combine_chunks(), mask=pa.array(~asked)) for column in made
    ]
    return pa.table({UID: uids.combine_chunks(), **dict(zip(options.columns, lists, strict=True))})
