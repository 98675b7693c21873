"""Captioners as a launch wants them: its word in place of the recipe's, and everything checked before any is asked.

In: a recipe, `--captioner LABEL={...}` of the command line, the columns that are known of a sample. Out: the recipe
with those engines, its plans; or a Refusal in one line that says what is expected and what exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from beam_jobs.matching.kept_columns import columns_needed
from beam_jobs.recaptioning.captions import caption_schema, sidecar_schema, training_columns
from beam_jobs.recaptioning.plans import Plan
from beam_jobs.recaptioning.texts import needs_tagger
from captioners.engines import ENGINES, check, model_id
from captioners.prompts import Prompt, find_prompt, parse_prompts
from filters.clip import Clip
from filters.recipe_check import check_columns, check_steps, text_kinds
from filters.rules import columns_read
from filters.scorer import Scorer, refuse_absent
from schemas.recaption import Captioner, EngineOptions
from schemas.recipe import Recipe
from schemas.recipe_text import read_yaml
from schemas.refusal import Refusal, unknown

EVERY = "*"
_FLAG = "--captioner"


@dataclass(frozen=True)
class Captioning:
    """What the stages know of a checked recipe's captioners.

    kinds: of the made texts. columns: those of a sample that anything reads. training: by label, what of a captioner's
    sidecar goes into training shards.
    """

    plans: tuple[Plan, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    training: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def configurations(self) -> dict[str, tuple[Mapping[str, Any], tuple[str, ...]]]:
        """By label, what decides a captioner's captions, and the labels of those whose captions it reads."""
        return {plan.label: (plan.configuration(), plan.needs) for plan in self.plans}


def with_engines(recipe: Recipe, given: Sequence[str]) -> Recipe:
    """The recipe with engine, model and options as `LABEL={engine: .., model: .., option: ..}` says."""
    found: dict[str, dict[str, Any]] = {}
    labels = [captioner.label for captioner in recipe.recaption.captioners]
    for argument in given:
        label, equals, text = argument.partition("=")
        if label != EVERY and label not in labels:
            raise unknown("captioner", label, [*labels, EVERY], where=_FLAG)
        options = read_yaml(text, f"{_FLAG} {label}") if equals else None
        if not isinstance(options, dict):
            raise Refusal(f"{_FLAG}: expected LABEL={{engine: NAME, model: NAME, option: value}}; given {argument!r}")
        if label in found:
            raise Refusal(f"{_FLAG}: {label!r} is given twice")
        found[label] = options
    captioners = tuple(
        _with_engine(each, {**found.get(EVERY, {}), **found.get(each.label, {})})
        for each in recipe.recaption.captioners
    )
    return replace(recipe, recaption=replace(recipe.recaption, captioners=captioners))


def _with_engine(captioner: Captioner, given: Mapping[str, Any]) -> Captioner:
    """prompt: of an engine that takes one in the place of one that takes none."""
    engine = captioner.engine
    named = {"engine": engine.engine, "model": engine.model, "prompt": captioner.prompt}
    options = {name: value for name, value in given.items() if name not in named}
    for name in named.keys() & given.keys():
        if not isinstance(given[name], str) or not given[name]:
            raise Refusal(f"{_FLAG} {captioner.label}: {name}: expected a name; given {given[name]!r}")
        named[name] = given[name]
    made = EngineOptions(str(named["engine"]), str(named["model"]), options)
    return replace(captioner, engine=made, prompt=named["prompt"])


def check_engines(recipe: Recipe) -> None:
    """Raises Refusal where an engine cannot be made on this machine."""
    for captioner in recipe.recaption.captioners:
        check(captioner.engine)


