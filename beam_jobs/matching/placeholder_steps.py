"""Placeholders, step by step, as plain functions on bytes: what the Beam stage wires together.

In: the rows of an image shard. Out: per bucket of contents its narrow rows (content, URL, text and host, each as a
short hash); per bucket what is told to the rows of contents that have several, by shard; a sidecar.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from beam_jobs.matching.exact_steps import by_shard
from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack_all
from beam_jobs.matching.settle import ID, UID, row_of
from beam_jobs.matching.vectors import Indices, runs
from schemas.grouping_placeholders import PlaceholdersOptions
from schemas.urls import canonical_url

_CONTENT = "content"
_COUNTED = ("urls", "texts", "hosts")


def content_rows(rows: ImageRows, buckets: int) -> Iterator[tuple[int, bytes]]:
    """The rows of a shard that have an image, in buckets by the first bytes of their content's hash."""
    table = rows.candidates(["sha256", "url", "caption"], ())
    urls = [canonical_url(url) for url in table["url"].to_pylist()]
    texts = [" ".join((text or "").casefold().split()) for text in table["caption"].to_pylist()]
    contents = [bytes.fromhex(digest) for digest in table["sha256"].to_pylist()]
    narrow = pa.table(
        {
            ID: table[ID],
            _CONTENT: pa.array(contents, pa.binary(32)),
            "urls": pa.array(map(_short, urls), pa.int64()),
            "texts": pa.array(map(_short, texts), pa.int64()),
            "hosts": pa.array([_short(_host(url)) for url in urls], pa.int64()),
        }
    )
    bucket = np.array([int.from_bytes(content[:4], "big") % buckets for content in contents], dtype=np.int64)
    order = np.argsort(bucket, kind="stable")
    for number, here in runs(bucket[order]):
        yield number, pack(narrow.take(pa.array(order[here])).combine_chunks())


def count_contents(blobs: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """How many URLs, texts and hosts the content of each row stands under, where it has several rows, by shard."""
    table = unpack_all(blobs)
    if table is None:
        return
    contents = np.asarray(table[_CONTENT].combine_chunks().dictionary_encode().indices, dtype=np.int64)
    counts = {name: _distinct(contents, table[name].to_numpy())[contents] for name in _COUNTED}
    several = np.flatnonzero(np.bincount(contents)[contents] > 1)
    ids = table[ID].to_numpy()[several]
    order = np.argsort(ids, kind="stable")
    told = {ID: pa.array(ids[order])}
    told |= {name: pa.array(values[several][order].astype(np.int32)) for name, values in counts.items()}
    yield from by_shard(pa.table(told))


def placeholders_table(rows: ImageRows, options: PlaceholdersOptions, told: Iterable[bytes]) -> pa.Table:
    """The sidecar of a shard: nulls where there is no image."""
    uids, places = rows.uids(), rows.places()
    seen = np.zeros(len(uids), dtype=bool)
    seen[places] = True
    counts = {name: np.ones(len(uids), np.int32) for name in _COUNTED}
    table = unpack_all(told)
    if table is not None:
        at = row_of(table[ID].to_numpy())
        for name in _COUNTED:
            counts[name][at] = table[name].to_numpy()
    marked = np.logical_and.reduce([counts[name] >= getattr(options, name) for name in _COUNTED])
    columns = {UID: uids.combine_chunks(), options.label: pa.array(marked, pa.bool_(), mask=~seen)}
    for name in _COUNTED:
        columns[f"{options.label}_{name}"] = pa.array(counts[name], pa.int32(), mask=~seen)
    return pa.table(columns)


def _distinct(contents: Indices, values: Indices) -> Indices:
    """How many different values each content has."""
    if not len(contents):
        return np.zeros(0, np.int64)
    order = np.lexsort([values, contents])
    here, there = contents[order], values[order]
    first = np.r_[True, (here[1:] != here[:-1]) | (there[1:] != there[:-1])]
    return np.bincount(here[first], minlength=int(contents.max()) + 1).astype(np.int64)


def _short(text: str) -> int:
    """64 bits of a text's SHA-256: enough to count by."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
