"""Rules over columns: which rows fail, at which rule, and whether a recipe's rules can be asked at all.

In: a table and the `keep` and `drop` rules of a recipe. Out: for each row the first rule that it fails. A row stays at
`keep` only where the expression is true and goes at `drop` only where it is true, so a value that is not known
(null, NaN) fails every `keep` that needs it and passes every `drop`. Nothing here computes a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.expressions import Expression, Malformed, check_types, compile_expression, frame_of
from filters.scorer import IMAGE, Scorer
from filters.text_columns import text_columns
from schemas.grouping import NAMED_PREFERENCES, NearOptions, PerceptualOptions
from schemas.recipe import Recipe
from schemas.recipe_steps import Contest, Rule, Step, Top, columns_of, keys_of, order_of
from schemas.recipe_text import Place
from schemas.tables import IMAGES, PLANNED

PASSES = -1
# Columns of the images table that no rule reads: the same for every image that is there, or other columns' copies.
NOT_JUDGED = ("reason", "status", "error_message", "caption", "key")


def compiled(text: str, place: Place) -> Expression:
    """An expression of a recipe; a Refusal at its place when it is malformed."""
    try:
        return compile_expression(text)
    except Malformed as error:
        raise place.refusal(str(error)) from error


def expressions(step: Step) -> tuple[tuple[str, Place], ...]:
    """The expressions of a step, each with its place."""
    if isinstance(step, Rule):
        return ((step.expression, step.place.at(step.verb)),)
    if isinstance(step, Top) and step.unless is not None:
        return ((step.unless, step.place.at("unless")),)
    return ()


def columns_read(steps: Iterable[Step]) -> tuple[str, ...]:
    """The columns that steps read, each once, in order of appearance."""
    named: dict[str, None] = {}
    for step in steps:
        if not isinstance(step, Rule):
            named.update(dict.fromkeys(columns_of(step)))
        for text, place in expressions(step):
            named.update(dict.fromkeys(compiled(text, place).columns))
    return tuple(named)


def first_failing(table: pa.Table | pa.RecordBatch, rules: Sequence[Rule]) -> npt.NDArray[np.int16]:
    """For each row the position in `rules` of the first that it fails, PASSES where it fails none."""
    failed = np.full(table.num_rows, PASSES, dtype=np.int16)
    if not rules or not table.num_rows:
        return failed
    true = where_true(table, rules)
    for number, rule in reversed(list(enumerate(rules))):
        failed[true[number] if rule.verb == "drop" else ~true[number]] = number
    return failed


def where_true(table: pa.Table | pa.RecordBatch, steps: Sequence[Step]) -> list[npt.NDArray[np.bool_]]:
    """For each expression of the steps, in order, the rows of which it is true; unknown is not true."""
    found = [compiled(text, place) for step in steps for text, place in expressions(step)]
    if not found:
        return []
    frame = frame_of(table, tuple(dict.fromkeys(name for expression in found for name in expression.columns)))
    answers = frame.select(expression.compiled.alias(str(number)) for number, expression in enumerate(found))
    return [answers[str(number)].fill_null(False).to_numpy() for number in range(len(found))]


def judge(table: pa.Table | pa.RecordBatch, rules: Sequence[Rule]) -> pa.Array:
    """The reason of each row: that of the first rule that it fails, null where it fails none."""
    reasons = pa.array([rule.reason for rule in rules], pa.string())
    failed = first_failing(table, rules)
    return reasons.take(pa.array(failed, pa.int16(), mask=failed == PASSES))


def check_recipe(recipe: Recipe, *, scorers: Sequence[Scorer], source_columns: pa.Schema | None = None) -> None:
    """Raises a Refusal unless all that a recipe names exists where it is read, and opens no file.

    scorers: those of `recipe.score`. source_columns: what the sources add to the columns of PAIRS.
    """
    added = source_columns or pa.schema([])
    pairs = _joined(recipe, [("the pairs table", PLANNED), ("the source", added)])
    texts = pa.schema([field for field in text_columns() if field.name not in pairs.names])
    check_steps(recipe.preselect, pa.schema([*pairs, *texts]), at="preselect")
    images = pa.schema([field for field in IMAGES if field.name not in (*PLANNED.names, *NOT_JUDGED)])
    stored = pa.schema([*pairs, *images])
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
    _require(recipe.write.caption, known, recipe.place.at("write").at("caption"), "captions come from")
    if known.field(recipe.write.caption).type != pa.string():
        kind = known.field(recipe.write.caption).type
        raise recipe.place.at("write").at("caption").refusal(f"expected a column of texts; given {kind}")


def check_steps(steps: Sequence[Step], known: pa.Schema, *, at: str) -> None:
    """Raises a Refusal unless every step can be asked over columns of these names and types.

    at: the stage, for people.
    """
    for step in steps:
        for name in columns_read([step]):
            _require(name, known, step.place, f"{at} reads")
        for text, place in expressions(step):
            try:
                check_types(compiled(text, place), known)
            except Malformed as error:
                raise place.refusal(str(error)) from error
        if not isinstance(step, Rule):
            _check_contest(step, known)


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


def _arrow(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])


def _check_groupers(recipe: Recipe, scored: pa.Schema, scorers: Sequence[Scorer]) -> None:
    embedding = {scorer.label for scorer in scorers if scorer.embeds}
    for number, grouper in enumerate(recipe.group.groupers):
        place = recipe.place.at("group").at(number)
        if isinstance(grouper, NearOptions) and grouper.embedding not in embedding:
            known = ", ".join(sorted(embedding)) or "none"
            raise place.refusal(f"no scorer stores embeddings as {grouper.embedding!r}; known: {known}")
        for column in grouper.reads if isinstance(grouper, PerceptualOptions) else ():
            _require(column, scored, place, f"grouper {grouper.label!r} reads")
        for preference in grouper.keep:
            column = preference.removeprefix("-")
            if column not in NAMED_PREFERENCES:
                _require(column, scored, place.at("keep"), "the survivor's choice reads")
