"""The commands `world` and `demo`: the embedded world, and the whole run on it, offline.

In: a folder and how many pairs. Out: files in it, and an exit status.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from beam_jobs.cli_command import DONE, AddCommand, refuse_flags


def add_world(commands: Any, command: AddCommand) -> None:
    parser = command(
        commands,
        "world",
        "Write the embedded world: a small web with pictures, pages and their ground truth.",
        "world out/world --pairs 1000 --seed 0",
    )
    parser.add_argument("folder", metavar="DIR", help="where to write it")
    parser.add_argument("--pairs", type=int, default=1_000, help="image references on its pages (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another world (default: 0)")
    parser.add_argument("--small", action="store_true", help="smaller pictures, for worlds of many pairs")
    parser.set_defaults(do=_world)


def add_demo(commands: Any, command: AddCommand) -> None:
    parser = command(commands, "demo", "Run recipe `demo` on the embedded world, offline.", "demo out --pairs 1000")
    parser.add_argument("folder", metavar="DIR", help="where the world and the run folder go")
    parser.add_argument("--pairs", type=int, default=1_000, help="image references in the world (default: 1000)")
    parser.set_defaults(do=_demo)


def _world(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.demo import make_world

    refuse_flags(beam_flags)
    make_world(arguments.folder, pairs=arguments.pairs, seed=arguments.seed, small=arguments.small)
    return DONE


def _demo(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.demo import run_demo

    return run_demo(arguments.folder, pairs=arguments.pairs, beam_flags=beam_flags)
