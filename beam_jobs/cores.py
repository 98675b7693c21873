"""How many cores a process may use, where several workers of a job share a machine.

In: what the system allows, and how many share it: PAIRMILL_PROCESSES in the environment, 1 without. Out: a number of
threads or processes to start. What is made does not depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

PROCESSES = "PAIRMILL_PROCESSES"
_MODELS_THREADS = "OMP_NUM_THREADS"


def usable_cores() -> int:
    """This process's share of the cores that it may run on; at least 1."""
    return max(1, _cores() // max(1, int(os.environ.get(PROCESSES) or 1)))


@contextmanager
def shared_by(processes: int) -> Iterator[None]:
    """Within it, processes that are started know that so many share the machine; 0 stands for one a core."""
    processes = processes or _cores()
    before = {name: os.environ.get(name) for name in (PROCESSES, _MODELS_THREADS)}
    os.environ[PROCESSES] = str(processes)
    os.environ.setdefault(_MODELS_THREADS, str(usable_cores()))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
