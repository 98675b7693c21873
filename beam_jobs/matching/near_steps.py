"""Near-duplicates, step by step, as plain functions on bytes: what the Beam stage wires together.

    visit_rows          a shard's embeddings      -> its rows in the buckets of the cells that they live in or visit
    edges_of_bucket     rows of a bucket's cells  -> edges that join close rows, and those rows' narrow columns
    settle_components   all edges                 -> members of groups by shard; which survivors' vectors they need
    send_survivors      what is asked of a shard  -> the vectors, to the shards that asked
    near_table          all that came to a shard  -> its sidecar

Vectors travel to buckets, and those of survivors to the shards of their copies; images never.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_jobs.matching.cells import Cells, visits_of
from beam_jobs.matching.close_pairs import Closeness, Work, close_edges
from beam_jobs.matching.components import Edges, components, spanning_forest
from beam_jobs.matching.exact_steps import by_shard
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import (
    HELD_BYTES,
    Chosen,
    Held,
    pack,
    unpack,
    unpack_all,
    vectors_of,
)
from beam_jobs.matching.settle import ID, row_of, settle, shard_of
from beam_jobs.matching.sidecars import group_columns
from beam_jobs.matching.threads import side_by_side
from beam_jobs.matching.vectors import (
    Indices,
    exact_cosines,
    first_of_equals,
    runs,
    unit_rows,
)
from schemas.grouping import NearOptions, cosine_suffix

BUCKET_ROWS = 65_536
MOST_BUCKETS = 1024
# Runners take elements of some tens of megabytes at most.
BLOB_BYTES = 8 << 20
_CELL, _RESIDENT, _SURVIVOR = "cell", "resident", "survivor_id"


@dataclass(frozen=True)
class Visiting:
    """What one shard sends: its rows' clusters, edges between its equal rows, and its rows to buckets."""

    clusters: bytes
    copies: bytes | None
    buckets: list[tuple[int, bytes]]


