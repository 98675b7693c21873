"""What a user has of images to look for: a folder of pictures, a WebDataset, or a table of hashes and embeddings.

In: `folder:DIR`, `shards:TARS`, `table:FILE`, and a recipe's `download` section, under which pictures are prepared as
those of a crawl are. Out: pictures as image shards of a scratch run folder, for the recipe's scorers; or rows of a
table as they are.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from beam_jobs.fetching.pixels import prepare
from beam_jobs.known.build import PartTask
from beam_jobs.known.exact_join import key_of
from beam_jobs.known.index import KNOWN_ROWS, KnownPart, embeddings_url, rows_url
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.files import atomic_write, open_read
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from schemas.download import DownloadSection
from schemas.grouping_known import PIXELS
from schemas.keys import sample_key, uid, uid_order
from schemas.reasons import Failed
from schemas.refusal import Refusal
from schemas.tables import IMAGES

KINDS = ("folder", "shards", "table")
ROWS_A_PART = 5_000
EMBEDDING = "embedding"
NAME = "name"
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_DIGESTS = {"sha256": "sha256", PIXELS: "pixels", "pdq": "perceptual"}


@dataclass(frozen=True)
class Picture:
    """A picture as the user has it. name: its path in the folder or archive."""

    name: str
    data: bytes
    uid: str
    url: str | None = None
    text: str = ""


def parse_known_source(given: str) -> tuple[str, str]:
    """`KIND:URL` as its two parts."""
    kind, colon, url = given.partition(":")
    if not colon or kind not in KINDS or not url:
        raise Refusal(f"--source: expected KIND:URL, of {', '.join(KINDS)}; given {given!r}")
    return kind, url


def pictures(kind: str, url: str) -> Iterator[Picture]:
    """The pictures of a folder (and those below it) or of a WebDataset's tars, in the order of their names."""
    fs, root = fsspec.core.url_to_fs(url)
    if kind == "folder":
        names = sorted(name for name in fs.find(root) if name.lower().endswith(_PICTURES))
        for name in names:
            relative = name.removeprefix(root.rstrip("/") + "/")
            with fs.open(name, "rb") as file:
                yield Picture(relative, file.read(), uid("", relative))
        return
    tars = sorted(fs.glob(root)) if "*" in root else sorted(fs.find(root)) if fs.isdir(root) else [root]
    for tar in (name for name in tars if name.endswith(".tar")):
        with fs.open(tar, "rb") as file:
            for key, members in _samples(file):
                images = [name for name in sorted(members) if f".{name.lower()}".endswith(_PICTURES)]
                if images:
                    yield _of_sample(tar.rsplit("/", 1)[-1], key, members, images[0])


