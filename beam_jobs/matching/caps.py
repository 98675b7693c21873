"""Caps: rows so close to one leader that each of them is close to every other.

In: float16 rows and the positions to look among. Out: caps, largest found first, and the positions in none. They are
what keeps a crowd of near-identical rows from being compared pair by pair: of angles at most half a threshold to the
leader, any two members are within the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from beam_jobs.matching.vectors import Halves, Indices, Rows, exact_cosines, unit_rows

_LOOK_FROM = 512
_CANDIDATES = 8
_LEAST_MEMBERS = 64
_LEAST_SHARE = 0.05
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Cap:
    """A leader and its members (itself among them), and the widest angle from leader to member."""

    leader: int
    members: Indices
    radius: float


def find_caps(rows: Rows, among: Indices, angle: float) -> tuple[list[Cap], Indices, int]:
    """Caps of at most that angle, as long as one holds a fair share of what is left; the rest; cosines computed."""
    caps: list[Cap] = []
    compared = 0
    loose = among
    while len(loose) >= _LOOK_FROM:
        candidates = loose[:: max(1, len(loose) // _CANDIDATES)][:_CANDIDATES]
        towards = unit_rows(rows[candidates])
        least = np.float32(math.cos(angle))
        near = np.empty((len(loose), len(candidates)), dtype=bool)
        for start in range(0, len(loose), _ROWS_AT_ONCE):
            block = loose[start : start + _ROWS_AT_ONCE]
            near[start : start + len(block)] = unit_rows(rows[block]) @ towards.T >= least
        compared += near.size
        best = int(near.sum(axis=0).argmax())
        members = loose[near[:, best]]
        if len(members) < max(_LEAST_MEMBERS, _LEAST_SHARE * len(loose)):
            break
        leader = int(candidates[best])
        cosines = exact_cosines(rows[members], _repeated(rows, leader, len(members)))
        inside = cosines >= math.cos(angle)
        caps.append(Cap(leader, members[inside], math.acos(max(-1.0, float(cosines[inside].min())))))
        stays = np.ones(len(loose), dtype=bool)
        stays[np.flatnonzero(near[:, best])[inside]] = False
        loose = loose[stays]
    return caps, loose, compared


def _repeated(rows: Rows, row: int, times: int) -> Halves:
    return np.broadcast_to(rows[row : row + 1], (times, rows.shape[1]))
