"""From arguments to a run: everything is checked before anything is written.

In: the command line's arguments and Beam's flags. Out: a Prepared run, or a Refusal that says what is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from beam_jobs.dataflow.flags import complete_flags, forwarded
from beam_jobs.extraction.reading import split_schema
from beam_jobs.extraction.splits import Split, plan_splits
from beam_jobs.fetch_flags import fetch_limits
from beam_jobs.fetching.addresses import parse_resolve
from beam_jobs.fetching.blocklist import BLOCKLIST, check_blocklist, parse_blocklist
from beam_jobs.flow import FLOW
from beam_jobs.known.binding import bind_indexes
from beam_jobs.lineage import Product, check_folder, lineage_of
from beam_jobs.recaptioning.launching import check_engines, named_models, plan_captioning, with_engines
from beam_jobs.recipes import launched_recipe
from beam_jobs.runners import BeamRunner, choose_runner, parse_flags
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.parquet import read_schema
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.stores import check_store
from beam_jobs.work import NotReady, Run
from filters.recipe_check import check_recipe
from filters.registry import check_code, check_files, make_scorers
from schemas.recipe_given import parse_given
from schemas.refusal import Refusal, unknown
from schemas.sources import Source, parse_source
from schemas.tables import PAIRS


@dataclass(frozen=True)
class Prepared:
    """A checked run, the stages asked for, and what of its folder is another configuration's and goes."""

    run: Run
    stages: tuple[str, ...]
    remade: tuple[Product, ...]
    runner: BeamRunner


def prepare(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> Prepared:
    """Checks recipe, sources, scorers, rules, folder, stages and Beam's flags; nothing is written."""
    runner = launched_runner(arguments, beam_flags)
    recipe = launched_recipe(arguments.recipe, parse_given(arguments.given))
    folder = RunFolder(arguments.work)
    stages = parse_stages(arguments.stages)
    for rule in arguments.resolve:
        parse_resolve(rule)
    limits = fetch_limits(arguments)
    sources = _sources(arguments, folder)
    splits = tuple(plan_splits(sources)) if arguments.source or "extract" in stages else ()
    scorers = make_scorers(recipe.score)
    recipe = with_engines(recipe, arguments.captioner)
    known = check_recipe(recipe, scorers=scorers, source_columns=_added_columns(folder, splits))
    captioning = plan_captioning(recipe, scorers, known)
    check_code(scorers, arguments.allow_code)
    check_files(scorers)
    bound = bind_indexes(
        recipe.group.groupers,
        scorers,
        folder,
        against=arguments.against,
        decontaminate=arguments.decontaminate,
        needed="group" in stages,
    )
    blocklist = parse_blocklist(arguments.blocklist, arguments.blocklist_distance)
    blocked = _blocked_before(folder) if blocklist is None else blocklist.to_json()
    if "download" in stages and not _is_done(folder, "download"):
        check_blocklist(blocklist, blocked, folder.work)
    if "recaption" in stages and runner.name != "DataflowRunner":  # there the workers' image holds the engines
        check_engines(recipe)
    captioning = named_models(captioning)
    lineage = lineage_of(recipe, sources, scorers, bound.digests, blocked, captioning.configurations)
    resolve, truth = tuple(arguments.resolve), arguments.truth
    answers = arguments.answers or folder.answers()
    check_store(answers, named="--answers")
    run = Run(
        *(recipe, folder, splits, lineage, resolve, arguments.contact, truth, bound.indexes, limits, blocklist),
        captioning=captioning,
        answers=answers,
    )
    names = list(FLOW)
    concerned = [product for product in lineage if names.index(product.stage) <= names.index(stages[-1])]
    remade = check_folder(folder, concerned)
    try:
        FLOW[stages[0]](run)
    except NotReady as error:
        raise Refusal(f"--stages {arguments.stages}: {error}; run the stages before {stages[0]} first") from error
    return Prepared(run, stages, tuple(remade), runner)


def launched_runner(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> BeamRunner:
    """The runner of a launch. On Dataflow, what follows from the run folder is filled in."""
    flags = [*beam_flags, *forwarded(arguments)]
    runner = choose_runner(flags)
    if runner.name != "DataflowRunner":
        return runner
    added = complete_flags(parse_flags(flags), work=arguments.work, sources=getattr(arguments, "source", ()))
    return replace(runner, flags=(*runner.flags, *added))


def _is_done(folder: RunFolder, stage: str) -> bool:
    manifest = Ledger(folder.ledger(stage)).read_manifest()
    return manifest is not None and manifest.state == "done"


def _blocked_before(folder: RunFolder) -> Mapping[str, Any] | None:
    """What stands for the blocklists that the folder's images were held against."""
    manifest = Ledger(folder.ledger("download")).read_manifest()
    return None if manifest is None else manifest.configuration["section"].get(BLOCKLIST)


def parse_stages(given: str | None) -> tuple[str, ...]:
    """`download`, `download:score`, `download:` or `:score` as the stages of that span, in order."""
    names = list(FLOW)
    if given is None:
        return tuple(names)
    first, colon, last = given.partition(":")
    last = last or (names[-1] if colon else first)
    first = first or names[0]
    for name in (first, last):
        if name not in names:
            raise unknown("stage", name, names, where="--stages")
    if names.index(first) > names.index(last):
        raise Refusal(f"--stages: {first} comes after {last}; the order is {', '.join(names)}")
    return tuple(names[names.index(first) : names.index(last) + 1])


def sources_of(arguments: argparse.Namespace) -> tuple[Source, ...]:
    """The sources given, by their spelling alone."""
    return tuple(
        parse_source(
            text,
            url_column=arguments.url_column,
            text_column=arguments.text_column,
            extra_columns=arguments.extra_columns.split(",") if arguments.extra_columns else (),
        )
        for text in arguments.source
    )


def _sources(arguments: argparse.Namespace, folder: RunFolder) -> tuple[Source, ...]:
    """The sources given, or those that the run folder was begun with."""
    if arguments.source:
        sources = sources_of(arguments)
        for source in sources:
            check_store(source.url, named=f"--source {source.spelling}")
        return sources
    manifest = Ledger(folder.ledger("extract")).read_manifest()
    if manifest is None:
        raise Refusal(f"--source: expected KIND:URL, none given, and {folder.work} holds no run to go on with")
    return tuple(Source(**value) for value in manifest.configuration["section"]["sources"])


def _added_columns(folder: RunFolder, splits: Sequence[Split]) -> pa.Schema:
    """What the sources add to the columns of PAIRS."""
    if splits:
        found = [field for split in splits for field in split_schema(split)]
    else:
        found = list(read_schema(folder.pairs(0)))
    return pa.schema({field.name: field for field in found if field.name not in PAIRS.names}.values())