def _samples(file: IO[bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The samples of a WebDataset of anyone's: consecutive members whose names are equal up to the first dot."""
    key, members = "", dict[str, bytes]()
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            folder, slash, base = member.name.rpartition("/")
            stem, _, extension = base.partition(".")
            if f"{folder}{slash}{stem}" != key:
                if members:
                    yield key, members
                key, members = f"{folder}{slash}{stem}", {}
            members[extension] = content.read()
    if members:
        yield key, members


def _of_sample(tar: str, key: str, members: dict[str, bytes], image: str) -> Picture:
    facts: dict[str, Any] = json.loads(members["json"]) if "json" in members else {}
    name = f"{tar}/{key}.{image}"
    text = members["txt"].decode("utf-8", "replace") if "txt" in members else str(facts.get("caption") or "")
    url = facts.get("url")
    return Picture(name, members[image], str(facts.get("uid") or uid(text, str(url or name))), url, text)


def store_pictures(work: str, found: Iterator[Picture], section: DownloadSection) -> tuple[int, dict[str, str]]:
    """Prepares pictures into image shards of a scratch folder: how many shards; the message of each that failed."""
    failed: dict[str, str] = {}
    shards, rows = 0, []
    for picture in found:
        try:
            prepared = prepare(picture.data, section)
        except Failed as failure:
            failed[picture.name] = str(failure)
            continue
        rows.append((picture, prepared))
        if len(rows) == ROWS_A_PART:
            _write_shard(work, shards, rows, section)
            shards, rows = shards + 1, []
    if rows:
        _write_shard(work, shards, rows, section)
        shards += 1
    return shards, failed


def _write_shard(work: str, shard: int, rows: list[Any], section: DownloadSection) -> None:
    folder, table, named = RunFolder(work), [], []
    with atomic_write(folder.image_tar(shard)) as file:
        tar = TarShardWriter(file)
        for number, (picture, prepared) in enumerate(rows):
            key = sample_key(shard, number, rows_per_shard=ROWS_A_PART)
            tar.add(f"{key}.{section.encode_format}", prepared.data)
            facts = {"uid": picture.uid, "url": picture.url, "caption": picture.text, "key": key, "status": "success"}
            facts |= {name: getattr(prepared, name) for name in ("width", "height", "sha256")}
            facts |= {name: getattr(prepared, name) for name in ("original_width", "original_height", "format")}
            table.append({**dict.fromkeys(IMAGES.names), **facts})
            named.append({"uid": picture.uid, "text": picture.text, NAME: picture.name})
        tar.close()
    write_table(folder.image_table(shard), pa.Table.from_pylist(table, schema=IMAGES))
    schema = pa.schema([("uid", pa.string()), ("text", pa.string()), (NAME, pa.string())])
    write_table(folder.planned(shard), pa.Table.from_pylist(named, schema=schema))


def read_known_table(url: str) -> pa.Table:
    """A table of known images; a Refusal where it has no column that says anything of one."""
    try:
        with open_read(url) as file:
            data = io.BytesIO(file.read())
    except OSError as error:
        raise Refusal(f"--source: {url} cannot be read: {error}") from error
    try:
        table = pq.read_table(data) if url.endswith(".parquet") else pyarrow.csv.read_csv(data)
    except pa.ArrowInvalid as error:
        raise Refusal(f"--source: {url} is no table: {error}") from error
    known = ["uid", "url", "text", *_DIGESTS, EMBEDDING]
    if not set(known) & set(table.column_names):
        raise Refusal(f"--source: {url} has none of the columns {', '.join(known)}; it has {table.column_names}")
    return table


def write_table_parts(table: pa.Table, to: str, label: str | None) -> tuple[list[KnownPart], tuple[str, ...]]:
    """Writes the rows of a table as parts; these, and which kinds they hold. label: of embeddings, if there are any."""
    count, there = table.num_rows, table.column_names
    uids = _texts(table, "uid") if "uid" in there else [f"row-{number}" for number in range(count)]
    order = sorted(range(count), key=lambda number: (uid_order(str(uids[number])), str(uids[number])))
    parts = []
    for number, first in enumerate(range(0, max(1, count), ROWS_A_PART)):
        at = pa.array(order[first : first + ROWS_A_PART], pa.int64())
        some = table.take(at)
        made: dict[str, Any] = {"uid": [str(uids[row.as_py()]) for row in at], "name": _texts(some, NAME)}
        for kind in ("url", "text"):
            made[kind] = [key_of(kind, value) for value in _texts(some, kind)]
        for column, name in _DIGESTS.items():
            made[name] = [None if value is None else bytes.fromhex(value) for value in _texts(some, column)]
        made["quality"] = some["pdq_quality"].to_pylist() if "pdq_quality" in there else [100] * some.num_rows
        digest = write_table(rows_url(to, number), pa.table(made, schema=KNOWN_ROWS))
        embedded = {}
        if label is not None:
            rows = np.array(some[EMBEDDING].to_pylist(), dtype=np.float32)
            embedded[label] = write_embeddings(embeddings_url(to, label, number), rows)
        parts.append(KnownPart(some.num_rows, digest, embedded))
    held = {"uid": "uid", "url": "url", **_DIGESTS, EMBEDDING: "near", "text": "text"}
    return parts, tuple(kind for column, kind in held.items() if column in there)


def _texts(table: pa.Table, name: str) -> list[str | None]:
    if name not in table.column_names:
        return [None] * table.num_rows
    return list(table[name].cast(pa.string()).to_pylist())


def part_task(work: str, shard: int, to: str, scores: tuple[str, ...], embeddings: tuple[str, ...]) -> PartTask:
    """How a scratch folder's shard becomes a part, pictures included."""
    return PartTask(work, shard, to, None, scores, True, "pdq", embeddings, names=NAME, pictures=True)
