"""Working ahead keeps order and bounds, and lets exceptions through."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from filters.ahead import map_ahead


def test_results_come_in_the_order_of_items() -> None:
    def slow_when_even(item: int) -> int:
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    assert list(map_ahead(slow_when_even, range(50), threads=4, ahead=8)) == [item * item for item in range(50)]
    assert list(map_ahead(str, [], threads=2, ahead=2)) == []


def test_no_more_is_drawn_than_may_wait() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for item in range(100):
            drawn.append(item)
            yield item

    with closing(map_ahead(str, items(), threads=2, ahead=5)) as results:
        assert next(results) == "0"
        time.sleep(0.3)
        # One given out, five waiting, one in the feeder's hand.
        assert len(drawn) == 7
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_an_exception_is_raised_in_its_place() -> None:
    def fail_at_three(item: int) -> int:
        if item == 3:
            raise KeyError("three")
        return item

    given = []
    with pytest.raises(KeyError, match="three"):
        for result in map_ahead(fail_at_three, range(10), threads=2, ahead=4):
            given.append(result)
    assert given == [0, 1, 2]


def test_an_exception_of_the_items_is_raised_after_what_came_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk")

    given = []
    with pytest.raises(OSError, match="the disk"):
        for result in map_ahead(str, items(), threads=2, ahead=4):
            given.append(result)
    assert given == ["1"]
