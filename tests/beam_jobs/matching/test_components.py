"""Components and spanning forests of edge tables."""

from __future__ import annotations

import numpy as np

from beam_jobs.matching.components import Edges, components, spanning_forest


def edges(*triples: tuple[int, int, float]) -> Edges:
    a, b, cosine = zip(*triples, strict=True)
    return Edges(np.array(a, np.int64), np.array(b, np.int64), np.array(cosine, float))


BIG = 7 << 32
SOME = edges((1, 2, 0.97), (2, 3, 0.99), (1, 3, 0.96), (BIG, BIG + 5, 0.98), (3, 2, 0.95))


def test_components_bear_their_lowest_id() -> None:
    ids, lowest = components(SOME)
    assert ids.tolist() == [1, 2, 3, BIG, BIG + 5]
    assert lowest.tolist() == [1, 1, 1, BIG, BIG]


def test_a_higher_threshold_parts_components() -> None:
    ids, lowest = components(SOME, at_least=0.98)
    assert dict(zip(ids.tolist(), lowest.tolist(), strict=True)) == {1: 1, 2: 2, 3: 2, BIG: BIG, BIG + 5: BIG}


def test_the_forest_keeps_the_closest_edges_and_no_more() -> None:
    forest = spanning_forest(SOME)
    found = sorted(zip(forest.a.tolist(), forest.b.tolist(), forest.cosine.tolist(), strict=True))
    assert found == [(1, 2, 0.97), (2, 3, 0.99), (BIG, BIG + 5, 0.98)]


def test_the_forest_of_shuffled_edges_is_the_same() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 500, (2, 3000))
    many = Edges(a, b, np.round(rng.random(3000), 2))
    order = rng.permutation(3000)
    first, second = spanning_forest(many), spanning_forest(Edges(b[order], a[order], many.cosine[order]))
    assert (first.a == second.a).all()
    assert (first.b == second.b).all()
    assert (first.cosine == second.cosine).all()
    for threshold in (0.0, 0.5, 0.9, 0.97):
        joined = dict(zip(*components(many, at_least=threshold), strict=True))
        assert dict(zip(*components(first, at_least=threshold), strict=True)).items() <= joined.items()
        assert len(set(dict(zip(*components(first, at_least=threshold), strict=True)).values())) == len(
            {joined[row] for row in np.unique(np.r_[first.a, first.b])}
        )


def test_no_edges() -> None:
    assert len(spanning_forest(Edges.none())) == 0
    assert components(Edges.none())[0].tolist() == []
