"""The texts of dropped copies, kept with their survivor: several captions an image.

In: the settled members of a shard's groups. Out: to each shard with survivors of its copies, the texts of these; there,
a column of up to so many texts a survivor, each different from the others and from its own, in the order of the lowest
uid that bears it. Which they are does not depend on how the rows lie in shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.matching.image_rows import ImageRows
from beam_jobs.matching.narrow import pack, unpack_all
from beam_jobs.matching.settle import ID, UID, row_of, shard_of
from beam_jobs.matching.vectors import runs

_SURVIVOR, _TEXT = "survivor_id", "text"


def send_texts(rows: ImageRows, settled: Iterable[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    """The texts of a shard's copies, a blob for each shard that has survivors of them."""
    members = unpack_all(settled)
    if members is None:
        return
    copies = members.filter(pa.array(members[ID].to_numpy() != members[_SURVIVOR].to_numpy()))
    at = pa.array(row_of(copies[ID].to_numpy()))
    told = pa.table(
        {
            _SURVIVOR: copies[_SURVIVOR],
            UID: rows.uids().take(at),
            _TEXT: rows.column("caption").take(at),
        }
    )
    # One more than asked for, since one may be the survivor's own.
    told = _first_texts(told, most + 1)
    for shard, here in runs(shard_of(told[_SURVIVOR].to_numpy())):
        yield shard, pack(told[here])


def with_texts(table: pa.Table, name: str, rows: ImageRows, sent: Iterable[bytes], most: int) -> pa.Table:
    """A sidecar with the column of texts: null where a row is no survivor that was sent any."""
    texts: list[list[str] | None] = [None] * table.num_rows
    told = unpack_all(sent)
    if told is not None:
        at = row_of(told[_SURVIVOR].to_numpy())
        own = rows.column("caption").take(pa.array(at))
        told = _first_texts(told.filter(pc.fill_null(pc.not_equal(told[_TEXT], own), True)), most)
        for survivor, text in zip(told[_SURVIVOR].to_numpy(), told[_TEXT].to_pylist(), strict=True):
            row = int(row_of(survivor))
            texts[row] = [*(texts[row] or []), text]
    return table.append_column(name, pa.array(texts, pa.list_(pa.string())))


def _first_texts(told: pa.Table, most: int) -> pa.Table:
    """Each survivor's different texts, by the lowest uid of each, at most so many; sorted by survivor."""
    told = told.filter(pc.greater(pc.fill_null(pc.utf8_length(told[_TEXT]), 0), 0))
    told = told.sort_by([(_SURVIVOR, "ascending"), (_TEXT, "ascending"), (UID, "ascending")]).combine_chunks()
    told = told.filter(pa.array(_begins(told, [_SURVIVOR, _TEXT])))
    told = told.sort_by([(_SURVIVOR, "ascending"), (UID, "ascending"), (_TEXT, "ascending")]).combine_chunks()
    starts = np.flatnonzero(_begins(told, [_SURVIVOR]))
    place = np.arange(told.num_rows) - np.repeat(starts, np.diff(np.r_[starts, told.num_rows]))
    return told.filter(pa.array(place < most))


def _begins(table: pa.Table, columns: list[str]) -> np.ndarray:
    """Whether each row differs in one of these columns from the row before it."""
    begins = np.ones(table.num_rows, dtype=bool)
    begins[1:] = False
    for name in columns:
        column = table[name].combine_chunks()
        begins[1:] |= np.asarray(pc.not_equal(column[1:], column[:-1]))
    return begins
