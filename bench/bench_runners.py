"""The same run on each local runner: processor time, time and memory of everything that it starts.

Prints, for recipe `base` over the embedded world, what the process and all below it (Prism, job servers) held at most
and worked, beside DirectRunner's in the same run. Usage: python bench/bench_runners.py [--pairs N ...] [RUNNER ...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from beam_jobs.world.server import serve
from beam_jobs.world.write import write_world

RUNNERS = ("DirectRunner", "PrismRunner", "FlinkRunner", "SparkRunner")
SIZES = (1_000, 10_000)
_SECONDS_BETWEEN_LOOKS = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Tree:
    """A process and all below it, looked at five times a second until `end`."""

    root: int
    megabytes: float = 0.0
    worked: dict[int, float] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            held = 0.0
            for process in _tree(self.root):
                held += _held(process)
                self.worked[process] = max(self.worked.get(process, 0.0), _worked(process))
            self.megabytes = max(self.megabytes, held)

    def end(self) -> None:
        self._ended.set()


def _tree(root: int) -> list[int]:
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [root]
    for process in found:
        found += below.get(process, [])
    return found


def _held(process: int) -> float:
    """Megabytes of a process, what is shared divided among those that share it; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


def _worked(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def run_base(world: Path, work: Path, runner: str) -> tuple[float, float, float]:
    """Most megabytes held, seconds of processors, seconds."""
    with serve(str(world / "web")) as port:
        started = time.monotonic()
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "beam_jobs", "run", "--recipe=base", f"--runner={runner}"),
                *(f"--source=html:{world / 'pages.txt'}", f"--work={work}", f"--resolve=*.test=127.0.0.1:{port}"),
            ],
            stdout=subprocess.DEVNULL,
        )
        tree = Tree(run.pid)
        thread = threading.Thread(target=tree.watch)
        thread.start()
        status = run.wait()
        seconds = time.monotonic() - started
        tree.end()
        thread.join()
    if status != 0:
        raise SystemExit(f"{runner} in {work} ended with status {status}")
    return tree.megabytes, sum(tree.worked.values()), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runners", nargs="*", default=list(RUNNERS), help=", ".join(RUNNERS))
    parser.add_argument("--pairs", type=int, nargs="*", default=list(SIZES), help="sizes of worlds")
    arguments = parser.parse_args()
    print(f"{'pairs':>9} {'runner':<13} {'peak MB':>8} {'processor s':>12} {'seconds':>8}  of the first")
    for pairs in arguments.pairs:
        folder = Path(tempfile.mkdtemp(prefix="pairmill-bench-"))
        try:
            write_world(folder / "world", pairs=pairs, seed=0, small=True)
            first: tuple[float, float, float] | None = None
            for runner in arguments.runners:
                found = run_base(folder / "world", folder / f"run-{runner}", runner)
                first = first or found
                ratios = " ".join(f"{value / base:.2f}" for value, base in zip(found, first, strict=True))
                held, worked, seconds = found
                print(f"{pairs:>9,} {runner:<13} {held:>8,.0f} {worked:>12.1f} {seconds:>8.1f}  {ratios}", flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