def buckets_of(cells: Cells, rows: int) -> NDArray[np.int64]:
    """The bucket of each cell: neighbouring numbers together, about BUCKET_ROWS rows each, visits counted."""
    if cells.one_block:
        return np.zeros(cells.count, np.int64)
    arriving = rows * (1 + cells.mean_visits)
    most = max(BUCKET_ROWS, arriving / MOST_BUCKETS)
    before = np.cumsum(cells.share * arriving) - cells.share * arriving
    return (before // most).astype(np.int64)


def visit_rows(rows: ImageRows, options: NearOptions, cells: Cells, buckets: NDArray[np.int64]) -> Visiting:
    """Assigns a shard's rows. Of rows with one embedding only the first travels; the others are joined with it."""
    places, halves = rows.embeddings(options.embedding)
    visits = visits_of(unit_rows(halves), cells)
    clusters = pack(pa.table({"row": pa.array(places), "cluster": pa.array(visits.home, pa.int32())}))
    table = rows.candidates([], options.keep)
    table = table.filter(pa.array(np.isin(row_of(table[ID].to_numpy()), places))).combine_chunks()
    first = first_of_equals(halves)
    alone = first == np.arange(len(first))
    copies = np.flatnonzero(~alone)
    ids = table[ID].to_numpy()
    edges = Edges(ids[first[copies]], ids[copies], np.ones(len(copies)))
    travels = np.flatnonzero(alone)
    calls = alone[visits.rows]
    at = np.concatenate([travels, visits.rows[calls]])
    to = np.concatenate(
        [np.zeros(len(travels), np.int32) if cells.one_block else visits.home[travels], visits.cells[calls]]
    )
    resident = np.arange(len(at)) < len(travels)
    found: list[tuple[int, bytes]] = []
    order = np.lexsort((at, to))
    rows_a_blob = max(1, BLOB_BYTES // max(1, halves[:1].nbytes))
    for number, run in runs(buckets[to[order]]):
        for start in range(run.start, run.stop, rows_a_blob):
            here = order[start : min(run.stop, start + rows_a_blob)]
            part = table.take(pa.array(at[here]))
            part = part.append_column(_CELL, pa.array(to[here], pa.int32()))
            part = part.append_column(_RESIDENT, pa.array(resident[here])).combine_chunks()
            found.append((number, pack(part, halves[at[here]])))
    return Visiting(clusters, _pack_found(edges, table), found)


def edges_of_bucket(
    blobs: Iterable[bytes],
    options: NearOptions,
    cells: Cells,
    *,
    work: Work | None = None,
    held_bytes: int = HELD_BYTES,
) -> bytes | None:
    """Edges among the rows of a bucket, cell by cell, with the narrow columns of the rows that they join."""
    with Held(held_bytes) as held:
        for blob in blobs:
            held.add(blob)
        table, vectors = held.table(), held.vectors()
        ids, cell = table[ID].to_numpy(), table[_CELL].to_numpy()
        resident = table[_RESIDENT].to_numpy(zero_copy_only=False)
        order = np.lexsort((ids, ~resident, cell))

        def compare(cell_run: tuple[int, slice]) -> tuple[Edges, Work]:
            number, run = cell_run
            here, effort = order[run], Work()
            centre = cells.centroids.mean(axis=0) if cells.one_block else cells.centroids[number]
            closeness = Closeness((options.cosine, *sorted(options.also)), cells.basis, centre)
            found = close_edges(Chosen(vectors, here), int(resident[here].sum()), closeness, effort)
            return found.renamed(ids[here]), effort

        compared = side_by_side(compare, runs(cell[order]))
    if work is not None:
        for _, effort in compared:
            work.add(effort)
    edges = spanning_forest(Edges.join([found for found, _ in compared]))
    return _pack_found(edges, table.drop_columns([_CELL, _RESIDENT]))


def _pack_found(edges: Edges, table: pa.Table) -> bytes | None:
    """Edges and the rows that they join, as one stream of the rows with the edges in its metadata's place."""
    if len(edges) == 0:
        return None
    joined = np.unique(np.concatenate([edges.a, edges.b]))
    ids, at = np.unique(table[ID].to_numpy(), return_index=True)
    nodes = table.take(pa.array(at[np.searchsorted(ids, joined)]))
    lines = pack(pa.table({"a": edges.a, "b": edges.b, "cosine": edges.cosine}))
    return pack(
        pa.table({"nodes": pa.array([pack(nodes)], pa.large_binary()), "edges": pa.array([lines], pa.large_binary())})
    )


def settle_components(found: Iterable[bytes], options: NearOptions) -> Iterator[tuple[str, int, bytes]]:
    """("settled", shard, its members) and ("wanted", shard, which of its rows are survivors and who asks)."""
    tables = [unpack(blob) for blob in found]
    if not tables:
        return
    parts = [unpack(table["edges"][0].as_py()) for table in tables]
    edges = Edges.join([Edges(*(part[name].to_numpy() for name in ("a", "b", "cosine"))) for part in parts])
    nodes = pa.concat_tables([unpack(table["nodes"][0].as_py()) for table in tables]).combine_chunks()
    ids, at = np.unique(nodes[ID].to_numpy(), return_index=True)
    nodes = nodes.take(pa.array(at))
    edges = spanning_forest(edges)
    settled = settle(nodes, _labels(ids, edges, options.cosine))
    for threshold in options.also:
        closer = settle(nodes, _labels(ids, edges, threshold))
        settled = settled.append_column(f"of_{cosine_suffix(threshold)}", _survivors(settled, closer))
    for shard, blob in by_shard(settled):
        yield "settled", shard, blob
    yield from _wanted(settled)


def _labels(ids: Indices, edges: Edges, threshold: float) -> NDArray[np.int64]:
    labels = ids.copy()
    joined, lowest = components(edges, at_least=threshold)
    labels[np.searchsorted(ids, joined)] = lowest
    return labels


def _survivors(settled: pa.Table, closer: pa.Table) -> pa.Array:
    """For each settled row, of which row it is a duplicate at a higher threshold."""
    of = np.full(settled.num_rows, None, dtype=object)
    copies = closer[ID].to_numpy() != closer[_SURVIVOR].to_numpy()
    at = np.searchsorted(settled[ID].to_numpy(), closer[ID].to_numpy()[copies])
    of[at] = np.array(closer["survivor"].to_pylist(), dtype=object)[copies]
    return pa.array(of, pa.string())


def _wanted(settled: pa.Table) -> Iterator[tuple[str, int, bytes]]:
    ids, survivors = settled[ID].to_numpy(), settled[_SURVIVOR].to_numpy()
    copies = ids != survivors
    asked = np.unique(np.column_stack([survivors[copies], shard_of(ids[copies])]), axis=0)
    for shard, here in runs(shard_of(asked[:, 0])):
        yield "wanted", shard, pack(pa.table({_SURVIVOR: asked[here, 0], "to": asked[here, 1]}))


def send_survivors(rows: ImageRows, options: NearOptions, asked: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The vectors of survivors in a shard, a blob for each shard that has copies of them."""
    wanted = unpack_all(asked)
    if wanted is None:
        return
    places, halves = rows.embeddings(options.embedding)
    at = np.searchsorted(places, row_of(wanted[_SURVIVOR].to_numpy()))
    to = wanted["to"].to_numpy()
    for shard in np.unique(to).tolist():
        here = np.flatnonzero(to == shard)
        yield shard, pack(pa.table({_SURVIVOR: wanted[_SURVIVOR].to_numpy()[here]}), halves[at[here]])


def near_table(
    rows: ImageRows, options: NearOptions, clusters: bytes, settled: Iterable[bytes], survivors: Iterable[bytes]
) -> pa.Table:
    """The sidecar: group columns, the cosine to the survivor for its copies, and the nearest centroid."""
    uids, label = rows.uids(), options.label
    homes = unpack(clusters)
    members = unpack_all(settled)
    made = group_columns(label, uids, homes["row"].to_numpy(), members)
    similarity = np.full(len(uids), np.nan, np.float32)
    cluster = np.full(len(uids), -1, np.int32)
    cluster[homes["row"].to_numpy()] = homes["cluster"].to_numpy()
    columns = dict.fromkeys(options.columns)
    further = {
        f"{label}_duplicate_of_{cosine_suffix(value)}": np.full(len(uids), None, dtype=object) for value in options.also
    }
    if members is not None:
        at = row_of(members[ID].to_numpy())
        copies = members[ID].to_numpy() != members[_SURVIVOR].to_numpy()
        similarity[at[copies]] = _similarities(rows, options, members.filter(pa.array(copies)), survivors)
        for name, values in further.items():
            values[at] = members["of_" + name.rsplit("_", 1)[1]].to_pylist()
    made = made.append_column(f"{label}_similarity", pa.array(similarity, mask=np.isnan(similarity)))
    made = made.append_column(list(columns)[4], pa.array(cluster, mask=cluster < 0))
    for name, values in further.items():
        made = made.append_column(name, pa.array(values, pa.string()))
    return made.select(["uid", *(name for name in columns if name in made.column_names)])


def _similarities(
    rows: ImageRows, options: NearOptions, copies: pa.Table, survivors: Iterable[bytes]
) -> NDArray[np.float32]:
    received = [unpack(blob) for blob in survivors]
    ids = np.concatenate([table[_SURVIVOR].to_numpy() for table in received])
    vectors = np.concatenate([vectors_of(table) for table in received])
    order = np.argsort(ids, kind="stable")
    of = vectors[order[np.searchsorted(ids[order], copies[_SURVIVOR].to_numpy())]]
    places, halves = rows.embeddings(options.embedding)
    own = halves[np.searchsorted(places, row_of(copies[ID].to_numpy()))]
    return exact_cosines(own, of).astype(np.float32)
