"""What a recipe needs: the columns that it reads, what makes each, and what its user must supply.

In: a recipe. Out: lines for people, each a comment of YAML, so that a printed recipe stays one. Opens no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from beam_jobs.matching.kept_columns import columns_needed
from beam_jobs.recaptioning.captions import caption_schema
from beam_jobs.recaptioning.plans import Plan
from captioners.prompts import find_prompt, parse_prompts
from filters.registry import make_scorer
from filters.rules import columns_read
from filters.scorer import IMAGE, Scorer
from filters.text_columns import text_columns, text_scorers
from schemas.grouping_known import KnownOptions, option_of
from schemas.recipe import Recipe
from schemas.refusal import Refusal
from schemas.tables import IMAGES, PLANNED

# Options of scorers that say whose weights they run.
_WEIGHTS = ("model", "pretrained", "file", "weights")


def needs_lines(recipe: Recipe) -> list[str]:
    """The needs of a recipe, as comments."""
    scorers, unmade = _scorers(recipe)
    made = _makers(recipe, scorers)
    lines = ["# columns that it reads, and what makes them"]
    for stage, names in _read(recipe, scorers):
        lines += [f"#   {stage:<10} {name:<28} {_maker(name, stage, made)}" for name in names]
    lines += _section("weights", [*_weights(scorers), *_captioners(recipe)])
    lines += _section("scorers that cannot be made here", [f"{name}: {why}" for name, why in unmade.items()])
    given = [f"--given {name}=VALUE  {meaning}" for name, meaning in recipe.given.items()]
    known = [grouper for grouper in recipe.group.groupers if isinstance(grouper, KnownOptions)]
    held = [f"{option_of(each)} URL  an index of known images" for each in known]
    carried = [
        name for stage, names in _read(recipe, scorers) for name in names if _maker(name, stage, made) == _CARRIED
    ]
    columns = [f"--extra_columns {','.join(dict.fromkeys(carried))}  of a table source"] if carried else []
    return lines + _section("given at launch", [*given, *held, *columns])


_CARRIED = "the source must carry it"


def _read(recipe: Recipe, scorers: Iterable[Scorer]) -> Iterator[tuple[str, list[str]]]:
    """The columns that each stage reads, each once a stage."""
    counted = [name for counter in recipe.corpus.counters for name in counter.reads]
    yield "corpus", _once(counted)
    yield "preselect", _once(columns_read(recipe.preselect))
    yield "score", _once(name for scorer in scorers for name in scorer.inputs if name != IMAGE)
    yield "group", _once(name for grouper in recipe.group.groupers for name in grouper.reads)
    yield "select", _once(columns_read(recipe.select))
    yield "columns", _once(columns_needed(recipe.columns))
    yield "recaption", _once(_captioned(recipe))
    yield "write", [recipe.write.caption]


def _captioned(recipe: Recipe) -> Iterator[str]:
    """The columns of a sample that captioners, rules over captions and texts made of them read."""
    section = recipe.recaption
    if section:
        own = parse_prompts(section.prompts, where="prompts")
        before: tuple[str, ...] = ()
        for captioner in section.captioners:
            prompt = None if captioner.prompt is None else find_prompt(captioner.prompt, own)
            yield from Plan(captioner, prompt, "", before).columns
            stored = caption_schema(captioner, similar=True).names
            yield from (name for name in columns_read(captioner.accept) if name not in stored)
            yield from () if captioner.objects is None else (captioner.objects.detected,)
            before = (*before, captioner.label)
        made = (*before, *(text.name for text in section.texts))
        yield from (name for text in section.texts for name in text.reads if name not in made)


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _scorers(recipe: Recipe) -> tuple[list[Scorer], dict[str, str]]:
    """The scorers of a recipe, and why others cannot be made (a library that is not installed)."""
    scorers: list[Scorer] = []
    unmade: dict[str, str] = {}
    for entry in recipe.score:
        try:
            scorers.append(make_scorer(entry))
        except Refusal as refusal:
            unmade[entry if isinstance(entry, str) else next(iter(entry))] = str(refusal)
    return scorers, unmade


def _makers(recipe: Recipe, scorers: Iterable[Scorer]) -> Mapping[str, str]:
    made: dict[str, str] = {}
    made.update(dict.fromkeys(IMAGES.names, "stage download"))
    made.update(dict.fromkeys(PLANNED.names, "stage extract"))
    for counter in recipe.corpus.counters:
        made.update(dict.fromkeys(counter.columns, f"counter {counter.label}, stage corpus"))
    for scorer in scorers:
        made.update(dict.fromkeys(scorer.outputs, f"scorer {scorer.label}"))
    for grouper in recipe.group.groupers:
        made.update(dict.fromkeys(grouper.columns, f"grouper {grouper.label}"))
    made.update({name: "columns, stage select" for entry in recipe.columns for name in entry.names})
    made.update({captioner.label: f"captioner {captioner.label}" for captioner in recipe.recaption.captioners})
    made.update({text.name: "texts, stage recaption" for text in recipe.recaption.texts})
    return made


def _maker(name: str, stage: str, made: Mapping[str, str]) -> str:
    before = stage in ("corpus", "preselect")
    if before and name in text_columns().names and name not in PLANNED.names:
        (scorer,) = text_scorers([name], ())
        return f"scorer {scorer.label}, before the download"
    return made.get(name, _CARRIED)


def _weights(scorers: Iterable[Scorer]) -> list[str]:
    found = []
    for scorer in scorers:
        options = {each.name: getattr(scorer, each.name) for each in fields(scorer)}
        named = [f"{name} {options[name]}" for name in _WEIGHTS if options.get(name) not in (None, "", "tiny")]
        if named:
            found.append(f"scorer {scorer.label}: {', '.join(named)}")
    return found


def _captioners(recipe: Recipe) -> list[str]:
    return [
        f"captioner {each.label}: {each.engine.model}, by engine {each.engine.engine}"
        for each in recipe.recaption.captioners
        if each.engine.model != "tiny"
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"# {title}", *(f"#   {line}" for line in lines)] if lines else []
