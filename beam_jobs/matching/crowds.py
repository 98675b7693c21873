"""Crowds: many rows that belong together, joined through a few of them instead of pair by pair.

In: float16 rows. Out: edges. Leaders are compared with all rows: in a crowd, tight or loose, each joins many, and
what it joined need not be compared with each other; a round of leaders that saves fewer comparisons than it took is the
last. A row outside a crowd is compared with its members only where the angle to its centre leaves it open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.components import Edges
from beam_jobs.matching.joined import Joined
from beam_jobs.matching.vectors import Floats, Indices, Rows, unit_rows

LOOK_FROM = 512
LEAST_CROWD = 64
_FIRST_LEADERS, _MOST_LEADERS = 8, 64
# A round may save a fourth of what it costs: crowds are found slowly at first.
_PAYS_FROM = 0.25
_ROWS_AT_ONCE = 8192
# Room for float32 in an angle near zero.
_ANGLE_SLACK = 4e-3


@dataclass(frozen=True)
class Crowd:
    """Members of one component at every threshold, a direction amid them, and the widest angle to it."""

    members: Indices
    centre: Floats
    radius: float


@dataclass
class Led:
    """What leaders did: the edges they found, who led (all pairs with them are settled), cosines computed."""

    edges: list[Edges]
    leaders: Indices
    compared: int = 0


def lead(rows: Rows, residents: Indices, visitors: Indices, joined: Joined) -> Led:
    """Joins crowds through leaders chosen among residents, as long as that pays."""
    led = Led([], np.empty(0, np.int64))
    count = _FIRST_LEADERS
    everyone = np.concatenate([residents, visitors])
    left = joined.pairs_left(everyone)
    open_rows = residents
    while len(open_rows) >= LOOK_FROM:
        leaders = _choose(open_rows, joined, count)
        open_rows = np.setdiff1d(open_rows, leaders, assume_unique=True)
        led.leaders = np.concatenate([led.leaders, leaders])
        led.edges.extend(_stars(rows, leaders, np.concatenate([open_rows, visitors]), joined))
        led.edges.extend(_stars(rows, leaders, leaders, joined))
        cost = len(leaders) * len(everyone)
        led.compared += cost
        before, left = left, joined.pairs_left(everyone)
        saved = max(was - now for was, now in zip(before, left, strict=True))
        if saved < _PAYS_FROM * cost or max(left) <= len(everyone):
            break
        count = min(2 * count, _MOST_LEADERS)
    return led


def _choose(open_rows: Indices, joined: Joined, count: int) -> Indices:
    """Rows evenly from those outside the largest component, which has been led already."""
    labels = joined.labels[-1][open_rows]
    names, sizes = np.unique(labels, return_counts=True)
    largest = names[int(sizes.argmax())]
    outside = open_rows[labels != largest] if sizes.max() >= LEAST_CROWD else open_rows
    among = outside if len(outside) else open_rows
    return among[:: max(1, len(among) // count)][:count]


def _stars(rows: Rows, leaders: Indices, others: Indices, joined: Joined) -> Iterator[Edges]:
    towards = unit_rows(rows[leaders])
    for start in range(0, len(others), _ROWS_AT_ONCE):
        block = others[start : start + _ROWS_AT_ONCE]
        similarity = towards @ unit_rows(rows[block]).T
        for leader, similar in zip(leaders.tolist(), similarity, strict=True):
            near = np.flatnonzero(similar >= joined.thresholds[0] - 1e-5)
            yield joined.star(leader, block[near], similar[near])


def make_crowd(rows: Rows, members: Indices) -> Crowd:
    """Their mean direction, and how far they reach from it."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(members), _ROWS_AT_ONCE):
        total += unit_rows(rows[members[start : start + _ROWS_AT_ONCE]]).sum(axis=0, dtype=np.float64)
    centre = (total / max(float(np.linalg.norm(total)), 1e-30)).astype(np.float32)
    return Crowd(members, centre, float(_angles(rows, members, centre).max()))


def reached(rows: Rows, outside: Indices, crowd: Crowd, joined: Joined) -> Indices:
    """The rows outside that may be close to a member and are not known to belong with them."""
    if len(outside) == 0:
        return outside
    angles = _angles(rows, outside, crowd.centre)
    open_at: NDArray[np.bool_] = np.zeros(len(outside), dtype=bool)
    for threshold, labels in zip(joined.thresholds, joined.labels, strict=True):
        apart = labels[outside] != labels[crowd.members[0]]
        open_at |= apart & (angles <= math.acos(threshold) + crowd.radius + 2 * _ANGLE_SLACK)
    return outside[open_at]


def _angles(rows: Rows, places: Indices, centre: Floats) -> NDArray[np.float64]:
    angles = np.empty(len(places))
    for start in range(0, len(places), _ROWS_AT_ONCE):
        block = unit_rows(rows[places[start : start + _ROWS_AT_ONCE]])
        angles[start : start + len(block)] = np.arccos(np.clip(block @ centre, -1, 1))
    return angles
