"""Threads for many small pieces of work: the pieces side by side, BLAS on one thread inside each.

numpy's BLAS would start threads for every small product and wait for them by spinning, which costs more than it gives
where several pieces, or several workers, share a machine. Results do not depend on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from beam_jobs.cores import usable_cores

MOST_THREADS = 16
_NUMPYS_BLAS = "libscipy_openblas"

Given = TypeVar("Given")
Made = TypeVar("Made")


def side_by_side(do: Callable[[Given], Made], pieces: Iterable[Given]) -> list[Made]:
    """`do` of each piece, in their order, on as many threads as the process has cores."""
    with one_blas_thread(), ThreadPoolExecutor(min(MOST_THREADS, usable_cores())) as pool:
        return list(pool.map(do, pieces))


class _Users:
    """How many blocks want one thread now, and what gives the threads back after the last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.limit: Any = None


_users = _Users()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keeps numpy's BLAS on one thread while any thread is inside such a block."""
    from threadpoolctl import ThreadpoolController

    with _users.lock:
        if _users.count == 0:
            _users.limit = ThreadpoolController().select(prefix=_NUMPYS_BLAS).limit(limits=1)
            _users.limit.__enter__()
        _users.count += 1
    try:
        yield
    finally:
        with _users.lock:
            _users.count -= 1
            if _users.count == 0:
                _users.limit.__exit__(None, None, None)
