"""Columns made of the rows that a recipe keeps: what must be known of all of them first, and then each row's values.

In: the kept rows of a shard and the entries of the recipe's section `columns`. Out: summaries that add up over shards
exactly, in any order; the facts that follow from their sum (edges of bins, means); and the columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.matching.ordered import BINS, Counts, Numbers, at_places, bins, bins_of_places
from filters.rules import compiled, numbers
from schemas.recipe_columns import Bins, Made, Weight

# By entry: {"edges": [...]} or {"means": {...}}, null where no kept row has a value.
Facts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Summary:
    """Of one column over kept rows. total: exact. binned: how many fall in each of `ordered.BINS`, where asked for."""

    count: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    total: Fraction = Fraction(0)
    binned: Counts | None = None

    def __add__(self, other: Summary) -> Summary:
        parts = [each for each in (self.binned, other.binned) if each is not None]
        return Summary(
            self.count + other.count,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            self.total + other.total,
            sum(parts[1:], parts[0]) if parts else None,
        )


def columns_needed(made: Sequence[Made]) -> tuple[str, ...]:
    """The columns that the entries read."""
    named: dict[str, None] = {}
    for entry in made:
        named.update(dict.fromkeys(_expression_columns(entry) if isinstance(entry, Weight) else entry.reads))
        named.update(dict.fromkeys(_summed(entry)))
    return tuple(named)


def fields_of(made: Sequence[Made]) -> list[pa.Field]:
    """The columns that the entries make."""
    found = []
    for entry in made:
        kinds = [pa.float64()] if isinstance(entry, Weight) else [pa.int32(), pa.float64(), pa.float64()]
        found += [pa.field(name, kind) for name, kind in zip(entry.names, kinds, strict=True)]
    return found


def summarize(kept: pa.Table, made: Sequence[Made]) -> dict[str, Summary]:
    """A summary of each column of which something must be known; kept: the kept rows of a shard."""
    wanted: dict[str, bool] = {}
    for entry in made:
        for column in _summed(entry):
            wanted[column] = wanted.get(column, False) or _by_count(entry)
    return {column: _summary(_values(kept, column), binned=binned) for column, binned in wanted.items()}


def open_bins(summaries: Mapping[str, Summary], made: Sequence[Made]) -> dict[str, Counts]:
    """By column, the bins whose numbers must be looked at to tell the edges of bins of equal counts."""
    found: dict[str, Counts] = {}
    for entry in made:
        if isinstance(entry, Bins) and _by_count(entry):
            summary = summaries.get(entry.of, Summary())
            if summary.binned is not None and summary.count:
                more = bins_of_places(summary.binned, _inner_places(entry, summary.count))
                found[entry.of] = np.union1d(found.get(entry.of, more), more)
    return found


def values_in(kept: pa.Table, column: str, wanted: Counts) -> Numbers:
    """The numbers of a column that fall in these bins."""
    values = _values(kept, column)
    return values[np.isin(bins(values), wanted)]


def facts_of(made: Sequence[Made], summaries: Mapping[str, Summary], opened: Mapping[str, Numbers]) -> Facts:
    """What the rows' values are made with, by the entries' names; plain JSON values."""
    facts: dict[str, dict[str, Any]] = {}
    for entry in made:
        if isinstance(entry, Weight):
            facts[entry.name] = {"means": {name: _mean(summaries, column) for name, column in entry.means.items()}}
        else:
            summary = summaries.get(entry.of, Summary())
            facts[entry.name] = {"edges": list(entry.edges) or _edges(entry, summary, opened)}
    return facts


def make_columns(kept: pa.Table, made: Sequence[Made], facts: Facts) -> dict[str, pa.Array]:
    """The columns of kept rows."""
    columns: dict[str, pa.Array] = {}
    for entry in made:
        if isinstance(entry, Weight):
            columns[entry.name] = _weights(kept, entry, facts[entry.name]["means"])
        else:
            columns.update(_binned(kept, entry, facts[entry.name]["edges"]))
    return columns


def _binned(kept: pa.Table, entry: Bins, edges: Sequence[float] | None) -> dict[str, pa.Array]:
    if edges is None:
        return dict(zip(entry.names, (pa.nulls(kept.num_rows, each.type) for each in fields_of([entry])), strict=True))
    values = _numbers(kept, entry.of)
    unknown = np.isnan(values)
    which = np.searchsorted(np.asarray(edges[1:-1]), np.where(unknown, 0.0, values), side="right")
    lows, highs = np.asarray(edges[:-1])[which], np.asarray(edges[1:])[which]
    kinds = [each.type for each in fields_of([entry])]
    arrays = [pa.array(each, kind, mask=unknown) for each, kind in zip((which, lows, highs), kinds, strict=True)]
    return dict(zip(entry.names, arrays, strict=True))


def _weights(kept: pa.Table, entry: Weight, means: Mapping[str, float | None]) -> pa.Array:
    for name, mean in means.items():
        kept = kept.append_column(name, pa.array([mean] * kept.num_rows, pa.float64()))
    values = numbers(kept, entry.expression, entry.place.at("weight"))
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _summary(values: Numbers, *, binned: bool) -> Summary:
    counts = np.bincount(bins(values), minlength=BINS).astype(np.int64) if binned else None
    if not len(values):
        return Summary(binned=counts)
    return Summary(len(values), float(values.min()), float(values.max()), _total(values), counts)


def _total(values: Numbers) -> Fraction:
    """The sum, exact: by exponent, mantissas are whole numbers."""
    mantissas, exponents = np.frexp(values)
    whole = (mantissas * 2.0**53).astype(np.int64)
    total = Fraction(0)
    for exponent in np.unique(exponents):
        same = whole[exponents == exponent]
        total += (int((same >> 26).sum()) * 2**26 + int((same & (2**26 - 1)).sum())) * Fraction(2) ** int(exponent - 53)
    return total


def _edges(entry: Bins, summary: Summary, opened: Mapping[str, Numbers]) -> list[float] | None:
    if not summary.count:
        return None
    if not _by_count(entry):
        return [float(edge) for edge in np.linspace(summary.lowest, summary.highest, entry.count + 1)]
    assert summary.binned is not None
    inner = at_places(opened[entry.of], summary.binned, _inner_places(entry, summary.count))
    return [summary.lowest, *inner, summary.highest]


def _inner_places(entry: Bins, count: int) -> list[int]:
    return [count * number // entry.count for number in range(1, entry.count)]


def _mean(summaries: Mapping[str, Summary], column: str) -> float | None:
    summary = summaries.get(column, Summary())
    return float(summary.total / summary.count) if summary.count else None


def _by_count(entry: Made) -> bool:
    return isinstance(entry, Bins) and not entry.edges and entry.cut == "equal_count"


def _summed(entry: Made) -> tuple[str, ...]:
    if isinstance(entry, Weight):
        return tuple(entry.means.values())
    return () if entry.edges else (entry.of,)


def _expression_columns(entry: Weight) -> list[str]:
    return [name for name in compiled(entry.expression, entry.place.at("weight")).columns if name not in entry.means]


def _numbers(table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    return np.asarray(pc.fill_null(table[column].cast(pa.float64()), float("nan")), dtype=np.float64)


def _values(table: pa.Table, column: str) -> Numbers:
    """The finite numbers of a column."""
    values = _numbers(table, column)
    return values[np.isfinite(values)]
