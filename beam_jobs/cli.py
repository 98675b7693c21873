"""The command line: `pairmill COMMAND ...`.

In: arguments; flags that are not ours go to Beam. Out: an exit status: 0 done; 1 failed; 2 refused at launch, nothing
written; 3 done, but more rows or shards failed than the recipe allows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from beam_jobs.cli_command import DONE, FAILED, REFUSED, TOO_MANY_FAILURES, refuse_flags
from beam_jobs.cli_datacomp import add_datacomp
from beam_jobs.cli_known import (
    add_blocklist_arguments,
    add_index,
    add_known_arguments,
    add_recipe_arguments,
    add_takedown,
)
from beam_jobs.cli_plan import add_estimate_arguments, estimate, is_on_paper
from beam_jobs.cli_search import add_faiss
from beam_jobs.cli_status import add_status
from beam_jobs.cli_truth import add_truth
from beam_jobs.cli_world import add_demo, add_world
from beam_jobs.dataflow.flags import add_dataflow_arguments
from beam_jobs.fetch_flags import add_fetch_arguments, fetch_limits
from beam_jobs.quiet import quiet_beam
from beam_jobs.recaption_flags import add_captioner_arguments
from schemas.recipe import STAGES
from schemas.refusal import HandedOver, JobFailed, Refusal


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, without the usage before it."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise Refusal(f"{message}; see {self.prog} --help")


def _parser() -> _Parser:
    parser = _Parser(
        prog="pairmill",
        description="A mill for image-text pairs: from the web's noisy images and alt-texts to a training set.",
        epilog="example: pairmill run --recipe base --source html:pages.txt --work out",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for add in (_add_run, _add_plan, _add_counts, _add_retry, _add_whatif, _add_catalogues):
        add(commands)
    add_truth(commands, _command)
    add_world(commands, _command)
    add_demo(commands, _command)
    add_datacomp(commands, _command)
    add_index(commands, _command)
    add_takedown(commands, _command)
    add_faiss(commands, _command)
    add_status(commands, _command)
    return parser


def _command(
    commands: argparse._SubParsersAction[_Parser], name: str, purpose: str, example: str
) -> argparse.ArgumentParser:
    epilog = f"example: pairmill {example}"
    return commands.add_parser(name, help=purpose, description=purpose, epilog=epilog, allow_abbrev=False)


def _add_launch_arguments(parser: argparse.ArgumentParser, *, needs_work: bool = True) -> None:
    add_recipe_arguments(parser, "a packaged recipe, or a YAML file")
    work = "the run folder: a path or any fsspec URL"
    parser.add_argument("--work", required=needs_work, metavar="URL", help=work)
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="KIND:URL",
        help="where pairs come from (again for more): warc, wat, html, table or shards",
    )
    parser.add_argument("--url_column", default="url", help="of a table source (default: url)")
    parser.add_argument("--text_column", default="text", help="of a table source (default: text)")
    parser.add_argument("--extra_columns", metavar="A,B", help="further columns of a table source to carry along")
    parser.add_argument(
        "--stages", metavar="FROM[:TO]", help=f"a stage or a span of them: {', '.join(STAGES)} (default: all)"
    )
    add_fetch_arguments(parser)
    parser.add_argument(
        "--allow-code",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of your own that scorers `callable` of the recipe may run (again for more)",
    )
    add_known_arguments(parser)
    add_captioner_arguments(parser)
    parser.add_argument("--truth", metavar="FILE", help="truth.parquet of `pairmill world`, for the report")


def _add_run(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = _command(
        commands,
        "run",
        "Run a recipe's stages over sources; what is done already is not done again. Any other flag goes to Beam: "
        "--runner, --direct_num_workers, --spark_master_url ... Without --runner it runs on Prism where one was built "
        "or downloaded, else in this process; PAIRMILL_RUNNER names another default.",
        "run --recipe base --source html:pages.txt --work out --runner DirectRunner",
    )
    _add_launch_arguments(parser)
    add_dataflow_arguments(parser)
    parser.set_defaults(do=_run)


def _add_plan(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = _command(
        commands,
        "plan",
        "Show what is done and what would run; or, with --pairs, what a run of that size would take on given machines, "
        "from what was measured of each stage. Runs nothing.",
        "plan --recipe laion400m --pairs 1e9 --machines 64x16:64GB --gpus 8 --kept download=0.7,select=0.2",
    )
    _add_launch_arguments(parser, needs_work=False)
    add_estimate_arguments(parser)
    parser.set_defaults(do=_plan)


def _add_counts(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = _command(
        commands, "counts", "Every reason and its count, stage by stage.", "counts --work out --recipe base"
    )
    parser.add_argument("--work", required=True, metavar="URL", help="the run folder")
    parser.add_argument("--recipe", metavar="NAME", help="the recipe whose selection to count (default: all)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(do=_counts)


def _add_retry(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = _command(
        commands,
        "retry",
        "Download again only what failed for these reasons, into the same shards.",
        "retry --work out --reasons dns,timeout,http_503",
    )
    parser.add_argument("--work", required=True, metavar="URL", help="the run folder")
    parser.add_argument("--reasons", required=True, metavar="A,B", help="failure classes, as `counts` names them")
    add_fetch_arguments(parser)
    add_blocklist_arguments(parser)
    parser.set_defaults(do=_retry)


def _add_whatif(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = _command(
        commands,
        "whatif",
        "How many pairs other thresholds would keep, from the columns alone, with a plot.",
        "whatif --work out --recipe base --rule 'clip_similarity >= {x}' --values 0.2,0.25,0.3",
    )
    parser.add_argument("--work", required=True, metavar="URL", help="a run folder whose scores are done")
    add_recipe_arguments(parser, "the recipe whose other steps hold")
    parser.add_argument("--rule", required=True, metavar="EXPR", help="what is kept, with {x} for the value to try")
    parser.add_argument("--values", required=True, metavar="A,B", help="values of {x}")
    parser.add_argument("--shards", type=int, default=100, help="image shards to look at (default: 100)")
    parser.set_defaults(do=_whatif)


def _add_catalogues(commands: argparse._SubParsersAction[_Parser]) -> None:
    for kind, example in (("recipes", "recipes base"), ("scorers", "scorers clip"), ("captioners", "captioners vllm")):
        parser = _command(commands, kind, f"The {kind} that exist, a line each; with a name, one whole.", example)
        parser.add_argument("name", nargs="?", help=f"one of the {kind}")
        parser.set_defaults(do=_catalogue, kind=kind)


def _run(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.execution import run_stages
    from beam_jobs.launch import prepare
    from beam_jobs.overview import closing_lines, over_limit

    if arguments.dry_run:
        from beam_jobs.rehearsal import rehearsed

        print(rehearsed(arguments, beam_flags))
        return DONE
    prepared = prepare(arguments, beam_flags)
    run_stages(prepared.run, prepared.stages, remade=prepared.remade, runner=prepared.runner)
    print("\n".join(closing_lines(prepared.run)))
    excess = over_limit(prepared.run)
    if excess:
        print(f"pairmill: {excess}", file=sys.stderr)
        return TOO_MANY_FAILURES
    return DONE


def _plan(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.launch import prepare
    from beam_jobs.overview import plan_lines

    if is_on_paper(arguments):
        return estimate(arguments, beam_flags)
    print("\n".join(plan_lines(prepare(arguments, beam_flags))))
    return DONE


def _counts(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.overview import count_lines, counts

    refuse_flags(beam_flags)
    found = counts(arguments.work, recipe=arguments.recipe)
    print(json.dumps(found, indent=1) if arguments.json else "\n".join(count_lines(found)))
    return DONE


def _retry(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.fetching.blocklist import parse_blocklist
    from beam_jobs.launch import launched_runner
    from beam_jobs.retry import retry

    counts = retry(
        arguments.work,
        reasons=[reason for reason in arguments.reasons.split(",") if reason],
        resolve=arguments.resolve,
        contact=arguments.contact,
        limits=fetch_limits(arguments),
        runner=launched_runner(arguments, beam_flags),
        blocklist=parse_blocklist(arguments.blocklist, arguments.blocklist_distance),
    )
    print("\n".join(f"{rows:>9,}  {reason}" for reason, rows in counts.most_common()))
    return DONE


def _whatif(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.recipes import launched_recipe
    from beam_jobs.storage.run_folder import RunFolder
    from beam_jobs.whatif import outcome_lines, whatif, write_plot
    from schemas.recipe_given import parse_given

    refuse_flags(beam_flags)
    recipe = launched_recipe(arguments.recipe, parse_given(arguments.given))
    values = [value.strip() for value in arguments.values.split(",")]
    outcomes = list(whatif(arguments.work, recipe, rule=arguments.rule, values=values, shards=arguments.shards))
    plot = RunFolder(arguments.work).whatif_plot(recipe.name)
    write_plot(plot, outcomes, rule=arguments.rule)
    print("\n".join([*outcome_lines(outcomes), f"plot: {plot}"]))
    return DONE


def _catalogue(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.overview import catalogue_lines

    refuse_flags(beam_flags)
    print("\n".join(catalogue_lines(arguments.kind, arguments.name)))
    return DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; a user's mistake ends in one line."""
    quiet_beam()
    try:
        arguments, beam_flags = _parser().parse_known_args(argv)
        if getattr(arguments, "work", None) is not None and not getattr(arguments, "dry_run", None):
            from beam_jobs.storage.stores import check_store

            check_store(arguments.work, named="--work")
        do: Callable[[argparse.Namespace, Sequence[str]], int] = arguments.do
        return do(arguments, beam_flags)
    except Refusal as refusal:
        print(f"pairmill: refused: {' '.join(str(refusal).split())}", file=sys.stderr)
        return REFUSED
    except HandedOver as handed:
        print(handed)
        return DONE
    except JobFailed as failure:
        print(f"pairmill: failed: {failure}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("pairmill: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return FAILED
