"""What a run takes at scale: constants for `pairmill plan`, its prediction held against a run, and workers.

    constants   recipe `base` on 4,000 and 20,000 pairs of the embedded world, stage by stage, and every scorer and
                grouper alone: written to beam_jobs/planning/constants.yaml (--write FILE for another, - for none)
    workers     the stages download and score on photographs: two local workers on two cores beside one on one core,
                and Beam in one process beside the same functions called in a loop; alternated, one thread a library
    prediction  what the plan says of a run of 100,000 pairs on this machine, beside what it takes (--pairs 0: neither)

Usage: python bench/bench_scale.py [--sizes 4000 20000] [--pairs 100000] [--world FOLDER] [--rounds 2] [--write FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from bench_download import draw
from bench_download import serve as serve_photographs
from bench_memory import run_base

from beam_jobs.world.server import serve
from beam_jobs.world.write import write_world

HERE = Path(__file__).resolve().parent
CONSTANTS = HERE.parent / "beam_jobs" / "planning" / "constants.yaml"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def child(script: str, *arguments: object, **environment: str) -> Any:
    """What a script of this folder prints, as JSON; what it says beside that is shown when it fails."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    paths = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, **environment, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    if done.returncode != 0:
        raise SystemExit(f"{script} {' '.join(map(str, arguments))} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


def measure_sizes(folder: Path, sizes: list[int]) -> dict[int, Any]:
    """The stages of whole runs of so many pairs; run folders stay."""
    found = {}
    for pairs in sizes:
        world, run = folder / f"world-{pairs}", folder / f"run-{pairs}"
        write_world(world, pairs=pairs, seed=0, small=True)
        with serve(str(world / "web")) as port:
            found[pairs] = child("scale_measured.py", world, port, run, "base")
        print(f"{pairs:,} pairs: {sum(stage['seconds'] for stage in found[pairs].values()):.1f} s", flush=True)
    return found


def stage_constants(measured: dict[int, Any], sizes: list[int]) -> dict[str, Any]:
    """What does not grow with the rows and what does, from a small and a larger run."""
    small, large = measured[min(sizes)], measured[max(sizes)]
    stages = {}
    for stage, figures in large.items():
        before = small[stage]
        if stage in ("start", "corpus", "recaption"):
            continue
        rows = figures.get("rows") or max(sizes)
        more = rows - (before.get("rows") or min(sizes))
        clock = max(1e-9, (figures["seconds"] - before["seconds"]) / more)
        processor = max(1e-9, (figures["processor"] - before["processor"]) / more)
        stages[stage] = {
            "start": round(max(0.0, figures["seconds"] - clock * rows), 2),
            "core_seconds": round(1e6 * processor, 1),
            "cores": round(min(os.cpu_count() or 1, processor / clock), 3),
            "stored": round(max(0.0, (figures["stored"] - before["stored"]) / more), 1),
            "shuffled": round(max(0.0, (figures["shuffled"] - before["shuffled"]) / more), 1),
            "files": round(figures["files"] / max(1, figures.get("shards", 1)), 1),
            "memory": figures["peak"],
            "kept": round(figures.get("kept", rows) / rows, 4),
        }
    return stages


def constants_of(measured: dict[int, Any], sizes: list[int], parts: dict[str, Any], scaling: float) -> dict[str, Any]:
    """The whole file. What one stage does with all its parts is set beside the sum of the parts."""
    from beam_jobs.planning.models import TINY_WIDTH

    stages = stage_constants(measured, sizes)
    drawn = parts["pictures"]["drawn"]
    drawn["download"] = stages["download"]["core_seconds"]
    kept, rows = measured[max(sizes)]["download"]["kept"], measured[max(sizes)]["download"]["rows"]
    stages["download"]["stored"] = round((parts["image_bytes"] - kept * drawn["stored"]) / rows, 1)
    stages["write"]["stored"] = round(max(0.0, stages["write"]["stored"] - drawn["stored"]), 1)
    stages["score"]["stored"] = round(max(0.0, stages["score"]["stored"] - 4 * TINY_WIDTH), 1)
    stages["group"]["stored"] = round(stages["group"]["stored"] / 3, 1)
    scored = drawn["decode"] + sum(
        parts["scorers"][name]["drawn"] for name in ("text_facts", "image_facts", "pdq", "clip")
    )
    grouped = sum(parts["groupers"][name] for name in ("exact", "perceptual", "near"))
    return {
        "measured": {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": f"{os.cpu_count()} cores, {platform.machine()} {processor_name()}",
            "bench": "bench/bench_scale.py",
            "pairs": sizes,
        },
        "start": round(measured[max(sizes)]["start"]["seconds"], 1),
        "stages": stages,
        "pictures": {
            kind: {name: round(value, 1) for name, value in each.items()} for kind, each in parts["pictures"].items()
        },
        "scorers": {
            name: {kind: round(value, 1) for kind, value in each.items()} for name, each in parts["scorers"].items()
        },
        "groupers": {name: round(value, 1) for name, value in parts["groupers"].items()},
        "added": {
            "score": round(stages["score"]["core_seconds"] / scored, 3),
            "group": round(stages["group"]["core_seconds"] / grouped, 3),
        },
        "flops": float(f"{parts['flops']:.4g}"),
        "scaling": round(scaling, 3),
    }


def processor_name() -> str:
    """The processor as the system names it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def lay_out(work: Path, pictures: int, *, shards: int, rows_per_shard: int) -> None:
    """planned/ tables of photographs."""
    import pyarrow as pa

    from beam_jobs.storage.parquet import write_table
    from beam_jobs.storage.run_folder import RunFolder
    from schemas.tables import PLANNED, conform

    for shard in range(shards):
        rows = [f"{shard}-{row}" for row in range(rows_per_shard)]
        urls = [f"http://images.test/{number % pictures}/{name}.jpg" for number, name in enumerate(rows)]
        uids = [f"{shard * rows_per_shard + row:032x}" for row in range(rows_per_shard)]
        table = pa.table({"uid": uids, "url": urls, "text": ["a red square beside a circle"] * len(rows)})
        write_table(RunFolder(str(work)).planned(shard), conform(table, PLANNED))


def compare_workers(folder: Path, rounds: int, server: Any, port: int, shards: int) -> dict[str, Any]:
    """Best of each, alternated: how many times as fast two workers are, and what Beam takes beside a bare loop."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    found: dict[str, Any] = {}
    for stage in ("download", "score"):
        rates: dict[str, float] = {}
        seconds: dict[str, float] = {}
        for _ in range(rounds):
            for how in ("1", "2", "bare", "beam"):
                here = cores if how == "2" else cores[:1]
                # The server shares the cores of what it serves: two workers get no third one.
                os.sched_setaffinity(0, here)
                pin(server.pid, here)
                figures = child("scale_workers.py", how, stage, folder, port, shards, **ONE_THREAD)
                seconds[how] = min(seconds.get(how, 1e9), figures["seconds"])
                rates[how] = max(rates.get(how, 0.0), figures.get("rate", 0.0))
        os.sched_setaffinity(0, cores)
        found[stage] = {
            "two_workers": rates["2"] / rates["1"],
            "with_start": seconds["1"] / seconds["2"],
            "beam_overhead": seconds["beam"] / seconds["bare"] - 1,
        }
        print(
            f"{stage}: two workers {found[stage]['two_workers']:.2f} times as fast as one "
            f"({found[stage]['with_start']:.2f} with their start); Beam takes "
            f"{found[stage]['beam_overhead']:+.1%} beside a bare loop",
            flush=True,
        )
    return found


def pin(process: int, cores: list[int]) -> None:
    """All threads of a process to these cores."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except ProcessLookupError:
            continue


def predict(pairs: int, constants: dict[str, Any]) -> Any:
    """The plan for one process on this machine."""
    from beam_jobs.planning.constants import load_constants
    from beam_jobs.planning.estimate import plan_run
    from beam_jobs.planning.machines import Machines, Prices, Settings
    from beam_jobs.recipes import load_recipe

    machines = Machines(1, len(os.sched_getaffinity(0)), processes=1)
    known = load_constants(yaml.safe_dump(constants, sort_keys=False))
    settings = Settings(pictures="drawn")
    return plan_run(load_recipe("base"), pairs, machines, constants=known, prices=Prices(), settings=settings)


def hold_against(pairs: int, constants: dict[str, Any], folder: Path, world: Path | None) -> dict[str, Any]:
    """A whole run beside its prediction, stage by stage."""
    from beam_jobs.status.gather import Watch

    plan = predict(pairs, constants)
    if world is None:
        world = folder / "world"
        write_world(world, pairs=pairs, seed=0, small=True)
    peak, seconds = run_base(world, folder / "run")
    taken = {
        stage.ledger.partition("/")[0]: stage.seconds for stage in Watch(str(folder / "run")).look(time.time()).stages
    }
    print(f"{'':<10} {'predicted s':>12} {'taken s':>12}")
    for stage in plan.stages:
        print(f"{stage.stage:<10} {stage.seconds:>12.1f} {taken.get(stage.stage, 0.0):>12.1f}")
    off = plan.seconds / seconds - 1
    print(f"{pairs:,} pairs: predicted {plan.seconds:.0f} s, taken {seconds:.0f} s: {off:+.1%}; peak {peak:,.0f} MB")
    return {
        "pairs": pairs,
        "predicted": round(plan.seconds, 1),
        "taken": round(seconds, 1),
        "off": round(off, 3),
        "peak_mb": round(peak),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs=2, type=int, default=[4_000, 20_000], help="pairs that constants are made of")
    parser.add_argument("--pairs", type=int, default=100_000, help="of the run that is predicted; 0 for none")
    parser.add_argument("--world", type=Path, help="a world of that many pairs, already written")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shards", type=int, default=40, help="of photographs, for workers (default: 40)")
    parser.add_argument("--rows", type=int, default=100, help="photographs a shard (default: 100)")
    parser.add_argument("--workers-alone", action="store_true", help="no constants, no prediction")
    parser.add_argument("--write", default=str(CONSTANTS), help="where constants go; - for nowhere")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pairmill-bench-"))
    try:
        (folder / "photographs").mkdir()
        paths = draw(folder / "photographs")
        port = multiprocessing.Value("i", 0)
        server = multiprocessing.Process(target=serve_photographs, args=(paths, port), daemon=True)
        server.start()
        while not port.value:
            time.sleep(0.01)
        shards, rows = arguments.shards, arguments.rows
        lay_out(folder / "workers", len(paths), shards=shards, rows_per_shard=rows)
        compared = compare_workers(folder / "workers", arguments.rounds, server, port.value, shards)
        if arguments.workers_alone:
            return
        measured = measure_sizes(folder, arguments.sizes)
        run = folder / f"run-{max(arguments.sizes)}"
        parts = child("scale_parts.py", run, folder / "parts", port.value, **ONE_THREAD)
        server.terminate()
        scaling = min(2.0, min(stage["two_workers"] for stage in compared.values()))
        constants = constants_of(measured, arguments.sizes, parts, scaling)
        if arguments.write != "-":
            head = "# Measured by bench/bench_scale.py; what each number is: beam_jobs/planning/constants.py.\n"
            Path(arguments.write).write_text(head + yaml.safe_dump(constants, sort_keys=False), encoding="utf-8")
        held = hold_against(arguments.pairs, constants, folder, arguments.world) if arguments.pairs else None
    finally:
        shutil.rmtree(folder)
    print(json.dumps({"bench": "scale", **compared, "prediction": held}))


if __name__ == "__main__":
    main()
