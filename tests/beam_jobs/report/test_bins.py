"""Histograms counted batch by batch."""

from __future__ import annotations

import numpy as np
import pytest

from beam_jobs.report.bins import CUT, KEPT, OTHER, Bins, Histogram, choose_bins
from beam_jobs.report.tops import TopCounter


def test_counts_by_outcome_do_not_depend_on_batches() -> None:
    bins = Bins((0.0, 1.0, 2.0, 3.0), "linear")
    values = np.array([0.0, 0.5, 1.0, 2.9, 3.5, -1.0, np.nan])
    outcomes = np.array([KEPT, CUT, KEPT, OTHER, OTHER, CUT, KEPT])
    whole, halves = Histogram(bins), Histogram(bins)
    whole.add(values, outcomes)
    halves.add(values[:3], outcomes[:3])
    halves.add(values[3:], outcomes[3:])
    assert whole.counts.tolist() == [[1, 1, 0], [2, 0, 0], [0, 0, 2]]
    assert halves.counts.tolist() == whole.counts.tolist()
    assert (whole.rows, whole.missing, whole.smallest, whole.largest) == (6, 1, -1.0, 3.5)


def test_thresholds_lie_on_nice_edges() -> None:
    bins = choose_bins(np.linspace(0.0312, 0.4871, 500), [0.3])
    assert bins.edges[:3] == (0.03, 0.04, 0.05)
    assert 0.3 in bins.edges
    assert bins.edges[-1] == 0.49


def test_no_bin_holds_both_sides_of_the_first_threshold() -> None:
    bins = choose_bins(np.arange(0, 190), [5.0], integers=True)
    assert 5.0 in bins.edges
    assert bins.edges[1] - bins.edges[0] == 5.0


def test_a_mark_outside_the_values_is_inside_the_bins() -> None:
    bins = choose_bins(np.linspace(0.5, 0.9, 100), [0.2])
    assert bins.edges[0] <= 0.2
    assert bins.edges[-1] > 0.9


def test_few_whole_numbers_have_a_bin_each() -> None:
    bins = choose_bins(np.array([3, 5, 4, 3]), integers=True)
    assert (bins.scale, bins.edges) == ("integers", (3.0, 4.0, 5.0, 6.0))


@pytest.mark.parametrize("value", [0.0, 7.25, -3.0])
def test_one_single_value(value: float) -> None:
    bins = choose_bins(np.full(5, value))
    assert bins.edges[0] < value < bins.edges[-1]


def test_long_tails_are_counted_on_a_log_scale() -> None:
    sizes = np.random.default_rng(1).lognormal(10, 1.5, 5000)
    bins = choose_bins(sizes)
    histogram = Histogram(bins)
    histogram.add(sizes, np.zeros(5000, dtype=np.int64))
    assert bins.scale == "log"
    assert histogram.counts.sum() == 5000
    assert histogram.counts.max() < 500


def test_the_most_frequent_names_in_bounded_memory() -> None:
    counter = TopCounter(bound=10)
    for number in range(200):
        counter.add({"often": 3, f"once{number:03d}": 1})
    assert len(counter) <= 21
    assert counter.top(1) == [("often", 600)]
    assert counter.total == 800
    assert counter.rest(1) == 200
    assert counter.short_by > 0
