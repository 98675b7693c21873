"""Vectors with known near-copies, and what is close to what among them, by brute force.

In: how many, and how they lie. Out: unit float16 rows; all close pairs; how far groups agree with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beam_jobs.matching.components import Edges, components
from beam_jobs.matching.vectors import unit_rows, where_true

PLANTED = 0.1
WHOLE_ROWS = 100_000
SAMPLED_PAIRS = 2_000_000_000
# Of a row of the crowd to its centre.
CROWD_COSINE = 0.985
# With a crowd, a row has as many close pairs as the crowd has rows: so many rows are enough.
CROWD_ASKED = 100
_ROWS_AT_ONCE = 10_000


def draw(rows: int, width: int, cosine: float, concepts: int, crowd: float) -> np.ndarray:
    """Unit float16 rows, a tenth of them near-copies of others, shuffled; a share of all in one crowd."""
    rng = np.random.default_rng(2024)
    made = np.empty((rows, width), np.float16)
    centres = unit_rows(rng.standard_normal((max(1, concepts), width)).astype(np.float32))
    for start in range(0, rows, _ROWS_AT_ONCE):
        block = unit_rows(rng.standard_normal((min(_ROWS_AT_ONCE, rows - start), width)).astype(np.float32))
        if concepts:
            block = unit_rows(1.2 * centres[rng.integers(0, concepts, len(block))] + block)
        made[start : start + len(block)] = block
    copies = int(rows * PLANTED)
    for start in range(0, copies, _ROWS_AT_ONCE):
        count = min(_ROWS_AT_ONCE, copies - start)
        originals = unit_rows(made[copies + start : copies + start + count])
        made[start : start + count] = beside(originals, rng.uniform(cosine, 1, (count, 1)).astype(np.float32), rng)
    for start in range(2 * copies, 2 * copies + int(rows * crowd), _ROWS_AT_ONCE):
        count = min(_ROWS_AT_ONCE, 2 * copies + int(rows * crowd) - start)
        made[start : start + count] = beside(np.repeat(centres[:1], count, axis=0), CROWD_COSINE, rng)
    return made[rng.permutation(rows)]


def beside(rows: np.ndarray, cosine: Any, rng: np.random.Generator) -> np.ndarray:
    """A row at that cosine from each."""
    aside = rng.standard_normal(rows.shape).astype(np.float32)
    aside = unit_rows(aside - np.einsum("ij,ij->i", aside, rows)[:, None] * rows)
    return cosine * rows + np.sqrt(1 - cosine**2) * aside


def brute_pairs(vectors: np.ndarray, cosine: float, crowd: float) -> np.ndarray:
    """All close pairs between some rows and all others: all rows, or as many as make SAMPLED_PAIRS comparisons."""
    chosen = len(vectors) if len(vectors) <= WHOLE_ROWS else SAMPLED_PAIRS // len(vectors)
    if crowd:
        chosen = CROWD_ASKED
    found = []
    for first in range(0, chosen, 4096):
        units = unit_rows(vectors[first : min(chosen, first + 4096)])
        for start in range(first, len(vectors), 4096):
            at, to = where_true(units @ unit_rows(vectors[start : start + 4096]).T >= np.float32(cosine))
            found.append(np.column_stack([at + first, to + start])[at + first < to + start])
    return np.concatenate(found)


def precision(groups: np.ndarray, pairs: np.ndarray) -> float:
    """Of rows that stand side by side in a group, the share that all close pairs join too."""
    ids, lowest = components(Edges(pairs[:, 0], pairs[:, 1], np.ones(len(pairs))))
    known = np.arange(len(groups))
    known[ids] = lowest
    order = np.lexsort((known, groups))
    joined = groups[order[1:]] == groups[order[:-1]]
    return float((known[order[1:]] == known[order[:-1]])[joined].mean()) if joined.any() else 1.0
