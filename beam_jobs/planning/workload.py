"""What a recipe asks of each stage: rows that come in, and seconds of a core and of a GPU, with the formula of each.

In: a recipe, the number of pairs, constants, settings. Out: a Load a stage, in the order of the flow. What nothing was
measured of is named, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beam_jobs.planning.constants import Constants, StageConstants
from beam_jobs.planning.groups import group_work
from beam_jobs.planning.machines import Settings
from beam_jobs.planning.models import embedding_width, model_flops, model_of
from beam_jobs.report.shard_rows import MOST_ROWS
from filters.registry import make_scorers
from filters.scorer import IMAGE, Scorer
from schemas.recipe import STAGES, Recipe

MILLION = 1e6


@dataclass(frozen=True)
class Load:
    """One stage's work. shuffled, stored, fetched: bytes. formula: how core_seconds and gpu_seconds came about.

    unmeasured: what runs and is not counted.
    """

    stage: str
    rows: float
    shards: float
    core_seconds: float
    stored: float
    shuffled: float
    constants: StageConstants
    formula: tuple[str, ...]
    gpu_seconds: float = 0.0
    fetched: float = 0.0
    unmeasured: tuple[str, ...] = ()


def loads(recipe: Recipe, pairs: int, constants: Constants, settings: Settings, *, gpus: bool) -> Iterator[Load]:
    """The stages of which the recipe asks for something. gpus: whether models are scored by GPUs."""
    rows = _rows(recipe, pairs, constants, settings)
    for stage in STAGES:
        if stage not in rows:
            continue
        if stage == "download":
            yield _download(recipe, rows[stage], constants, settings)
        elif stage == "score":
            yield _score(recipe, rows[stage], constants, settings, gpus=gpus)
        elif stage == "group":
            yield _group(recipe, rows[stage], constants)
        elif stage in ("corpus", "recaption"):
            yield _unmeasured(stage, recipe, rows[stage], constants, settings)
        else:
            yield _plain(stage, recipe, rows[stage], constants, settings)


def _rows(recipe: Recipe, pairs: int, constants: Constants, settings: Settings) -> dict[str, float]:
    """Rows that come into each stage that has something to do."""
    kept = {stage: settings.kept.get(stage, each.kept) for stage, each in constants.stages.items()}
    found = pairs * kept["extract"]
    planned = found * kept["preselect"]
    pictures = planned * kept["download"]
    selected = pictures * kept["select"]
    rows = {"extract": float(pairs), "preselect": found, "download": planned, "select": pictures}
    rows |= {"write": selected, "report": pairs * min(1.0, MOST_ROWS / max(planned, 1.0))}
    for stage, asked, come in (
        ("corpus", bool(recipe.corpus.counters), found),
        ("score", bool(recipe.score), pictures),
        ("group", bool(recipe.group.groupers), pictures),
        ("recaption", bool(recipe.recaption), selected),
    ):
        if asked:
            rows[stage] = come
    return rows


def _shards(stage: str, recipe: Recipe, rows: float) -> float:
    per_shard = recipe.write.samples_per_shard if stage == "write" else recipe.download.rows_per_shard
    return 1.0 if stage == "report" else max(1.0, rows / per_shard)


def _plain(stage: str, recipe: Recipe, rows: float, constants: Constants, settings: Settings) -> Load:
    each = constants.stages[stage]
    stored = rows * each.stored
    if stage == "write":
        stored += rows * constants.pictures[settings.pictures].stored
    seconds = rows / MILLION * each.core_seconds
    formula = (f"{_millions(rows)} rows x {each.core_seconds:,.3g} core-s/M",)
    shards = _shards(stage, recipe, rows)
    return Load(stage, rows, shards, seconds, stored, rows * each.shuffled, each, formula)


def _download(recipe: Recipe, rows: float, constants: Constants, settings: Settings) -> Load:
    each, picture = constants.stages["download"], constants.pictures[settings.pictures]
    kept = settings.kept.get("download", each.kept)
    seconds = rows / MILLION * picture.download
    stored = rows * each.stored + rows * kept * picture.stored
    formula = (f"{_millions(rows)} URLs x {picture.download:,.3g} core-s/M ({settings.pictures} pictures)",)
    shards = _shards("download", recipe, rows)
    fetched = rows * kept * picture.fetched
    return Load("download", rows, shards, seconds, stored, 0.0, each, formula, fetched=fetched)


def _score(recipe: Recipe, rows: float, constants: Constants, settings: Settings, *, gpus: bool) -> Load:
    each, picture = constants.stages["score"], constants.pictures[settings.pictures]
    scorers = make_scorers(recipe.score)
    parts: list[tuple[str, float]] = []
    unmeasured, gpu_seconds, gpu_formula = [], 0.0, []
    if any(IMAGE in scorer.inputs for scorer in scorers):
        parts.append(("decode", picture.decode))
    for scorer in scorers:
        model = model_of(scorer)
        work = model_flops(model) if model is not None else None
        if work is not None and gpus:
            gpu_seconds += rows * work / settings.gpu_flops
            gpu_formula.append(f"{scorer.label} {work / 1e9:,.3g} GFLOP")
        elif work is not None:
            parts.append((scorer.label, MILLION * work / constants.flops))
        elif model is None and scorer.name in constants.scorers:
            parts.append((scorer.label, constants.scorers[scorer.name][settings.pictures]))
        else:
            unmeasured.append(scorer.label)
    per_million, added = sum(seconds for _, seconds in parts), constants.added["score"]
    told = " + ".join(f"{name} {seconds:,.3g}" for name, seconds in parts)
    formula = [f"{_millions(rows)} pictures x ({told}) core-s/M x {added:.3g} for the stage"]
    if gpu_formula:
        formula.append(
            f"GPUs: {_millions(rows)} pictures x ({' + '.join(gpu_formula)}) / {settings.gpu_flops / 1e12:g} TFLOP/s"
        )
    stored = rows * (each.stored + sum(_embedding_bytes(scorers)))
    return Load(
        "score",
        rows,
        _shards("score", recipe, rows),
        rows / MILLION * per_million * added,
        stored,
        0.0,
        each,
        tuple(formula),
        gpu_seconds=gpu_seconds,
        unmeasured=tuple(unmeasured),
    )


def _embedding_bytes(scorers: Sequence[Scorer]) -> Iterator[float]:
    """float16, of picture and text."""
    for scorer in scorers:
        width = embedding_width(scorer)
        if width is not None:
            yield 4.0 * width


def _group(recipe: Recipe, rows: float, constants: Constants) -> Load:
    each, added = constants.stages["group"], constants.added["group"]
    widths = {scorer.label: embedding_width(scorer) for scorer in make_scorers(recipe.score)}
    seconds, shuffled, formula, unmeasured = 0.0, 0.0, [], []
    for grouper in recipe.group.groupers:
        work = group_work(grouper, rows, constants.groupers, widths)
        if work is None:
            unmeasured.append(grouper.label)
            continue
        seconds += work.linear * added + work.beyond
        shuffled += work.shuffled
        formula.append(f"{grouper.label}: {work.formula}")
    formula.append(f"what is a million rows' x {added:.3g} for the stage")
    stored = rows * each.stored * len(recipe.group.groupers)
    shards = _shards("group", recipe, rows)
    return Load("group", rows, shards, seconds, stored, shuffled, each, tuple(formula), unmeasured=tuple(unmeasured))


def _unmeasured(stage: str, recipe: Recipe, rows: float, constants: Constants, settings: Settings) -> Load:
    """Stages whose work depends on what a recipe names: vocabularies, captioning models."""
    each, shards = constants.stages["select"], _shards(stage, recipe, rows)
    if stage == "recaption" and settings.captions is not None:
        captioners = len(recipe.recaption.captioners)
        formula = f"GPUs: {_millions(rows)} pictures x {captioners} captioners / {settings.captions:g} captions/s"
        seconds = rows * captioners / settings.captions
        return Load(stage, rows, shards, 0.0, 0.0, 0.0, each, (formula,), gpu_seconds=seconds)
    named = [counter.label for counter in recipe.corpus.counters] if stage == "corpus" else ["--captions-per-second"]
    return Load(stage, rows, shards, 0.0, 0.0, 0.0, each, (), unmeasured=tuple(named))


def _millions(rows: float) -> str:
    return f"{rows / MILLION:,.4g}M"
