"""Which rows must be gone: those that a takedown of the run folder names by uid, URL, domain or SHA-256.

In: the requests of a run folder, a table with the columns uid, url and sha256. Out: which of its rows they name, and
their tombstones. The same for rows about to be written and for rows that are written already.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_jobs.storage.files import exists, read_bytes
from beam_jobs.storage.tombstones import REQUESTED_BY, TOMBSTONES, request_url, requests_digest
from filters.listed import where_listed
from schemas.recipe_steps import Listed
from schemas.recipe_text import Place
from schemas.urls import canonical_url

REASON = "taken_down"
_COLUMNS = {"uid": "uid", "url": "url", "domain": "url", "sha256": "sha256"}


@lru_cache(maxsize=2)
def _requests(work: str, digest: str) -> tuple[Listed, ...]:
    """The lists of requests; a ValueError when they are not those of that digest."""
    if requests_digest(work) != digest:
        raise ValueError(f"the takedown requests of {work} have changed since the job was launched")
    found = []
    for by in REQUESTED_BY:
        url = request_url(work, by)
        if exists(url):
            sha256 = hashlib.sha256(read_bytes(url)).hexdigest()
            found.append(Listed("drop_listed", by, _COLUMNS[by], url, REASON, Place("takedown"), sha256))
    return tuple(found)


def find_gone(work: str, digest: str | None, table: pa.Table, *, shard: int) -> tuple[NDArray[np.bool_], pa.Table]:
    """Which rows requests name, and a tombstone for each; digest: of the requests, None where there are none."""
    gone, by, what = np.zeros(table.num_rows, dtype=bool), {}, {}
    for request in _requests(work, digest) if digest is not None else ():
        values = table[request.column]
        for row in np.flatnonzero(where_listed(values, request) & ~gone).tolist():
            gone[row] = True
            by[row], what[row] = request.by, _told(request.by, values[row].as_py())
    rows = np.flatnonzero(gone).tolist()
    tombstones = pa.table(
        {
            "uid": table["uid"].take(pa.array(rows, pa.int64())),
            "by": pa.array([by[row] for row in rows], pa.string()),
            "what": pa.array([what[row] for row in rows], pa.string()),
            "shard": pa.array([shard] * len(rows), pa.int32()),
        },
        schema=TOMBSTONES,
    )
    return gone, tombstones


def _told(by: str, value: str) -> str:
    """What a tombstone says of a row: its own value of the kind asked for."""
    if by == "domain":
        return urlsplit(value).hostname or value
    return canonical_url(value) if by == "url" else value
