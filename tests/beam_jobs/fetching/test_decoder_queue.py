"""The queue before the decoding processes: bounded by number and bytes, shared fairly, emptied to half before more."""

from __future__ import annotations

import threading

from beam_jobs.fetching.decoder_queue import Job, JobQueue


def job(size: int = 1) -> Job:
    return Job(b"", bytes(size))


def putting(jobs: JobQueue, size: int) -> tuple[threading.Thread, threading.Event]:
    """A thread that puts one more, and what says that it has."""
    done = threading.Event()

    def put() -> None:
        jobs.put(job(size))
        done.set()

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    return thread, done


def test_each_taker_gets_its_share_in_order():
    jobs = JobQueue(takers=2)
    given = [job() for _ in range(5)]
    for one in given:
        jobs.put(one)
    taken = [jobs.take(8, wait=True), jobs.take(8, wait=False), jobs.take(0, wait=False), jobs.take(8, wait=False)]
    assert [[given.index(one) for one in some or ()] for some in taken] == [[0, 1, 2], [3], [], [4]]


def test_a_full_queue_takes_more_once_half_of_it_is_gone():
    jobs = JobQueue(takers=1)
    for _ in range(8):
        jobs.put(job())
    thread, done = putting(jobs, 1)
    assert jobs.take(3, wait=False) is not None
    assert not done.wait(0.1)
    assert jobs.take(1, wait=False) is not None
    assert done.wait(20)
    thread.join()
    assert len(jobs.take(8, wait=False) or ()) == 5


def test_large_bodies_fill_the_queue_by_their_bytes():
    jobs = JobQueue(takers=1)
    jobs.put(job(20_000_000))
    jobs.put(job(20_000_000))
    thread, done = putting(jobs, 1)
    assert not done.wait(0.1)
    assert len(jobs.take(1, wait=False) or ()) == 1
    assert not done.wait(0.1)
    assert len(jobs.take(1, wait=False) or ()) == 1
    assert done.wait(20)
    thread.join()


def test_the_end_comes_after_the_last():
    jobs = JobQueue(takers=2)
    jobs.put(job())
    jobs.end()
    assert len(jobs.take(8, wait=True) or ()) == 1
    assert jobs.take(8, wait=True) is None
