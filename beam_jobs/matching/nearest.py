"""The nearest centres of rows, and how near, decided in float64 so that they do not depend on how rows were blocked.

In: unit rows and centres. Out: for each row the numbers of its nearest centres, nearest first, ties by number, and the
cosines. Among many centres the candidates come from an inverted file over the centres themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_jobs.matching.cells import FLAT_CELLS, Cells
from beam_jobs.matching.threads import side_by_side
from beam_jobs.matching.vectors import Floats, Indices

_SIMILARITIES_AT_ONCE = 1 << 21
# So many more candidates are taken than are told, since float32 may order the last of them otherwise.
_SPARE = 4
_EXACT_AT_ONCE = 256
_LEAST_PROBES = 64


def nearest_centres(units: Floats, centres: Cells, top: int) -> tuple[NDArray[np.int32], Floats]:
    """(rows, top) numbers and cosines; fewer columns where there are fewer centres."""
    top = min(top, centres.count)
    step = max(16, _SIMILARITIES_AT_ONCE // min(centres.count, FLAT_CELLS))
    if centres.count > FLAT_CELLS:
        _ = centres.inverted_file

    def block(start: int) -> tuple[NDArray[np.int32], Floats]:
        return _nearest(units[start : start + step], centres, top)

    parts = side_by_side(block, range(0, len(units), step))
    none = (np.empty((0, top), np.int32), np.empty((0, top), np.float32))
    numbers, cosines = zip(*(parts or [none]), strict=True)
    return np.concatenate(numbers), np.concatenate(cosines)


def _nearest_of_many(block: Floats, centres: Cells, wanted: int) -> Indices:
    """In an inverted file: more of its lists are looked into than to find a home, since all the nearest are told."""
    import faiss

    library: Any = faiss
    lists = centres.inverted_file.nlist
    probes = library.SearchParametersIVF(nprobe=min(lists, max(_LEAST_PROBES, lists // 8)))
    _, near = centres.inverted_file.search(block, wanted, params=probes)
    found: Indices = near
    return found


def _nearest(block: Floats, centres: Cells, top: int) -> tuple[NDArray[np.int32], Floats]:
    wanted = min(centres.count, top + _SPARE)
    if centres.count > FLAT_CELLS:
        near = _nearest_of_many(block, centres, wanted)
    elif wanted < centres.count:
        near = np.argpartition(block @ centres.centroids.T, centres.count - wanted, axis=1)[:, -wanted:]
    else:
        near = np.broadcast_to(np.arange(centres.count), (len(block), centres.count))
    cosines = np.empty(near.shape)
    for start in range(0, len(block), _EXACT_AT_ONCE):
        here = slice(start, start + _EXACT_AT_ONCE)
        wide = centres.centroids[near[here]].astype(np.float64)
        cosines[here] = np.einsum("ij,ikj->ik", block[here].astype(np.float64), wide)
    cosines[near < 0] = -2.0
    order = np.lexsort((near, -cosines), axis=1)[:, :top]
    chosen = np.take_along_axis(near, order, axis=1).astype(np.int32)
    return chosen, np.take_along_axis(cosines, order, axis=1).astype(np.float32)
