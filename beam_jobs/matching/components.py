"""Connected components of narrow edge tables.

In: edges (two 64-bit ids and a cosine each), in any order, doubles allowed. Out: the fewest edges that join the same
ids at every threshold, or the component of each id. Nothing depends on the order of the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """Pairs that are close: ids and cosine, columns of one length."""

    a: Ids
    b: Ids
    cosine: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.a)

    @staticmethod
    def none() -> Edges:
        return Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    @staticmethod
    def join(parts: Sequence[Edges]) -> Edges:
        if not parts:
            return Edges.none()
        return Edges(
            np.concatenate([part.a for part in parts]),
            np.concatenate([part.b for part in parts]),
            np.concatenate([part.cosine for part in parts]),
        )

    def renamed(self, ids: Ids) -> Edges:
        """The same edges with `ids[i]` for i."""
        return Edges(ids[self.a], ids[self.b], self.cosine)


def _compact(edges: Edges) -> tuple[Ids, Ids, Ids, NDArray[np.float64]]:
    """The ids, and each different edge once (its highest cosine) as positions among them, lower id first."""
    ids, positions = np.unique(np.concatenate([edges.a, edges.b]), return_inverse=True)
    first, second = positions[: len(edges)], positions[len(edges) :]
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((-edges.cosine, high, low))
    low, high, cosine = low[order], high[order], edges.cosine[order]
    fresh = low != high
    fresh[1:] &= (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return ids, low[fresh], high[fresh], cosine[fresh]


def spanning_forest(edges: Edges) -> Edges:
    """A maximum spanning forest: at most one edge fewer than ids, the same components at every threshold."""
    if len(edges) == 0:
        return edges
    ids, low, high, cosine = _compact(edges)
    # An edge weighs its place among all edges, closest first, from 1: no ties, and no weight of 0 (no edge).
    by_closeness = np.lexsort((high, low, -cosine))
    weight = np.empty(len(low))
    weight[by_closeness] = np.arange(1, len(low) + 1)
    tree = minimum_spanning_tree(coo_matrix((weight, (low, high)), shape=(len(ids), len(ids))).tocsr())
    kept = by_closeness[np.sort(tree.data).astype(np.int64) - 1]
    return Edges(ids[low[kept]], ids[high[kept]], cosine[kept])


def components(edges: Edges, *, at_least: float = -1.0) -> tuple[Ids, Ids]:
    """Ids in ascending order and the lowest id of each one's component, by the edges of at least that cosine.

    Ids of which no edge is left stand alone.
    """
    if len(edges) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ids, low, high, cosine = _compact(edges)
    used = cosine >= at_least
    graph = coo_matrix((np.ones(int(used.sum()), np.int8), (low[used], high[used])), shape=(len(ids), len(ids)))
    count, labels = connected_components(graph, directed=False)
    lowest = np.empty(count, np.int64)
    lowest[labels[::-1]] = ids[::-1]
    return ids, lowest[labels]
