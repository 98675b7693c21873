"""New images whose embedding is close to a known one's, by cells, each compared exactly in bounded memory.

In: embeddings of an image shard; those of a part of an index. Out: cells fitted to both; the rows of both in buckets
of the cells where they live or visit; the matches of a bucket. Two rows are compared when one visits the other's home.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.known.index import KnownIndex
from beam_jobs.known.matches import best_matches, by_shard, make_matches
from beam_jobs.known.new_rows import days_of
from beam_jobs.matching.cell_files import write_cells
from beam_jobs.matching.cells import Cells, visits_of
from beam_jobs.matching.fit_cells import cells_for, fit_cells, sample_rows
from beam_jobs.matching.image_rows import ImageRows, embedding_shape, read_head
from beam_jobs.matching.narrow import HELD_BYTES, Chosen, Held, pack
from beam_jobs.matching.near_steps import BLOB_BYTES, buckets_of
from beam_jobs.matching.settle import ID, UID, row_ids
from beam_jobs.matching.threads import side_by_side
from beam_jobs.matching.vectors import (
    SLACK,
    Halves,
    Indices,
    exact_cosines,
    first_of_equals,
    runs,
    unit_rows,
)
from schemas.grouping_known import KnownOptions

TILE_ROWS, TILE_COLUMNS = 1024, 4096
_CELL, _RESIDENT, _DAY, _INDEX = "cell", "resident", "day", "index"
_DECIMALS = 10


def fit_both(work: str, shards: Sequence[int], indexes: Sequence[KnownIndex], options: KnownOptions) -> tuple[str, int]:
    """Fits cells to a sample of the new and the known embeddings, and writes them; their digest, and all rows."""
    label = options.embedding
    shapes = [embedding_shape(work, label, shard) for shard in sorted(shards)]
    parts = [(index, part) for index in indexes if label in index.embeddings for part in range(len(index.parts))]
    rows = sum(shape[0] for shape in shapes) + sum(index.parts[part].rows for index, part in parts)
    cells = cells_for(rows, options.cells)
    wanted = sample_rows(rows, cells)
    width = max((shape[1] for shape in shapes), default=0)
    heads = [
        read_head(work, label, shard, -(-shape[0] * wanted // max(1, rows)))
        for shard, shape in zip(sorted(shards), shapes, strict=True)
    ]
    for index, part in parts:
        quota = -(-index.parts[part].rows * wanted // max(1, rows))
        heads.append(index.read_embeddings(label, part, most=quota)[1])
    given = [unit_rows(head) for head in heads if len(head)]
    sample = np.concatenate(given) if given else np.zeros((0, width), np.float32)
    # Heads of many files, mixed, so that those to measure with are not those of one index alone.
    sample = sample[np.random.default_rng(options.seed).permutation(len(sample))]
    fitted = fit_cells(sample, rows=rows, cells=cells, cosine=options.cosine, recall=options.recall, seed=options.seed)
    return write_cells(work, options.label, fitted, rows=rows, sampled=len(sample)), rows


def new_vectors(rows: ImageRows, options: KnownOptions, cells: Cells, total: int) -> Iterator[tuple[int, bytes]]:
    """A shard's embeddings, by bucket of cells."""
    places, halves = rows.embeddings(options.embedding)
    table = pa.table({ID: row_ids(rows.shard, places), _DAY: days_of(rows, options)[places]})
    yield from _in_buckets(table, halves, cells, total)


def known_vectors(
    index: KnownIndex, number: int, part: int, options: KnownOptions, cells: Cells, total: int
) -> Iterator[tuple[int, bytes]]:
    """The embeddings of a part of an index, by bucket of cells."""
    if options.embedding not in index.embeddings:
        return
    places, halves = index.read_embeddings(options.embedding, part)
    uids = index.read_rows(part, [UID])[UID].take(pa.array(places))
    yield from _in_buckets(pa.table({UID: uids, _INDEX: np.full(len(uids), number, np.int32)}), halves, cells, total)


