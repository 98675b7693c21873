"""The command `truth`: how right the filters are, where it is known what they should find.

In: a number of texts to draw, or a run on the embedded world and its truth. Out: precision and recall, a line each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from beam_jobs.cli_command import DONE, AddCommand, refuse_flags
from schemas.refusal import Refusal


def add_truth(commands: Any, command: AddCommand) -> None:
    parser = command(
        commands,
        "truth",
        "Precision and recall of the scorers of texts, on texts drawn with what is true of them; with --work, of every "
        "filter and of the recipe itself in a run on the embedded world.",
        "truth --work out/run --recipe base --truth out/world/truth.parquet",
    )
    parser.add_argument("--texts", type=int, default=2_000, help="how many texts to draw (default: 2000)")
    parser.add_argument("--pictures", type=int, default=0, help="how many pictures to draw too (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other texts (default: 0)")
    parser.add_argument("--work", metavar="URL", help="a run folder whose selection is done")
    parser.add_argument("--recipe", metavar="NAME|FILE", help="the recipe that it was made with")
    parser.add_argument("--truth", metavar="FILE", help="truth.parquet of `pairmill world`")
    parser.set_defaults(do=_truth)


def _truth(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    refuse_flags(beam_flags)
    if arguments.texts < 1:
        raise Refusal(f"--texts must be at least 1; given {arguments.texts}")
    run = (arguments.work, arguments.recipe, arguments.truth)
    if any(run) and not all(run):
        raise Refusal("--work, --recipe and --truth go together")
    if arguments.pictures < 0:
        raise Refusal(f"--pictures must be at least 0; given {arguments.pictures}")
    lines = _of_run(*run) if arguments.work else _of_texts(arguments.texts, arguments.seed)
    print("\n".join(lines))
    if arguments.pictures:
        print("\n".join(_of_pictures(arguments.pictures, arguments.seed)))
    return DONE


def _of_texts(count: int, seed: int) -> Iterator[str]:
    from beam_jobs.report.text_truth import measure_texts

    found = measure_texts(count, seed)
    yield f"{count:,} drawn texts (seed {seed})"
    yield from _table(found)


def _of_pictures(count: int, seed: int) -> Iterator[str]:
    from beam_jobs.report.picture_truth import measure_pictures

    found = measure_pictures(count, seed)
    yield f"{count:,} drawn pictures (seed {seed})"
    yield from _table(found)


def _of_run(work: str, name: str, truth: str) -> Iterator[str]:
    from beam_jobs.overview import counts
    from beam_jobs.recipes import load_recipe
    from beam_jobs.report.gather import gather
    from beam_jobs.storage.files import exists

    if not exists(truth):
        raise Refusal(f"--truth: {truth} does not exist; `pairmill world` writes it")
    recipe = load_recipe(name)
    ledgers = [count["stage"] for count in counts(work, recipe=recipe.name)]
    measured = gather(work, recipe.name, recipe.to_json(), ledgers, truth=truth).measured
    assert measured is not None
    yield f"{measured.rows:,} image references of the embedded world, recipe {recipe.name}"
    yield from _table(measured.finders)
    for separation in measured.separations:
        yield f"{separation.column}: area under the ROC curve {separation.auc:.4f} (right texts from wrong ones)"
    yield "where each kind of text ended"
    yield from _outcomes(measured.outcomes)


def _table(finders: Iterable[Any]) -> Iterator[str]:
    rows = list(finders)
    width = max((len(each.name) for each in rows), default=0)
    seeks = max((len(each.seeks) for each in rows), default=0)
    yield f"  {'':{width}}  {'seeks':{seeks}} {'found':>7} {'right':>7} {'sought':>7} {'precision':>9} {'recall':>7}"
    for each in rows:
        numbers = f"{each.found:>7,} {each.right:>7,} {each.sought:>7,}"
        shares = f"{_share(each.right, each.found):>9} {_share(each.right, each.sought):>7}"
        yield f"  {each.name:{width}}  {each.seeks:{seeks}} {numbers} {shares}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _outcomes(outcomes: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for kind, ends in outcomes.items():
        told = ", ".join(f"{end} {rows:,}" for end, rows in sorted(ends.items(), key=lambda one: (-one[1], one[0])))
        yield f"  {kind}: {told}"
