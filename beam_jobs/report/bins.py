"""Histograms that are counted in one pass over batches of any number of rows.

In: a first sample of a column, from which the bins are chosen, then all of its values with what became of their
rows. Out: counts by bin and outcome. Values outside the bins count in the outermost ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# What became of a row: kept; dropped by a rule on this very column; dropped or failed for another reason.
KEPT, CUT, OTHER = 0, 1, 2
OUTCOMES = 3

_BINS = 48
_FEW_INTEGERS = 60
_TAIL = 0.002
_LOG_RATIO = 30.0


@dataclass(frozen=True)
class Bins:
    """Bin i holds edges[i] <= value < edges[i + 1]. scale: linear | log | integers (a bin a number)."""

    edges: tuple[float, ...]
    scale: str

    def __len__(self) -> int:
        return len(self.edges) - 1


def nice_step(span: float, parts: int) -> float:
    """1, 2, 2.5 or 5 times a power of ten, so that about `parts` steps make the span."""
    rough = span / max(parts, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if rough <= factor * power * 1.0000001)


def choose_bins(sample: np.ndarray, marks: Sequence[float] = (), *, integers: bool = False) -> Bins:
    """Bins for values like those of the sample (finite, not empty), with nice edges; all `marks` lie inside and
    the first on an edge, so that no bin holds both sides of it.
    """
    low, high = float(sample.min()), float(sample.max())
    if len(sample) >= 1000:
        low, high = (float(edge) for edge in np.quantile(sample, (_TAIL, 1 - _TAIL)))
    low, high = min(low, *marks, high), max(high, *marks, low)
    if integers and high - low < _FEW_INTEGERS:
        first = math.floor(low)
        return Bins(tuple(float(edge) for edge in range(first, math.floor(high) + 2)), "integers")
    if low == high:
        reach = abs(low) / 2 or 0.5
        low, high = low - reach, high + reach
    if low > 0 and high / low > _LOG_RATIO and _skewed(sample):
        exponents = np.linspace(math.log10(low), math.log10(high), _BINS + 1)
        edges = [float(edge) for edge in np.power(10.0, exponents)]
        return Bins((low, *edges[1:-1], np.nextafter(high, math.inf).item()), "log")
    step = nice_step(high - low, _BINS)
    if integers:
        step = max(1.0, round(step))
    zero = marks[0] - step * round(marks[0] / step) if marks else 0.0
    first, last = math.floor((low - zero) / step + 1e-9), math.floor((high - zero) / step + 1e-9) + 1
    return Bins(tuple(round(zero + number * step, 12) for number in range(first, last + 1)), "linear")


def _skewed(sample: np.ndarray) -> bool:
    quarter, middle, three = np.quantile(sample, (0.25, 0.5, 0.75))
    return bool(three - middle > 1.5 * (middle - quarter)) or bool(sample.max() > 20 * max(middle, 1e-12))


@dataclass
class Histogram:
    """Counts by outcome and bin, with the column's count, smallest, largest and mean."""

    bins: Bins
    counts: np.ndarray = field(init=False)
    rows: int = 0
    missing: int = 0
    smallest: float = math.inf
    largest: float = -math.inf
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = np.zeros((OUTCOMES, len(self.bins)), dtype=np.int64)

    def add(self, values: np.ndarray, outcomes: np.ndarray) -> None:
        """Values (NaN where a row has none) with the outcome of each row."""
        finite = np.isfinite(values)
        self.missing += int(len(values) - finite.sum())
        values, outcomes = values[finite], outcomes[finite]
        if not len(values):
            return
        places = np.searchsorted(self.bins.edges, values, side="right") - 1
        places = np.clip(places, 0, len(self.bins) - 1)
        flat = np.bincount(outcomes * len(self.bins) + places, minlength=OUTCOMES * len(self.bins))
        self.counts += flat.reshape(OUTCOMES, len(self.bins))
        self.rows += len(values)
        self.smallest = min(self.smallest, float(values.min()))
        self.largest = max(self.largest, float(values.max()))
        self.total += float(values.sum(dtype=np.float64))

    @property
    def mean(self) -> float:
        return self.total / self.rows if self.rows else math.nan
