"""What groupers take among N rows: what grows with the rows, as measured, and what grows faster, by its formula.

In: a grouper's options, the rows, measured constants, widths of embeddings. Out: seconds of a core and bytes shuffled.
The formulas are those of docs/scale_groups.md, with what `bench/bench_group.py` measured of a core.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.grouping import Grouper, NearOptions, PerceptualOptions, kind_of

# Multiplications with addition a second of a core: rows to their cells, and rows of a cell with each other.
ASSIGN_RATE, COMPARE_RATE = 18e9, 4.2e9
# Cells that a row visits beside its own; dimensions of the quick bound; cells beyond which they are searched in groups.
VISITS, BOUND, MANY_CELLS = 5, 51, 16_384
# Bytes a row: key, uid, preferences; a band of a hash; what goes with a vector.
_KEYED, _BAND, _BESIDE_VECTOR = 110, 45, 64
_BANDS, _BAND_ROWS = 16, 4e6
_NO_WIDTH = 512


@dataclass(frozen=True)
class GroupWork:
    """linear: core-seconds that grow with the rows; beyond: those that grow faster; shuffled: bytes."""

    linear: float
    beyond: float
    shuffled: float
    formula: str


def group_work(
    grouper: Grouper, rows: float, measured: Mapping[str, float], widths: Mapping[str, int | None]
) -> GroupWork | None:
    """The work of one grouper; None where it was not measured."""
    kind = kind_of(grouper)
    if kind not in measured:
        return None
    linear = rows / 1e6 * measured[kind]
    told = f"{rows / 1e6:,.4g}M rows x {measured[kind]:,.3g} core-s/M"
    if isinstance(grouper, NearOptions):
        width = widths.get(grouper.embedding) or _NO_WIDTH
        beyond, formula = near_seconds(rows, width, grouper.cells)
        return GroupWork(linear, beyond, rows * (1 + VISITS) * (2 * width + _BESIDE_VECTOR), f"{told} + {formula}")
    if isinstance(grouper, PerceptualOptions):
        doublings = max(0.0, math.log2(max(1.0, rows) / _BAND_ROWS))
        return GroupWork(linear, 0.0, rows * _BANDS * (1 + doublings / 2) * _BAND, told)
    return GroupWork(linear, 0.0, rows * _KEYED, told)


def near_seconds(rows: float, width: int, cells: int | None) -> tuple[float, str]:
    """Core-seconds of assigning rows to cells and of comparing them there."""
    count = cells or max(1, round(math.sqrt(rows)))
    if count <= MANY_CELLS:
        assign = rows * count * width / ASSIGN_RATE
        told = f"N {count:,} cells x {width} / {ASSIGN_RATE:.2g}"
    else:
        assign = rows * 33 * math.sqrt(count) * width / (ASSIGN_RATE / 2)
        told = f"N x 33 sqrt({count:,} cells) x {width} / {ASSIGN_RATE / 2:.2g}"
    compare = rows * rows / count * (0.5 + VISITS) * BOUND / COMPARE_RATE
    return assign + compare, f"{told} + N^2/{count:,} x {0.5 + VISITS} x {BOUND} / {COMPARE_RATE:.2g}"
