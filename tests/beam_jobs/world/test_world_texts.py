"""Texts drawn to be told apart: the same for the same seed, of every kind, with lures among them."""

from __future__ import annotations

from collections import Counter

from beam_jobs.world.texts import MARKS, labelled_texts


def test_the_same_seed_draws_the_same_texts() -> None:
    first = list(labelled_texts(200, seed=3))
    assert list(labelled_texts(120, seed=3)) == first[:120]
    assert list(labelled_texts(200, seed=4)) != first
    assert len(set(first)) > 100


def test_every_mark_and_many_languages_are_drawn_beside_lures() -> None:
    texts = list(labelled_texts(2_000))
    marked = Counter(mark for each in texts for mark in each.marks)
    assert set(marked) == set(MARKS)
    assert min(marked.values()) > 40
    assert len({each.language for each in texts}) == 19
    lures = {each.text for each in texts if not each.marks and not each.language}
    assert {"ISO 9001", "a map of Scunthorpe", "version 2.0.1 of it", "pacmen"} <= lures
