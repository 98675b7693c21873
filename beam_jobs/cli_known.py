"""The commands and options about known images: indexes of them, blocklists, takedowns.

In: the parsers of `pairmill`. Out: their arguments, and what each command does, as an exit status.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from beam_jobs.cli_command import DONE, AddCommand
from schemas.recipe_given import parse_given
from schemas.refusal import Refusal


def add_recipe_arguments(parser: argparse.ArgumentParser, purpose: str = "a packaged recipe, or a YAML file") -> None:
    """A recipe, and what it is given."""
    parser.add_argument("--recipe", required=True, metavar="NAME|FILE", help=purpose)
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the recipe names and does not hold, such as a list's file (again for more)",
    )


def add_known_arguments(parser: argparse.ArgumentParser) -> None:
    """What a launch is held against."""
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="[NAME=]URL|none",
        help="an index of what an earlier run kept (again for more), for the recipe's `against`",
    )
    parser.add_argument(
        "--decontaminate",
        action="append",
        default=[],
        metavar="[NAME=]URL|none",
        help="an index of an evaluation set (again for more), for the recipe's `decontaminate`",
    )
    add_blocklist_arguments(parser)


def add_blocklist_arguments(parser: argparse.ArgumentParser) -> None:
    """Hashes of what must not be stored."""
    parser.add_argument(
        "--blocklist",
        action="append",
        default=[],
        metavar="KIND:FILE",
        help="hashes of images of which no byte may be stored (again for more): sha256, md5 or pdq, a value a line or "
        "a column of that name",
    )
    parser.add_argument(
        "--blocklist_distance",
        type=int,
        default=31,
        metavar="BITS",
        help="in how many bits a picture's PDQ hash may differ from a listed one (default: 31)",
    )


def add_index(commands: Any, command: AddCommand) -> None:
    parser = command(
        commands,
        "index",
        "Write an index of known images: of what a recipe kept of a run folder (--work), or of pictures, a WebDataset "
        "or a table (--source folder:DIR, shards:TARS, table:FILE). The recipe's scorers and download section make "
        "them comparable. A table has some of the columns uid, url, text, sha256, pixel_sha256, pdq, embedding.",
        "index --work out --recipe base --to corpus-index; pairmill run ... --against corpus-index",
    )
    add_recipe_arguments(parser)
    parser.add_argument("--work", metavar="URL", help="a run folder whose selection is done")
    parser.add_argument("--source", metavar="KIND:URL", help="images that are no run's: folder, shards or table")
    parser.add_argument("--to", required=True, metavar="URL", help="the folder to write")
    parser.add_argument("--name", help="what the index is called where it is hit (default: the folder's name)")
    parser.add_argument("--since", metavar="DAY", help="the first day on which its images existed, as YYYY-MM-DD")
    parser.add_argument("--embedding", metavar="SCORER", help="which scorer made a table's column `embedding`")
    parser.set_defaults(do=_index)


def add_takedown(commands: Any, command: AddCommand) -> None:
    parser = command(
        commands,
        "takedown",
        "Take rows out of a recipe's written shards, by a list of uids, URLs, domains or SHA-256. Only the shards that "
        "held some are written anew, under their numbers; each row leaves a tombstone, and no later run of the folder "
        "writes it again. The pictures that were downloaded stay in images/.",
        "takedown --work out --recipe base --list removed.txt --by url",
    )
    add_recipe_arguments(parser)
    parser.add_argument("--work", required=True, metavar="URL", help="the run folder")
    parser.add_argument("--list", required=True, metavar="FILE", help="a value a line, or a Parquet column so called")
    parser.add_argument("--by", default="uid", help="uid, url, domain or sha256 (default: uid)")
    parser.set_defaults(do=_takedown)


def _takedown(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.recipes import launched_recipe
    from beam_jobs.runners import choose_runner
    from beam_jobs.takedown import take_down

    runner = choose_runner(list(beam_flags))
    recipe = launched_recipe(arguments.recipe, parse_given(arguments.given))
    counts = take_down(arguments.work, recipe, file=arguments.list, by=arguments.by, runner=runner)
    print("\n".join(f"{rows:>9,}  {reason}" for reason, rows in counts.most_common()))
    return DONE


def _index(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.indexing import Naming, index_run, index_source
    from beam_jobs.recipes import launched_recipe
    from beam_jobs.runners import choose_runner

    if (arguments.work is None) == (arguments.source is None):
        raise Refusal("expected either --work, for what a run kept, or --source, for other images")
    runner = choose_runner(list(beam_flags))
    recipe = launched_recipe(arguments.recipe, parse_given(arguments.given))
    name = arguments.name or arguments.to.rstrip("/").rsplit("/", 1)[-1]
    naming = Naming(arguments.to, name, arguments.since)
    if arguments.work is not None:
        index = index_run(arguments.work, recipe, naming, runner)
    else:
        index = index_source(arguments.source, recipe, naming, embedding=arguments.embedding)
    print(f"{index.rows:,} images by {', '.join(index.holds)} in {index.url}, called {index.name!r}")
    return DONE