def _in_buckets(table: pa.Table, halves: Halves, cells: Cells, total: int) -> Iterator[tuple[int, bytes]]:
    """Rows with their vectors to the buckets of the cells where they live or that they visit."""
    visits = visits_of(unit_rows(halves), cells)
    homes = np.zeros(len(halves), np.int32) if cells.one_block else visits.home
    at = np.concatenate([np.arange(len(halves)), visits.rows])
    to = np.concatenate([homes, visits.cells])
    resident = np.arange(len(at)) < len(halves)
    order = np.lexsort((at, to))
    rows_a_blob = max(1, BLOB_BYTES // max(1, halves[:1].nbytes))
    for number, run in runs(buckets_of(cells, total)[to[order]]):
        for start in range(run.start, run.stop, rows_a_blob):
            here = order[start : min(run.stop, start + rows_a_blob)]
            part = table.take(pa.array(at[here])).append_column(_CELL, pa.array(to[here], pa.int32()))
            yield (
                number,
                pack(part.append_column(_RESIDENT, pa.array(resident[here])).combine_chunks(), halves[at[here]]),
            )


def near_matches(
    new: Iterable[bytes],
    known: Iterable[bytes],
    options: KnownOptions,
    indexes: Sequence[KnownIndex],
    *,
    held_bytes: int = HELD_BYTES,
) -> Iterator[tuple[int, bytes]]:
    """The nearest known image of each row from the threshold on, as far as they meet in this bucket, by shard."""
    with Held(held_bytes) as rows, Held(held_bytes) as images:
        for held, blobs in ((rows, new), (images, known)):
            for blob in blobs:
                held.add(blob)
        if not rows.count or not images.count:
            return
        asking, answering = rows.table(), images.table()
        vectors, theirs = rows.vectors(), images.vectors()
        ids, days = asking[ID].to_numpy(), asking[_DAY].to_numpy()
        ranks = np.asarray(pc.rank(answering[UID].combine_chunks(), tiebreaker="dense"), dtype=np.int64)
        cell, lives = answering[_CELL].to_numpy(), answering[_RESIDENT].to_numpy(zero_copy_only=False)
        index = answering[_INDEX].to_numpy()
        order = np.lexsort((ranks, ~lives, index, cell))
        home, resident = asking[_CELL].to_numpy(), asking[_RESIDENT].to_numpy(zero_copy_only=False)
        mine = np.lexsort((ids, ~resident, home))
        starts, ends = (np.searchsorted(home[mine], cell[order], side=side) for side in ("left", "right"))

        def compare(found: tuple[int, slice]) -> list[pa.Table]:
            """The matches of one cell."""
            _, run = found
            left = mine[starts[run.start] : ends[run.start]]
            made = []
            for number, part in runs(index[order[run]]) if len(left) else ():
                right = order[run][part]
                taken = left[days[left] >= indexes[number].since_day]
                apart, best = _nearest(
                    Chosen(vectors, taken),
                    int(resident[taken].sum()),
                    Chosen(theirs, right),
                    int(lives[right].sum()),
                    options.cosine,
                )
                hit = best >= 0
                uids = answering[UID].take(pa.array(right[best[hit]]))
                made.append(make_matches(ids[taken[hit]], "near", apart[hit], number, uids))
            return made

        made = side_by_side(compare, runs(cell[order]))
        yield from by_shard([best_matches(tables) for tables in made if tables])


def _nearest(
    rows: Chosen, rows_living: int, images: Chosen, images_living: int, cosine: float
) -> tuple[NDArray[np.float64], Indices]:
    """For each row how far apart it is from the nearest image, and its position, -1 where none is near enough.

    Residents stand first on both sides; visitors are compared with residents alone. Of images that are equal, and of
    those equally near, the first is taken.
    """
    apart, best = np.full(len(rows), np.inf), np.full(len(rows), -1, np.int64)
    first_row, first_image = first_of_equals(rows), first_of_equals(images)
    for first, last, among in ((0, rows_living, len(images)), (rows_living, len(rows), images_living)):
        asking = np.flatnonzero(first_row[first:last] == np.arange(first, last)) + first
        alone = np.flatnonzero(first_image[:among] == np.arange(among))
        for start in range(0, len(asking), TILE_ROWS):
            at = asking[start : start + TILE_ROWS]
            for other in range(0, len(alone), TILE_COLUMNS):
                to = alone[other : other + TILE_COLUMNS]
                _tile(rows, at, images, to, cosine, apart, best)
        apart[first:last], best[first:last] = apart[first_row[first:last]], best[first_row[first:last]]
    return apart, best


def _tile(
    rows: Chosen,
    at: Indices,
    images: Chosen,
    to: Indices,
    cosine: float,
    apart: NDArray[np.float64],
    best: Indices,
) -> None:
    """Takes what two blocks have nearer than what is known: bounded in float32, decided in float64."""
    similar = unit_rows(rows[at]) @ unit_rows(images[to]).T
    highest = similar.max(axis=1)
    hopeful = np.flatnonzero(highest >= np.float32(cosine - SLACK))
    if not len(hopeful):
        return
    row, column = np.nonzero(similar[hopeful] >= np.maximum(highest[hopeful] - 2 * SLACK, cosine - SLACK)[:, None])
    row = hopeful[row]
    for start in range(0, len(row), TILE_COLUMNS):
        here, there = row[start : start + TILE_COLUMNS], column[start : start + TILE_COLUMNS]
        exact = exact_cosines(rows[at[here]], images[to[there]])
        distance = np.round(1 - exact, _DECIMALS)
        order = np.lexsort((to[there], distance, here))
        order = order[exact[order] >= cosine]
        first = order[np.r_[True, here[order][1:] != here[order][:-1]][: len(order)]]
        place, gap, image = at[here[first]], distance[first], to[there[first]]
        nearer = (gap < apart[place]) | ((gap == apart[place]) & (image < best[place]))
        apart[place[nearer]], best[place[nearer]] = gap[nearer], image[nearer]
