"""Hits worth looking at: of the images that an index knows, those of which that is least sure, with its pictures.

In: the sidecar of a shard and the indexes. Out: a small archive beside the sidecar with the pictures and names that the
indexes have of the first hits, so that a report needs no index; and what it reads of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from beam_jobs.known.index import KnownIndex, rows_url
from beam_jobs.known.pictures import read_pictures
from beam_jobs.storage.files import atomic_write, exists, join, open_read
from beam_jobs.storage.parquet import read_table
from beam_jobs.storage.run_folder import RunFolder, shard_name
from beam_jobs.storage.tar_shard import TarShardWriter, iter_samples
from schemas.grouping_known import KNOWN_KINDS
from schemas.keys import uid_order

HITS_SHOWN = 8
Doubt = tuple[int, float, int]


def doubts(table: pa.Table, label: str) -> list[tuple[Doubt, int]]:
    """The hits of a sidecar, least sure first: (how sure, row)."""
    kinds = table[f"{label}_kind"].to_pylist()
    uids = table["uid"].to_pylist()
    similar, apart = (_numbers(table, f"{label}_{name}") for name in ("similarity", "distance"))
    found: list[tuple[Doubt, int]] = []
    for row, kind in enumerate(kinds):
        if kind is not None:
            measure = {"near": similar[row], "perceptual": -apart[row]}.get(kind, 0.0)
            found.append(((len(KNOWN_KINDS) - KNOWN_KINDS.index(kind), measure, uid_order(uids[row])), row))
    return sorted(found, key=lambda each: (-each[0][0], each[0][1], each[0][2]))


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        return np.zeros(table.num_rows)
    return np.nan_to_num(np.asarray(table[name].cast(pa.float64()).to_numpy()), nan=0.0)


def write_hits(work: str, label: str, shard: int, table: pa.Table, indexes: Sequence[KnownIndex]) -> None:
    """Keeps pictures and names of the known images that the first hits of a shard are of, where an index has them."""
    pictured = {index.name: index for index in indexes if any(part.pictures for part in index.parts)}
    known: dict[str, bytes] = {}
    for _, row in doubts(table, label)[:HITS_SHOWN]:
        index = pictured.get(str(table[f"{label}_index"][row]))
        uid = str(table[f"{label}_duplicate_of"][row])
        places = {} if index is None else _places(index.url, len(index.parts))
        if index is not None and uid in places:
            part, name = places[uid]
            pictures = read_pictures(index.url, part, [uid])
            known.update({f"{uid}.jpg": data for data in pictures.values()})
            known[f"{uid}.txt"] = (name or "").encode()
    if known:
        with atomic_write(_url(work, label, shard)) as file:
            tar = TarShardWriter(file)
            for member in sorted(known):
                tar.add(member, known[member])
            tar.close()


@lru_cache(maxsize=4)
def _places(url: str, parts: int) -> dict[str, tuple[int, str | None]]:
    """Where each image of an index stands: its part, and its name."""
    found: dict[str, tuple[int, str | None]] = {}
    for part in range(parts):
        for row in read_table(rows_url(url, part), ["uid", "name"]).to_pylist():
            found[row["uid"]] = (part, row["name"])
    return found


def read_hits(work: str, label: str, shard: int) -> dict[str, tuple[str, bytes]]:
    """What was kept of a shard's hits: name and picture by the known image's uid."""
    url = _url(work, label, shard)
    if not exists(url):
        return {}
    with open_read(url) as file:
        return {
            sample.key: (sample.members.get("txt", b"").decode(), sample.members.get("jpg", b""))
            for sample in iter_samples(file)
        }


def _url(work: str, label: str, shard: int) -> str:
    return join(RunFolder(work).group_folder(label), "pictures", f"{shard_name(shard)}.tar")
