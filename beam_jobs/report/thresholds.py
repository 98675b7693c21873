"""Where a recipe's rules cut: the column, the number and the side that stays, read off the rules' texts.

In: the recipe as plain values. Out: cuts, in the order of the recipe. This only explains a rule to people: nothing
is decided by it, and an expression that is not a plain comparison simply has no mark in a chart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SECTIONS = ("preselect", "select")
LISTED = ("keep_listed", "drop_listed")
VERBS = ("keep", "drop", *LISTED, "balance", "unique", "top_fraction", "top_k", "sample", "mix")
_DEFAULT_REASONS = {
    "unique": "duplicate",
    "top_fraction": "below_top_fraction",
    "top_k": "below_top_k",
    "sample": "not_sampled",
    "keep_listed": "not_listed",
    "drop_listed": "listed",
    "balance": "not_drawn",
    "mix": "beyond_share",
}

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COLUMN = r"[A-Za-z_][A-Za-z0-9_]*"
_BEFORE = r"(?<![\w.)+*/%|-])"
_AFTER = r"(?![\w.])(?!\s*[-+*/%|])"
_COMPARISON = re.compile(rf"{_BEFORE}({_COLUMN})\s*(>=|<=|>|<)\s*({_NUMBER}){_AFTER}")
_REVERSED = re.compile(rf"{_BEFORE}({_NUMBER})\s*(>=|<=|>|<)\s*({_COLUMN}){_AFTER}")
_BETWEEN = re.compile(rf"{_BEFORE}({_COLUMN})\s+between\s+({_NUMBER})\s+and\s+({_NUMBER})", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_ARITHMETIC_BEFORE = re.compile(r"[-+*/%|]\s*$")
_MIRROR = {">=": "<=", "<=": ">=", ">": "<", "<": ">"}
_OPPOSITE = {">=": "<", "<": ">=", ">": "<=", "<=": ">"}


@dataclass(frozen=True)
class Step:
    """A step of a recipe, as it is written. reads: the columns that decide which rows it drops."""

    section: str
    verb: str
    written: str
    reason: str
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cut:
    """A row stays where `column operator value`; `value` is None where only the run can tell (a top fraction)."""

    step: Step
    column: str
    operator: str
    value: float | None

    @property
    def keeps_high(self) -> bool:
        return self.operator in (">", ">=")


def steps_of(recipe: Mapping[str, Any]) -> tuple[Step, ...]:
    """All steps of `preselect` and `select`, in order."""
    found: list[Step] = []
    for section in SECTIONS:
        for step in recipe.get(section) or ():
            verb = next((verb for verb in VERBS if verb in step), None)
            if verb is not None:
                reason = str(step.get("reason", _DEFAULT_REASONS.get(verb, "")))
                found.append(Step(section, verb, _written(verb, step), reason, _reads(verb, step)))
    return tuple(found)


def cuts_of(recipe: Mapping[str, Any]) -> tuple[Cut, ...]:
    """The plain comparisons of all rules, and the first column of each top fraction or count."""
    found: list[Cut] = []
    for section in SECTIONS:
        for step in recipe.get(section) or ():
            for each in steps_of({section: [step]}):
                found += _cuts(each, step)
    return tuple(found)


def _written(verb: str, step: Mapping[str, Any]) -> str:
    value = step[verb]
    if verb in LISTED:
        return f"{verb}: {value['by']}"
    if verb == "mix":
        return "mix: " + ", ".join(f"{part['share']} where {part['where']}" for part in value)
    shown = f"[{', '.join(map(str, value))}]" if isinstance(value, (list, tuple)) else str(value)
    parts = [f"{verb}: {shown}"]
    for key in ("by", "prefer", "per"):
        if step.get(key):
            parts.append(f"{key}: [{', '.join(map(str, step[key]))}]")
    return ", ".join(parts)


def _reads(verb: str, step: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of an expression, the keys of `unique`, the first column of a top fraction or count."""
    from filters.expressions import Malformed, compile_expression

    if verb in ("keep", "drop", "balance"):
        try:
            return compile_expression(str(step[verb])).columns
        except Malformed:
            return ()
    if verb in LISTED:
        return (str(step[verb]["of"]),)
    if verb == "unique":
        return tuple(map(str, step[verb]))
    return tuple(str(column).removeprefix("-") for column in (step.get("by") or ())[:1])


def _cuts(step: Step, value: Mapping[str, Any]) -> Iterator[Cut]:
    if step.verb in ("keep", "drop"):
        for column, operator, number in _comparisons(str(value[step.verb])):
            yield Cut(step, column, operator if step.verb == "keep" else _OPPOSITE[operator], number)
    elif step.verb.startswith("top_") and not value.get("per"):
        first = str(next(iter(value.get("by") or ()), ""))
        if first:
            yield Cut(step, first.removeprefix("-"), ">=" if first.startswith("-") else "<=", None)


def _comparisons(expression: str) -> list[tuple[str, str, float]]:
    """(column, operator, number) of each plain comparison, in the order written."""
    plain = _QUOTED.sub(lambda quoted: "'" + "_" * (len(quoted.group()) - 2) + "'", expression)
    found: list[tuple[int, str, str, float]] = []
    for match in _BETWEEN.finditer(plain):
        column, low, high = match.groups()
        found += [(match.start(), column, ">=", float(low)), (match.start(), column, "<=", float(high))]
    for match in _COMPARISON.finditer(plain):
        found.append((match.start(), match[1], match[2], float(match[3])))
    for match in _REVERSED.finditer(plain):
        found.append((match.start(), match[3], _MIRROR[match[2]], float(match[1])))
    return [
        (column, operator, number)
        for start, column, operator, number in sorted(found, key=lambda each: each[0])
        if not _ARITHMETIC_BEFORE.search(plain[:start])
    ]