def plan_captioning(recipe: Recipe, scorers: Sequence[Scorer], known: pa.Schema) -> Captioning:
    """Checks all that the section names; known: the columns of a sample after `select`. Opens no model."""
    section = recipe.recaption
    place = recipe.place.at("recaption")
    similar = section.similarity is not None
    if similar:
        _check_similarity(recipe, scorers)
    own = parse_prompts(section.prompts, where=place.at("prompts").dotted)
    plans: list[Plan] = []
    columns = list(known)
    read: dict[str, None] = {}
    for captioner in section.captioners:
        plan = _plan(captioner, own, tuple(plan.label for plan in plans), known)
        rules = caption_schema(captioner, similar=similar)
        beside = [column for column in known if column.name not in rules.names]
        check_steps(captioner.accept, pa.schema([*rules, *beside]), at="accept")
        if captioner.choose == "most_similar" and not similar:
            raise captioner.place.refusal("choose: most_similar needs `similarity`: the scorer that tells it")
        made = [column for column in sidecar_schema(captioner, similar=similar) if column.name != "uid"]
        for column in made:
            if column.name in known.names:
                raise captioner.place.refusal(f"the column {column.name!r} is there already; give another label")
        columns += made
        ruled = [name for name in columns_read(captioner.accept) if name not in rules.names]
        read.update(dict.fromkeys([*plan.columns, *ruled, *_detected(captioner, known)]))
        plans.append(plan)
    whole = pa.schema(columns)
    kinds = text_kinds(recipe, known)
    for definition in section.texts:
        if definition.name in whole.names:
            raise definition.place.refusal(f"the column {definition.name!r} is there already; give this another name")
    check_columns(section.columns, whole)
    if needs_tagger(section.texts):
        refuse_absent("spacy", install="pairmill[parser]", wanted_by="the step `syntax`")
    read.update(dict.fromkeys(name for each in section.texts for name in each.reads if name in known.names))
    read.update(dict.fromkeys(name for name in columns_needed(section.columns) if name in known.names))
    training = {
        captioner.label: tuple(training_columns(captioner, similar=similar)) for captioner in section.captioners
    }
    return Captioning(tuple(plans), kinds, tuple(read), training)


def named_models(captioning: Captioning) -> Captioning:
    """The same with each model's name as its captions bear it, which may need a look into its folder."""
    names: dict[str, str] = {}
    for plan in captioning.plans:
        engine = plan.captioner.engine
        if engine.key not in names:
            names[engine.key] = model_id(engine)
    plans = tuple(replace(plan, model_id=names[plan.captioner.engine.key]) for plan in captioning.plans)
    return replace(captioning, plans=plans)


def _plan(captioner: Captioner, own: Mapping[str, Prompt], before: tuple[str, ...], known: pa.Schema) -> Plan:
    engine = captioner.engine.engine
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, where=f"captioner {captioner.label!r}")
    prompt = _prompt(captioner, own, takes_prompt=ENGINES[engine].takes_prompt)
    plan = Plan(captioner, prompt, captioner.engine.model, before)
    for name in captioner.given:
        if name not in plan.placeholders:
            asked = ", ".join(plan.placeholders) or "nothing"
            raise captioner.place.at("input").refusal(f"its prompt has no {{{name}}}; it asks for {asked}")
    for placeholder in plan.placeholders:
        sources = plan.sources(placeholder)
        if not sources:
            raise captioner.place.at("input").refusal(
                f"prompt {captioner.prompt!r} asks for {{{placeholder}}}: say which column it is, or which captioner's "
                f"caption; columns: {', '.join(known.names)}"
            )
        for source in sources:
            if source.constant is None and source.name not in (*before, *known.names):
                exist = ", ".join((*before, *known.names))
                raise (
                    captioner.place.at("input")
                    .at(placeholder)
                    .refusal(f"no column and no earlier captioner {source.name!r}; known: {exist}")
                )
    return plan


def _detected(captioner: Captioner, known: pa.Schema) -> list[str]:
    """The column of objects that were seen, if the captioner's captions are held against one."""
    if captioner.objects is None:
        return []
    name, place = captioner.objects.detected, captioner.place.at("objects").at("detected")
    if name not in known.names:
        raise place.refusal(f"no column {name!r}: nothing makes it; known: {', '.join(known.names)}")
    if known.field(name).type not in (pa.string(), pa.list_(pa.string())):
        raise place.refusal(f"expected a column of names; {name!r} is {known.field(name).type}")
    return [name]


def _prompt(captioner: Captioner, own: Mapping[str, Prompt], *, takes_prompt: bool) -> Prompt | None:
    place = captioner.place.at("prompt")
    if captioner.prompt is None:
        if takes_prompt:
            raise captioner.place.refusal(f"expected `prompt`: the engine {captioner.engine.engine!r} asks by one")
        return None
    if not takes_prompt:
        raise place.refusal(f"the engine {captioner.engine.engine!r} takes no prompt")
    try:
        return find_prompt(captioner.prompt, own)
    except Refusal as error:
        raise place.refusal(str(error)) from error


def _check_similarity(recipe: Recipe, scorers: Sequence[Scorer]) -> None:
    label = recipe.recaption.similarity
    storing = {scorer.label for scorer in scorers if isinstance(scorer, Clip) and scorer.embeds}
    if label not in storing:
        place = recipe.place.at("recaption").at("similarity")
        known = ", ".join(sorted(storing)) or "none"
        raise place.refusal(f"no scorer `clip` that stores embeddings is called {label!r}; known: {known}")
