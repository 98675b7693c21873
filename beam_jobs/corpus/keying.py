"""What a counter does with rows: keys to count, and columns of the totals. Parts are read and written in chunks.

In: chunks of a part's rows, as tables of the columns that the counter reads. Out: the part's different keys with their
counts; then, with the totals over the corpus, the counter's columns for each row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from beam_jobs.corpus.hashing import Keys, Places
from beam_jobs.corpus.tallies import Counted, Counts, Spectrum, count, join_counted

_JOINED_AT_ONCE = 16


@dataclass(frozen=True)
class Keyed:
    """The keys of rows, one row after another; row i has those from starts[i] on.

    values: what the keys stand for, where columns are made of it.
    """

    keys: Keys
    starts: Places
    values: Any = None


class Keying(Protocol):
    """What makes keys of rows and columns of totals; a function of its options and its input alone."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of its tables."""

    @property
    def entries_per_row(self) -> float:
        """About how many different keys a row adds to its part; sizes buckets and decides nothing else."""

    def key(self, table: pa.Table) -> Keyed:
        """The keys of these rows."""

    def columns(self, table: pa.Table, keyed: Keyed, totals: Counts, spectrum: Spectrum) -> Mapping[str, pa.Array]:
        """The counter's columns for the rows of `key`, given the total of each of their keys and the spectrum."""


def count_rows(chunks: Iterable[pa.Table], keying: Keying) -> Counted:
    """The different keys of a part."""
    found: list[Counted] = []
    for table in chunks:
        found.append(count(keying.key(table).keys))
        if len(found) == _JOINED_AT_ONCE:
            found = [join_counted(found)]
    return join_counted(found) if found else count(np.zeros(0, dtype=np.uint64))


def add_totals(table: pa.Table, keying: Keying, totals: Counted, spectrum: Spectrum) -> Mapping[str, pa.Array]:
    """The counter's columns for a chunk of a part, given the totals of the part's keys."""
    keyed = keying.key(table)
    return keying.columns(table, keyed, totals.of(keyed.keys), spectrum)


def lowest(values: Counts, starts: Places) -> Counts:
    """The lowest value of each run; a run of none has the greatest number there is."""
    found = np.full(len(starts) - 1, np.iinfo(np.int64).max, dtype=np.int64)
    filled = np.diff(starts) > 0
    if filled.any():
        found[filled] = np.minimum.reduceat(values, starts[:-1][filled])
    return found
