"""Resident memory of a whole run at 1,000, 10,000 and 100,000 pairs of the embedded world.

Prints, for each size, the peak resident memory of the process that runs recipe `base` (all stages, DirectRunner), its
time and its rate. Memory is flat when the last column stays near 1. Usage: python bench/bench_memory.py [SIZES ...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from beam_jobs.world.server import serve
from beam_jobs.world.write import write_world

DEFAULT_SIZES = (1_000, 10_000, 100_000)


def run_base(world: Path, work: Path) -> tuple[float, float]:
    """Peak resident memory in MB and seconds of one whole run, in a process of its own."""
    started = time.monotonic()
    with serve(str(world / "web")) as port:
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "beam_jobs", "run", "--recipe=base"),
                *(f"--source=html:{world / 'pages.txt'}", f"--work={work}", f"--resolve=*.test=127.0.0.1:{port}"),
            ]
        )
        _, status, usage = os.wait4(run.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"the run in {work} ended with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1024, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(DEFAULT_SIZES), help="numbers of pairs")
    sizes = parser.parse_args().sizes
    first = None
    print(f"{'pairs':>9} {'peak MB':>9} {'seconds':>9} {'pairs/s':>9} {'of first':>9}")
    for pairs in sizes:
        folder = Path(tempfile.mkdtemp(prefix="pairmill-bench-"))
        try:
            write_world(folder / "world", pairs=pairs, seed=0, small=True)
            peak, seconds = run_base(folder / "world", folder / "run")
        finally:
            shutil.rmtree(folder)
        first = first or peak
        print(f"{pairs:>9,} {peak:>9,.0f} {seconds:>9.1f} {pairs / seconds:>9.0f} {peak / first:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
