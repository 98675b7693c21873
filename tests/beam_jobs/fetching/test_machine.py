"""Manners of a whole machine: two processes that fetch from one host keep its limits together."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_jobs.fetching.machine import MachineTurns
from schemas.refusal import Refusal

FETCH = """
import sys
from pathlib import Path
from beam_jobs.fetching.addresses import ResolveRule
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.fetch import FetchOptions, fetch_all
from beam_jobs.fetching.machine import MachineTurns
folder, port, path, count, per_host, delay = sys.argv[1:]
rule = ResolveRule("*.test", "127.0.0.1", int(port))
limits = {"per_host": int(per_host), "host_delay": float(delay), "retries": 0}
options = FetchOptions(resolve=(rule,), robots=False, read_tdm_file=False, **limits)
urls = [f"http://a.test{path}?{number}" for number in range(int(count))]
print("ready", flush=True)
sys.stdin.readline()
commons = Commons(machine=MachineTurns(Path(folder)))
ended = [row.reason for _, row in fetch_all(enumerate(urls), options, commons=commons)]
print(ended.count(None), flush=True)
"""


def fetch_twice_at_once(folder: Path, port: int, path: str, *, count: int, per_host: int, delay: float) -> list[int]:
    """How many URLs each of two processes got."""
    command = [sys.executable, "-c", FETCH, str(folder), str(port), path, str(count), str(per_host), str(delay)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [int(process.communicate(timeout=60)[0]) for process in processes]


def test_requests_at_once_are_counted_over_all_processes(server, tmp_path):
    got = fetch_twice_at_once(tmp_path, server.port, "/slow", count=30, per_host=3, delay=0)
    assert got == [30, 30]
    assert server.most["a.test"] == 3
    assert sum(server.asked.values()) == 60


def test_the_time_between_requests_is_kept_over_all_processes(server, tmp_path):
    got = fetch_twice_at_once(tmp_path, server.port, "/ok", count=8, per_host=4, delay=0.06)
    assert got == [8, 8]
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(server.times))]
    assert len(gaps) == 15
    assert sum(gaps) >= 15 * 0.06 - 0.05
    assert sum(gap > 0.03 for gap in gaps) >= 13  # a busy machine may hold one up until the next is due


HOLD = """
import sys, time
from pathlib import Path
from beam_jobs.fetching.machine import MachineTurns
turns = MachineTurns(Path(sys.argv[1]))
print(turns.take("a.test", 2) is not None, turns.take("b.test", 2) is not None, flush=True)
turns.pause("a.test", time.monotonic() + 500)
print("paused", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_dies_gives_its_turns_back(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "True True\n"
    assert other.stdout.readline() == "paused\n"
    turns = MachineTurns(tmp_path)
    first = turns.take("a.test", 2)
    assert first is not None
    assert turns.take("a.test", 2) is None
    assert turns.take("c.test", 2) is not None  # another host
    now = time.monotonic()
    assert 490 < turns.begin("a.test", now, 0) - now < 501
    assert turns.begin("c.test", now, 2.0) == now
    assert turns.begin("c.test", now, 2.0) == pytest.approx(now + 2)
    other.kill()
    other.communicate()
    second = turns.take("a.test", 2)
    assert second is not None
    assert turns.take("a.test", 2) is None
    turns.give_back(first)
    assert turns.take("a.test", 2) == first


def test_a_folder_that_others_can_write_to_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    os.chmod(folder, 0o777)
    with pytest.raises(Refusal, match="is not a folder of this user alone"):
        MachineTurns(folder).take("a.test", 1)
