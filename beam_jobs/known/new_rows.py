"""The new rows that are held against known ones: which take part, and the day on which each was captured.

In: an image shard. Out: ids and days of its rows that have an image; a row without a day counts as captured today.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_jobs.known.index import KnownIndex
from beam_jobs.matching.image_rows import ImageRows
from schemas.grouping_known import KnownOptions

ALWAYS = 2**31 - 1
_EPOCH = date(1970, 1, 1)
Days = NDArray[np.int32]


def days_of(rows: ImageRows, options: KnownOptions) -> Days:
    """The day of each row of the shard, counted from 1970; ALWAYS where it is not known or not asked for."""
    count = len(rows.uids())
    if not options.date:
        return np.full(count, ALWAYS, np.int32)
    coded = rows.column(options.date).combine_chunks().dictionary_encode()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    days = np.array([_day(value) for value in coded.dictionary.to_pylist()] + [ALWAYS], np.int32)
    return np.asarray(days[coded.indices.fill_null(len(days) - 1).to_numpy(zero_copy_only=False)])


def _day(value: object) -> int:
    """A date, a time, or a text that begins with an ISO date; ALWAYS for anything else."""
    if isinstance(value, datetime):
        value = value.date()
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value.strip()[:10])
        except ValueError:
            return ALWAYS
    return (value - _EPOCH).days if isinstance(value, date) else ALWAYS


def total_rows(indexes: Sequence[KnownIndex]) -> int:
    return sum(index.rows for index in indexes)
