"""What each stage of a run takes, stage by stage in one process: what `bench_scale.py` makes its constants of.

In: a world, the port that it is served at, a work folder. Out: one JSON object on standard output: seconds by the
clock and of processor, peak memory, bytes shuffled and stored, rows in and kept, a stage; and those of starting.
Usage: python bench/scale_measured.py WORLD PORT WORK RECIPE
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
TICKS = os.sysconf("SC_CLK_TCK")
# What a stage leaves in the run folder.
FOLDERS = {
    "extract": ["pairs"],
    "corpus": ["corpus"],
    "preselect": ["preselected", "planned"],
    "download": ["images"],
    "score": ["scores", "embeddings"],
    "group": ["groups"],
    "select": ["selected"],
    "recaption": ["captions"],
    "write": ["shards"],
    "report": ["report"],
}


def processor_seconds() -> float:
    """Seconds of processor of this process and of all below it, ended ones too."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
        used[int(stat.parent.name)] = sum(map(int, fields[11:15]))
    ours, found = [os.getpid()], 0
    while ours:
        process = ours.pop()
        found += used.get(process, 0)
        ours += [child for child, parent in parents.items() if parent == process]
    return found / TICKS


def forget_peak() -> None:
    """Begins the count of peak memory anew, where the system lets us."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes() -> int:
    """Most resident memory of this process since it was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


def bytes_below(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files below a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


def measure(world: str, port: str, work: str, recipe: str) -> dict[str, Any]:
    """Runs all stages, one by one."""
    from beam_jobs.cli import main
    from beam_jobs.launch import parse_stages
    from beam_jobs.overview import counts
    from beam_jobs.recipes import load_recipe
    from beam_jobs.shuffle import SpillsToFiles

    name = load_recipe(recipe).name
    shuffled = [0]
    remove_spilled = SpillsToFiles.remove_spilled

    def remove_counted(self: SpillsToFiles) -> None:
        if self._folder is not None:
            shuffled[0] += bytes_below(Path(self._folder))[0]
        remove_spilled(self)

    SpillsToFiles.remove_spilled = remove_counted  # type: ignore[method-assign]
    arguments = ["run", f"--recipe={recipe}", f"--source=html:{world}/pages.txt", f"--work={work}"]
    arguments += [f"--resolve=*.test=127.0.0.1:{port}"]
    main(["plan", *arguments[1:]])
    found: dict[str, Any] = {"start": {"seconds": time.monotonic() - STARTED, "processor": processor_seconds()}}
    for stage in parse_stages(None):
        forget_peak()
        shuffled[0], started, before = 0, time.monotonic(), processor_seconds()
        status = main([*arguments, f"--stages={stage}"])
        if status not in (0, 3):
            raise SystemExit(f"{stage} ended with status {status}")
        spent = {"seconds": time.monotonic() - started, "processor": processor_seconds() - before}
        sizes = [bytes_below(Path(work) / folder) for folder in FOLDERS[stage]]
        found[stage] = {
            **{name: round(value, 3) for name, value in spent.items()},
            "peak": peak_bytes(),
            "shuffled": shuffled[0],
            "stored": sum(size for size, _ in sizes),
            "files": sum(files for _, files in sizes),
        }
    for count in counts(work):
        stage, _, rest = count["stage"].partition("/")
        of_recipe = stage not in ("select", "write") or rest == name
        if stage in found and of_recipe:
            found[stage] |= {"rows": count["rows_in"], "kept": count["reasons"].get("kept", 0)}
            found[stage]["shards"] = count["shards"]
    return found


if __name__ == "__main__":
    said = sys.stdout
    sys.stdout = sys.stderr
    print(json.dumps(measure(*sys.argv[1:5])), file=said)
