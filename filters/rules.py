"""Rules over columns: which rows fail, at which rule.

In: a table and the steps of a recipe that judge a row by itself. Out: for each row the first step that it fails. A row
stays at `keep` only where the expression is true and goes at `drop` only where it is true, so a value that is not
known (null, NaN) fails every `keep` that needs it and passes every `drop`; so it does with lists. Nothing here computes
a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from filters.expressions import Expression, Malformed, compile_expression, frame_of
from filters.listed import where_listed
from schemas.keys import uid_order
from schemas.recipe_steps import Balance, Listed, Mix, RowStep, Rule, Step, Top, columns_of
from schemas.recipe_text import Place

PASSES = -1
# Draws are of so many bits: those of a float's mantissa.
_DRAW_BITS = 53


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
    if isinstance(step, Balance):
        return ((step.expression, step.place.at("balance")),)
    if isinstance(step, Top) and step.unless is not None:
        return ((step.unless, step.place.at("unless")),)
    if isinstance(step, Mix):
        parts = step.place.at("mix")
        return tuple((part.where, parts.at(number).at("where")) for number, part in enumerate(step.parts))
    return ()


def columns_read(steps: Iterable[Step]) -> tuple[str, ...]:
    """The columns that steps read, each once, in order of appearance."""
    named: dict[str, None] = {}
    for step in steps:
        if isinstance(step, Listed):
            named[step.column] = None
        elif not isinstance(step, (Rule, Balance)):
            named.update(dict.fromkeys(columns_of(step)))
        for text, place in expressions(step):
            named.update(dict.fromkeys(compiled(text, place).columns))
    return tuple(named)


def first_failing(table: pa.Table | pa.RecordBatch, steps: Sequence[RowStep]) -> npt.NDArray[np.int16]:
    """For each row the position in `steps` of the first that it fails, PASSES where it fails none.

    table: the columns that the steps read, and `uid` where one of them draws.
    """
    failed = np.full(table.num_rows, PASSES, dtype=np.int16)
    if not steps or not table.num_rows:
        return failed
    true = iter(where_true(table, [step for step in steps if isinstance(step, Rule)]))
    goes = []
    for step in steps:
        if isinstance(step, Balance):
            goes.append(~_drawn(table, step))
        else:
            holds = where_listed(table[step.column], step) if isinstance(step, Listed) else next(true)
            goes.append(holds if step.verb in ("drop", "drop_listed") else ~holds)
    for number, gone in reversed(list(enumerate(goes))):
        failed[gone] = number
    return failed


def _drawn(table: pa.Table | pa.RecordBatch, step: Balance) -> npt.NDArray[np.bool_]:
    """Which rows stay by the probability that they have."""
    probability = numbers(table, step.expression, step.place.at("balance"))
    salt = f"balance:{step.seed}:"
    draws = [uid_order(salt + uid) >> (64 - _DRAW_BITS) for uid in table["uid"].to_pylist()]
    stays: npt.NDArray[np.bool_] = np.array(draws, dtype=np.float64) / 2.0**_DRAW_BITS < probability
    return stays


def numbers(table: pa.Table | pa.RecordBatch, text: str, place: Place) -> npt.NDArray[np.float64]:
    """What an expression over columns gives for each row; NaN where that is not known."""
    expression = compiled(text, place)
    answer = frame_of(table, expression.columns).select(answer=expression.compiled)["answer"]
    return answer.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def where_true(table: pa.Table | pa.RecordBatch, steps: Sequence[Step]) -> list[npt.NDArray[np.bool_]]:
    """For each expression of the steps, in order, the rows of which it is true; unknown is not true."""
    found = [compiled(text, place) for step in steps for text, place in expressions(step)]
    if not found:
        return []
    frame = frame_of(table, tuple(dict.fromkeys(name for expression in found for name in expression.columns)))
    answers = frame.select(expression.compiled.alias(str(number)) for number, expression in enumerate(found))
    return [answers[str(number)].fill_null(False).to_numpy() for number in range(len(found))]


def judge(table: pa.Table | pa.RecordBatch, steps: Sequence[RowStep]) -> pa.Array:
    """The reason of each row: that of the first step that it fails, null where it fails none."""
    reasons = pa.array([step.reason for step in steps], pa.string())
    failed = first_failing(table, steps)
    return reasons.take(pa.array(failed, pa.int16(), mask=failed == PASSES))
