"""Whether a recipe's rules can be asked at all: all that they name exists where it is read, in a type that fits.

In: a recipe and its scorers. Out: nothing, or a Refusal that says what is read where, and what exists. No file is
opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from filters.expressions import Malformed, check_types
from filters.registry import check_needs
from filters.rules import columns_read, compiled, expressions
from filters.scorer import IMAGE, Scorer
from filters.text_columns import text_columns
from schemas.grouping import embedding_of
from schemas.grouping_checks import NAMED_PREFERENCES
from schemas.grouping_counts import CountsOptions, StoredConcepts
from schemas.recipe import Recipe
from schemas.recipe_columns import Bins, Made, Weight
from schemas.recipe_steps import Balance, Contest, Listed, Rule, Step, keys_of, order_of
from schemas.recipe_text import Place
from schemas.tables import IMAGES, PLANNED

# Columns of the images table that no rule reads: the same for every image that is there, or other columns' copies.
NOT_JUDGED = ("reason", "status", "error_message", "caption", "key")


def check_recipe(recipe: Recipe, *, scorers: Sequence[Scorer], source_columns: pa.Schema | None = None) -> pa.Schema:
    """Raises a Refusal unless all that a recipe names exists where it is read, and opens no file.

    scorers: those of `recipe.score`. source_columns: what the sources add to the columns of PAIRS. Returns the columns
    that are known of a sample when it is selected. What captioners read is checked where they are known.
    """
    added = source_columns or pa.schema([])
    place = recipe.place.at("write")
    counted = _check_counters(recipe, pa.schema([*PLANNED, *added]))
    pairs = _joined(recipe, [("the pairs table", PLANNED), ("the source", added), *counted])
    texts = pa.schema([field for field in text_columns() if field.name not in pairs.names])
    check_steps(recipe.preselect, pa.schema([*pairs, *texts]), at="preselect")
    images = pa.schema([field for field in IMAGES if field.name not in (*PLANNED.names, *NOT_JUDGED)])
    stored = pa.schema([*pairs, *images])
    check_needs(scorers)
    for scorer in scorers:
        for name in scorer.inputs:
            if name != IMAGE:
                _require(name, stored, recipe.place.at("score"), f"scorer {scorer.label!r} reads")
    made = [(f"scorer {scorer.label!r}", scorer.schema) for scorer in scorers]
    scored = _joined(recipe, [("the pairs table", pairs), ("the images table", images), *made])
    _check_groupers(recipe, scored, scorers)
    groups = [(f"grouper {grouper.label!r}", _arrow(grouper.columns)) for grouper in recipe.group.groupers]
    known = _joined(recipe, [("an earlier stage", scored), *groups])
    check_steps(recipe.select, known, at="select")
    check_columns(recipe.columns, known)
    made_columns = [pa.field(name, kind) for entry in recipe.columns for name, kind in _made(entry)]
    known = pa.schema([*known, *made_columns])
    captions = {field.name: field for field in known}
    captions |= {captioner.label: pa.field(captioner.label, pa.string()) for captioner in recipe.recaption.captioners}
    if recipe.recaption.texts_at == "write":
        captions |= {field.name: field for field in _arrow(text_kinds(recipe, known))}
    _require(recipe.write.caption, pa.schema(captions.values()), place.at("caption"), "captions come from")
    if captions[recipe.write.caption].type != pa.string():
        raise place.at("caption").refusal(f"expected a column of texts; given {captions[recipe.write.caption].type}")
    return known


def text_kinds(recipe: Recipe, known: pa.Schema) -> dict[str, str]:
    """By name of a text that the recipe makes of captions, its type; known: the columns of a sample."""
    kinds = {field.name: str(field.type).replace("item: ", "").replace("element: ", "") for field in known}
    return recipe.recaption.text_kinds(kinds)


def _made(entry: Made) -> list[tuple[str, pa.DataType]]:
    kinds = [pa.float64()] if isinstance(entry, Weight) else [pa.int32(), pa.float64(), pa.float64()]
    return list(zip(entry.names, kinds, strict=True))


def _check_counters(recipe: Recipe, pairs: pa.Schema) -> list[tuple[str, pa.Schema]]:
    """The columns of each counter; a Refusal when one reads what is no column of texts."""
    known = pa.schema([*pairs, *(field for field in text_columns() if field.name not in pairs.names)])
    for number, counter in enumerate(recipe.corpus.counters):
        place = recipe.place.at("corpus").at(number)
        for name in counter.reads:
            _require(name, known, place, f"counter {counter.label!r} reads")
            if known.field(name).type != pa.string():
                raise place.refusal(f"expected a column of texts to count; {name!r} is {known.field(name).type}")
    return [
        (f"counter {counter.label!r}", pa.schema(list(counter.columns.items()))) for counter in recipe.corpus.counters
    ]


def check_steps(steps: Sequence[Step], known: pa.Schema, *, at: str) -> None:
    """Raises a Refusal unless every step can be asked over columns of these names and types.

    at: the stage, for people.
    """
    for step in steps:
        for name in columns_read([step]):
            _require(name, known, step.place, f"{at} reads")
        for text, place in expressions(step):
            try:
                check_types(compiled(text, place), known, number=isinstance(step, Balance))
            except Malformed as error:
                raise place.refusal(str(error)) from error
        if isinstance(step, Listed):
            kind = known.field(step.column).type
            if kind != pa.string():
                raise step.place.refusal(f"expected a column of texts to look up; {step.column!r} is {kind}")
        elif not isinstance(step, (Rule, Balance)):
            _check_contest(step, known)


def check_columns(made: Sequence[Made], known: pa.Schema) -> None:
    for entry in made:
        for name in entry.names:
            if name in known.names:
                raise entry.place.refusal(f"the column {name!r} is there already; give this one another name")
        for name in entry.reads if isinstance(entry, Bins) else entry.means.values():
            _require(name, known, entry.place, "columns reads")
            if not _is_number(known.field(name).type):
                raise entry.place.refusal(f"expected a column of numbers; {name!r} is {known.field(name).type}")
        if isinstance(entry, Weight):
            _check_weight(entry, known)


def _check_weight(entry: Weight, known: pa.Schema) -> None:
    place = entry.place.at("weight")
    for name in entry.means:
        if name in known.names:
            raise entry.place.at("means").refusal(f"{name!r} is the name of a column; name the mean otherwise")
    expression = compiled(entry.expression, place)
    for name in expression.columns:
        if name not in entry.means:
            _require(name, known, entry.place, "columns reads")
    try:
        check_types(expression, pa.schema([*known, *((name, pa.float64()) for name in entry.means)]), number=True)
    except Malformed as error:
        raise place.refusal(str(error)) from error


def _check_contest(contest: Contest, known: pa.Schema) -> None:
    for preference in order_of(contest):
        kind = known.field(preference.column).type
        if not _is_number(kind):
            raise contest.place.refusal(f"expected a column of numbers to order by; {preference.column!r} is {kind}")
    for name in keys_of(contest):
        kind = known.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_floating(kind):
            raise contest.place.refusal(f"expected a column of texts or whole numbers to compare; {name!r} is {kind}")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _require(name: str, known: pa.Schema, place: Place, reader: str) -> None:
    if name not in known.names:
        raise place.refusal(f"{reader} no column {name!r}: nothing makes it; known: {', '.join(known.names)}")


def _joined(recipe: Recipe, parts: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """The columns of several tables side by side; a name that two of them make is refused."""
    makers: dict[str, str] = {}
    fields: list[pa.Field] = []
    for maker, schema in parts:
        for field in schema:
            if field.name in makers:
                raise recipe.place.refusal(f"{makers[field.name]} and {maker} both make the column {field.name!r}")
            makers[field.name] = maker
            fields.append(field)
    return pa.schema(fields)


def _check_counted(column: str, known: pa.Schema, place: Place, *, lists: bool) -> None:
    kind = known.field(column).type
    if kind != pa.string() and not (lists and kind == pa.list_(pa.string())):
        raise place.refusal(f"expected a column of texts to count; {column!r} is {kind}")


def _arrow(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _type(kind)) for name, kind in columns.items()])


def _type(kind: str) -> pa.DataType:
    listed = kind.removeprefix("list<").removesuffix(">")
    return pa.type_for_alias(kind) if listed == kind else pa.list_(pa.type_for_alias(listed))


def _check_groupers(recipe: Recipe, scored: pa.Schema, scorers: Sequence[Scorer]) -> None:
    embedding = {scorer.label for scorer in scorers if scorer.embeds}
    for number, grouper in enumerate(recipe.group.groupers):
        place = recipe.place.at("group").at(number)
        wanted = embedding_of(grouper)
        if wanted is not None and wanted not in embedding:
            known = ", ".join(sorted(embedding)) or "none"
            raise place.refusal(f"no scorer stores embeddings as {wanted!r}; known: {known}")
        for column in grouper.reads:
            _require(column, scored, place, f"grouper {grouper.label!r} reads")
            if isinstance(grouper, CountsOptions):
                tags = isinstance(grouper, StoredConcepts) and column == grouper.tags
                _check_counted(column, scored, place, lists=tags)
        if isinstance(grouper, CountsOptions) and grouper.where is not None:
            check_steps([Rule("keep", grouper.where, "counted", place.at("where"))], scored, at="group")
        for preference in grouper.keep:
            column = preference.removeprefix("-")
            if column not in NAMED_PREFERENCES:
                _require(column, scored, place.at("keep"), "the survivor's choice reads")
