"""Shards in turn: who does them, what comes back, and that nobody waits for a turn that never comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from beam_jobs.turns import Turns, in_turn, taking_turns


def handed_over(call: Callable[[], object], turns: Turns) -> Future[object]:
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(turns.do, call)
        done.add_done_callback(lambda _: turns.end())
        turns.serve()
    return done


def test_without_turns_a_shard_is_done_at_once() -> None:
    assert in_turn(lambda task: (task, threading.current_thread()), 7) == (7, threading.main_thread())


def test_the_thread_that_serves_does_it() -> None:
    assert handed_over(threading.current_thread, Turns()).result() is threading.main_thread()


def test_what_it_raises_is_raised_where_it_came_from() -> None:
    def fail() -> None:
        raise LookupError("no shard 7")

    with pytest.raises(LookupError, match="no shard 7"):
        handed_over(fail, Turns()).result()


def test_an_interruption_ends_both_sides() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    turns = Turns()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(turns.do, interrupt)
        with pytest.raises(KeyboardInterrupt):
            turns.serve()
        assert isinstance(done.exception(timeout=10), KeyboardInterrupt)


def test_whoever_waits_when_the_end_comes_is_told_and_so_is_who_comes_later() -> None:
    did: list[int] = []
    begun, goes_on = threading.Event(), threading.Event()

    def first(task: int) -> bool:
        begun.set()
        return goes_on.wait(10)

    with ThreadPoolExecutor(2) as pool, taking_turns() as turns:
        threading.Thread(target=turns.serve).start()
        doing = pool.submit(in_turn, first, 1)
        assert begun.wait(10)
        waiting = pool.submit(in_turn, did.append, 2)
        while turns._calls.empty():
            time.sleep(0.01)
        turns.end()
        goes_on.set()
        assert doing.result(timeout=10) is True
        with pytest.raises(RuntimeError, match="the pipeline has ended"):
            waiting.result(timeout=10)
        with pytest.raises(RuntimeError, match="the pipeline has ended"):
            in_turn(did.append, 3)
    in_turn(did.append, 4)
    assert did == [4]
