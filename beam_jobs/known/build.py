"""Writing an index of known images from what a run folder knows of them; no picture is read but for thumbnails.

In: the tables of an image shard, its selection if only kept images count, scores, embeddings. Out: one part of an
index for each image shard that has rows, and its KnownPart. Parts are numbered as the image shards are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.known.exact_join import key_of
from beam_jobs.known.index import DIGEST_BYTES, KNOWN_ROWS, KnownPart, embeddings_url, rows_url
from beam_jobs.known.pictures import write_pictures
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.settle import UID
from beam_jobs.matching.vectors import Halves, Indices
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping_known import PIXELS
from schemas.keys import uid_order


@dataclass(frozen=True)
class PartTask:
    """An image shard to write as a part.

    recipe: whose selection says which rows are taken; every image if None. leave_out: uids that were taken down.
    hash: the column of perceptual hashes, None without. embeddings: labels. names: a column that names files. pictures:
    whether thumbnails go along.
    """

    work: str
    shard: int
    to: str
    recipe: str | None
    scores: tuple[str, ...]
    pixels: bool
    hash: str | None
    embeddings: tuple[str, ...]
    leave_out: frozenset[str] = frozenset()
    names: str | None = None
    pictures: bool = False

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.work)


def write_part(task: PartTask) -> KnownPart:
    """Writes one part; its rows in the order of a hash of their uid."""
    rows = ImageRows(task.work, task.shard, task.scores)
    places = _places(task, rows)
    digests = {}
    for label in task.embeddings:
        url = embeddings_url(task.to, label, task.shard)
        digests[label] = write_embeddings(url, _placed(rows, label, places))
    taken = pa.array(places)
    made = {UID: rows.uids().take(taken), "name": _name(task, rows, taken)}
    made["url"] = _keys("url", rows.column("url").take(taken))
    made["text"] = _keys("text", rows.column("caption").take(taken))
    made["sha256"] = _digests(rows.column("sha256").take(taken))
    made["pixels"] = _digests(rows.column(PIXELS).take(taken)) if task.pixels else None
    made["perceptual"] = _digests(rows.column(task.hash).take(taken)) if task.hash else None
    made["quality"] = rows.column(f"{task.hash}_quality").take(taken) if task.hash else None
    columns = [
        pa.nulls(len(places), field.type) if made[field.name] is None else made[field.name].cast(field.type)
        for field in KNOWN_ROWS
    ]
    digest = write_table(rows_url(task.to, task.shard), pa.table(columns, schema=KNOWN_ROWS))
    pictures = 0
    if task.pictures:
        keys = dict(zip(rows.column("key").take(taken).to_pylist(), made[UID].to_pylist(), strict=True))
        pictures = write_pictures(task.to, task.shard, task.folder.image_tar(task.shard), keys)
    return KnownPart(len(places), digest, digests, pictures)


def holds_of(task: PartTask) -> tuple[str, ...]:
    """Which kinds the rows of such parts have."""
    asked: Mapping[str, bool] = {
        "pixels": task.pixels,
        "perceptual": task.hash is not None,
        "near": bool(task.embeddings),
    }
    return ("uid", "url", "sha256", *(kind for kind, there in asked.items() if there), "text")


def _places(task: PartTask, rows: ImageRows) -> Indices:
    places = rows.places()
    if task.recipe is not None:
        keep = read_table(task.folder.selected(task.recipe, task.shard), ["keep"])["keep"].to_numpy()
        places = places[np.asarray(keep, dtype=bool)[places]]
    uids = rows.uids().take(pa.array(places)).to_pylist()
    stay = [number for number, uid in enumerate(uids) if uid not in task.leave_out]
    order = sorted(stay, key=lambda number: (uid_order(uids[number]), uids[number]))
    return places[np.array(order, dtype=np.int64)]


def _placed(rows: ImageRows, label: str, places: Indices) -> Halves:
    """The embeddings of these rows; zeros for one that has none."""
    there, halves = rows.embeddings(label)
    made = np.zeros((len(places), halves.shape[1]), np.float16)
    at = np.searchsorted(there, places)
    found = (at < len(there)) & (there[np.minimum(at, max(0, len(there) - 1))] == places) if len(there) else at < 0
    made[found] = halves[at[found]]
    return made


def _name(task: PartTask, rows: ImageRows, taken: pa.Array) -> pa.ChunkedArray | None:
    return rows.column(task.names).take(taken) if task.names else None


def _keys(kind: str, values: pa.ChunkedArray) -> pa.Array:
    return pa.array([key_of(kind, value) for value in values.to_pylist()], pa.binary())


def _digests(values: pa.ChunkedArray) -> pa.Array:
    """Hexadecimal texts as bytes."""
    found = [None if value is None else bytes.fromhex(value) for value in values.to_pylist()]
    assert all(value is None or len(value) == DIGEST_BYTES for value in found)
    return pc.cast(pa.array(found, pa.binary()), pa.binary())
