"""What was taken down from a run folder: who asked for what, and which written rows that was.

In: values of `uid`, `url`, `domain` or `sha256`. Out: a sorted list a kind, which only grows, a digest of all of them,
and for each training shard a table of the rows that are gone. Requests hold for every recipe of the folder, written
already or not yet.

    WORK/takedown/uid.txt, url.txt, domain.txt, sha256.txt     a value a line
    WORK/takedown/tombstones/<recipe>/00000.parquet            TOMBSTONES
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from beam_jobs.storage.files import exists, join, list_files, read_bytes, write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import shard_name
from schemas.keys import fingerprint

REQUESTED_BY = ("uid", "url", "domain", "sha256")
# by: the kind of request; what: the row's own value of that kind.
TOMBSTONES = pa.schema([("uid", pa.string()), ("by", pa.string()), ("what", pa.string()), ("shard", pa.int32())])


def request_url(work: str, by: str) -> str:
    return join(work, "takedown", f"{by}.txt")


def read_requests(work: str, by: str) -> list[str]:
    """The values asked for so far, sorted."""
    url = request_url(work, by)
    return read_bytes(url).decode().splitlines() if exists(url) else []


def add_requests(work: str, by: str, values: Iterable[str]) -> int:
    """Adds values to those of a kind; how many are new. In force from the moment that this returns."""
    before = read_requests(work, by)
    now = sorted({*before, *values})
    if now != before:
        write_bytes(request_url(work, by), ("\n".join(now) + "\n").encode())
    return len(now) - len(before)


def requests_digest(work: str) -> str | None:
    """What stands for all requests in the inputs of a shard; None where there are none."""
    found = {by: read_requests(work, by) for by in REQUESTED_BY}
    return fingerprint(found) if any(found.values()) else None


def request_inputs(inputs: str, digest: str | None) -> str:
    """The inputs of a written shard, with the requests that it honours."""
    plain = inputs.partition("+")[0]
    return plain if digest is None else f"{plain}+{digest}"


def _folder(work: str, recipe: str) -> str:
    return join(work, "takedown", "tombstones", recipe)


def add_tombstones(work: str, recipe: str, shard: int, gone: pa.Table) -> None:
    """Notes rows of a shard that are about to go, beside those that went before; written before they do."""
    url = join(_folder(work, recipe), f"{shard_name(shard)}.parquet")
    before = read_table(url) if exists(url) else TOMBSTONES.empty_table()
    rows = {tuple(row.values()): row for row in (*before.to_pylist(), *gone.to_pylist())}
    now = pa.Table.from_pylist([rows[key] for key in sorted(rows)], schema=TOMBSTONES)
    if not now.equals(before):
        write_table(url, now)


def read_tombstones(work: str, recipe: str) -> pa.Table:
    """All rows of a recipe's shards that were taken down."""
    folder = _folder(work, recipe)
    tables = [read_table(join(folder, name)) for name in list_files(folder, ".parquet")]
    return pa.concat_tables([TOMBSTONES.empty_table(), *tables])
