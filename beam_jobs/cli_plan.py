"""The command `plan --pairs N`: what a run of that size would take, before there is one.

In: the arguments of `plan`. Out: further arguments of it, and the plan on standard output, as an exit status.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from beam_jobs.cli_command import DONE, refuse_flags
from schemas.refusal import Refusal

# Arguments of `plan` that look at a run folder; a plan on paper has none.
_OF_A_RUN = ("work", "source", "stages")
_ON_PAPER = ("machines", "processes", "gpus", "pictures", "kept", "prices", "bandwidth", "gpu_tflops", "constants")


def add_estimate_arguments(parser: argparse.ArgumentParser) -> None:
    """What a plan on paper is made of."""
    paper = parser.add_argument_group("on paper: what a run of that many pairs would take")
    paper.add_argument("--pairs", metavar="N", help="image references, such as 1e9")
    paper.add_argument("--machines", metavar="COUNTxCORES[:SIZEGB]", help="such as 64x16:64GB (default: 1x2)")
    paper.add_argument("--processes", metavar="N", help="workers on a machine (default: one a core)")
    paper.add_argument("--gpus", metavar="N", help="GPUs in all, which then score models (default: 0)")
    paper.add_argument("--gpu-tflops", metavar="X", help="of a GPU in a model's towers (default: 100)")
    paper.add_argument("--captions-per-second", metavar="X", help="of a GPU, by each captioner of the recipe")
    paper.add_argument("--pictures", metavar="KIND", help="web: 1.2 megapixels (default); drawn: the embedded world's")
    paper.add_argument("--kept", metavar="STAGE=SHARE,...", help="shares that go on, as download=0.6,select=0.3")
    paper.add_argument("--bandwidth", metavar="GBIT", help="gigabits a second of a machine (default: 10)")
    paper.add_argument("--prices", metavar="NAME=X,...", help="dollars: core_hour, gpu_hour, shuffled_gb, ...")
    paper.add_argument("--constants", metavar="FILE", help="as bench/bench_scale.py writes them, of other machines")
    paper.add_argument("--json", action="store_true", help="as JSON")


def is_on_paper(arguments: argparse.Namespace) -> bool:
    """Whether a size was given; Refusal of what does not go with it, or without it."""
    if arguments.pairs is not None:
        for name in _OF_A_RUN:
            if getattr(arguments, name):
                raise Refusal(f"--{name}: a plan of --pairs looks at no run folder; give the one or the other")
        return True
    for name in (*_ON_PAPER, "captions_per_second", "json"):
        if getattr(arguments, name):
            raise Refusal(f"--{name.replace('_', '-')} goes with --pairs")
    if arguments.work is None:
        raise Refusal("plan: expected --work URL, or --pairs N; neither given; see pairmill plan --help")
    return False


def estimate(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    """Prints the plan."""
    from beam_jobs.planning.constants import PICTURES, load_constants, packaged_constants
    from beam_jobs.planning.estimate import plan_run
    from beam_jobs.planning.lines import estimate_json, estimate_lines
    from beam_jobs.planning.machines import (
        Settings,
        parse_kept,
        parse_machines,
        parse_pairs,
        parse_prices,
        parse_rate,
    )
    from beam_jobs.recipes import load_recipe
    from beam_jobs.storage.files import exists, read_bytes
    from schemas.recipe_given import parse_given
    from schemas.refusal import unknown

    refuse_flags(beam_flags)
    pairs = parse_pairs(arguments.pairs)
    machines = parse_machines(arguments.machines or "1x2", processes=arguments.processes, gpus=arguments.gpus)
    file = arguments.constants
    if file is not None and not exists(file):
        raise Refusal(f"--constants: {file} does not exist")
    constants = load_constants(packaged_constants() if file is None else read_bytes(file).decode(), file or "constants")
    if arguments.pictures is not None and arguments.pictures not in PICTURES:
        raise unknown("kind", arguments.pictures, PICTURES, where="--pictures")
    captions = arguments.captions_per_second
    settings = Settings(
        pictures=arguments.pictures or PICTURES[0],
        kept=parse_kept(arguments.kept, constants.stages),
        bandwidth=parse_rate("bandwidth", arguments.bandwidth or "10", unit=1e9),
        gpu_flops=parse_rate("gpu-tflops", arguments.gpu_tflops or "100", unit=1e12),
        captions=None if captions is None else parse_rate("captions-per-second", captions),
    )
    recipe = load_recipe(arguments.recipe, parse_given(arguments.given) or None)
    prices = parse_prices(arguments.prices)
    plan = plan_run(recipe, pairs, machines, constants=constants, prices=prices, settings=settings)
    print(json.dumps(estimate_json(plan), indent=1) if arguments.json else "\n".join(estimate_lines(plan)))
    return DONE
