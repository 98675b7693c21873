"""`pairmill world` and `pairmill demo`: the embedded world, and recipe `demo` run on it, offline.

In: a folder. Out: DIR/world (a small web with its truth) and DIR/run (a run folder), the report among it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from beam_jobs.progress import say
from beam_jobs.storage.files import exists, join
from schemas.refusal import Refusal


def make_world(folder: str, *, pairs: int, seed: int, small: bool = False) -> None:
    """Writes the world; refuses a folder that holds something else."""
    from beam_jobs.world.write import write_world

    if pairs < 1:
        raise Refusal(f"--pairs: expected at least 1, given {pairs}")
    if os.path.isdir(folder) and os.listdir(folder) and not exists(join(folder, "truth.parquet")):
        raise Refusal(f"{folder} is not empty and holds no world; name another folder")
    write_world(folder, pairs=pairs, seed=seed, small=small)


def run_demo(folder: str, *, pairs: int, beam_flags: Sequence[str]) -> int:
    """Makes the world where it is missing, serves it to this machine alone, and runs recipe `demo` on it."""
    from beam_jobs.cli import main
    from beam_jobs.world.server import serve

    started = time.monotonic()
    world = join(folder, f"world-{pairs}")
    if not exists(join(world, "truth.parquet")):
        say(f"drawing a small web of {pairs:,} pictures in {world}")
        make_world(world, pairs=pairs, seed=0)
    with serve(join(world, "web")) as port:
        status = main(
            [
                "run",
                "--recipe=demo",
                f"--source=html:{join(world, 'pages.txt')}",
                f"--resolve=*.test=127.0.0.1:{port}",
                f"--truth={join(world, 'truth.parquet')}",
                f"--work={join(folder, f'run-{pairs}')}",
                *beam_flags,
            ]
        )
    say(f"in {time.monotonic() - started:.0f} s")
    return status
