"""A scored run as a DataComp pool: metadata in Parquet and, beside each file, the embeddings of its rows as npz.

In: a run folder with CLIP scores and their embeddings (and faces, where wanted). Out: for each image shard
`<32 hex digits>.parquet` and `.npz` with a row for each picture, under the names that DataComp's own tools read:
clip_l14_similarity_score, face_bboxes ...; l14_img, l14_txt ... One shard at a time is held in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.storage.embeddings import read_embeddings
from beam_jobs.storage.files import exists, join, list_files, write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder, shard_name
from schemas.refusal import Refusal

# As the released pools have them.
_FACES = pa.list_(pa.list_(pa.float64()))


@dataclass(frozen=True)
class Pool:
    """`embeddings`: DataComp's name (b32, l14) to the label of the CLIP scorer. `faces`: the label of the scorer."""

    work: str
    out: str
    embeddings: Mapping[str, str]
    faces: str | None = None


def write_pool(pool: Pool) -> Iterator[tuple[str, int]]:
    """Writes it shard by shard; the name of each pair of files and its number of rows."""
    folder = RunFolder(pool.work)
    shards = [int(name.partition(".")[0]) for name in list_files(join(pool.work, "images"), ".parquet")]
    if not shards:
        raise Refusal(f"--work: {pool.work} holds no images")
    labels = [*pool.embeddings.values(), *([pool.faces] if pool.faces else [])]
    for label in labels:
        if not exists(folder.scores(label, shards[0])):
            raise Refusal(f"{pool.work} holds no scores of {label!r}; run the recipe's stage `score` first")
    for label in pool.embeddings.values():
        if not exists(folder.image_embeddings(label, shards[0])):
            raise Refusal(f"{pool.work} holds no embeddings of {label!r}: its scorer stores none")
    for shard in sorted(shards):
        name = file_name(shard)
        table = _metadata(pool, folder, shard)
        write_table(join(pool.out, f"{name}.parquet"), table, compression="snappy")
        write_bytes(join(pool.out, f"{name}.npz"), _arrays(pool, folder, shard, rows=table.num_rows))
        yield name, table.num_rows


def file_name(shard: int) -> str:
    """32 hex digits that tell the shard from all others, as DataComp's files are called."""
    return hashlib.sha256(f"{shard_name(shard)}.tar".encode()).hexdigest()[:32]


def _metadata(pool: Pool, folder: RunFolder, shard: int) -> pa.Table:
    images = read_table(folder.image_table(shard))
    kept = pc.is_null(images["reason"])
    columns = {
        "uid": images["uid"],
        "url": images["url"],
        "text": images["caption"],
        "original_width": images["original_width"].cast(pa.int64()),
        "original_height": images["original_height"].cast(pa.int64()),
    }
    for name, label in pool.embeddings.items():
        columns[f"clip_{name}_similarity_score"] = _score(folder, shard, label, f"{label}_similarity", pa.float32())
    if pool.faces:
        column = "face_bboxes" if pool.faces == "faces" else f"{pool.faces}_face_bboxes"
        columns["face_bboxes"] = _score(folder, shard, pool.faces, column, _FACES)
    return pa.table({**columns, "sha256": images["sha256"]}).filter(kept)


def _score(folder: RunFolder, shard: int, label: str, column: str, kind: pa.DataType) -> pa.ChunkedArray:
    table = read_table(folder.scores(label, shard))
    if column not in table.column_names:
        raise Refusal(f"{label!r} makes no column {column!r}; it makes {', '.join(table.column_names[1:])}")
    return table[column].cast(kind)


def _arrays(pool: Pool, folder: RunFolder, shard: int, *, rows: int) -> bytes:
    sides = {"img": folder.image_embeddings, "txt": folder.text_embeddings}
    arrays = {
        f"{name}_{side}": read_embeddings(at(label, shard))
        for name, label in pool.embeddings.items()
        for side, at in sides.items()
    }
    for name, array in arrays.items():
        if len(array) != rows:
            raise ValueError(f"shard {shard}: {name} has {len(array)} rows, its table {rows}")
    file = BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()
