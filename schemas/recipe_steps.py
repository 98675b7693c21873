"""The steps of `preselect` and `select`: rules over a row's columns, and contests among rows.

In: a list of a recipe. Out: frozen steps, in order; a row's reason is that of the first step that it fails.

    - keep: clip_similarity >= 0.3        # a row stays only where the expression is true: unknown (null) goes
      reason: clip_below_threshold
    - drop: text_length < 5               # a row goes only where the expression is true: unknown (null) stays
      reason: text_too_short
    - unique: [url, text]                 # of the rows that agree in all of these, one stays
      prefer: [-clip_similarity, width]   # the highest, then the lowest of ..., then the order of uids
      reason: duplicate                   # the default
    - top_fraction: 0.3                   # so many of the rows that came this far, rounded down
      by: [-clip_similarity]              # the best come first, as in `prefer`
      per: [language]                     # of each group, not of all; optional
      reason: below_top_fraction          # the default
    - top_k: 20000                        # the same with a count
      by: [-clip_similarity]
      reason: below_top_k                 # the default
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.reasons import FAILURES, KEPT, is_rule_reason
from schemas.recipe_text import Place, expect_keys, expect_list, expect_mapping, expect_text

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Rule:
    """An expression that judges a row by its own columns. verb: `keep` or `drop`."""

    verb: str
    expression: str
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {self.verb: self.expression, "reason": self.reason}


@dataclass(frozen=True)
class Preference:
    """A column that says which row is the better one."""

    column: str
    descending: bool

    def to_json(self) -> str:
        return f"-{self.column}" if self.descending else self.column


@dataclass(frozen=True)
class Unique:
    """Of the rows that agree in all `columns` one stays: the first by `prefer`, then by the order of uids.

    A row that has no value in one of the columns has no duplicates.
    """

    columns: tuple[str, ...]
    prefer: tuple[Preference, ...]
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {
            "unique": list(self.columns),
            "prefer": [preference.to_json() for preference in self.prefer],
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Top:
    """The first rows by `by`, then by the order of uids: a `fraction` of them or a `count`, of all or of each group.

    A row without a value comes last; rows without a value in `per` are a group of their own.
    """

    fraction: float | None
    count: int | None
    by: tuple[Preference, ...]
    per: tuple[str, ...]
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {
            **({"top_fraction": self.fraction} if self.fraction is not None else {"top_k": self.count}),
            "by": [preference.to_json() for preference in self.by],
            "per": list(self.per),
            "reason": self.reason,
        }


Step = Rule | Unique | Top

_KEYS = {
    "keep": ("reason",),
    "drop": ("reason",),
    "unique": ("prefer", "reason"),
    "top_fraction": ("by", "per", "reason"),
    "top_k": ("by", "per", "reason"),
}


def columns_of(step: Unique | Top) -> tuple[str, ...]:
    """The columns that a contest reads, each once."""
    if isinstance(step, Unique):
        named = (*step.columns, *(preference.column for preference in step.prefer))
    else:
        named = (*step.per, *(preference.column for preference in step.by))
    return tuple(dict.fromkeys(named))


def parse_steps(value: Any, place: Place) -> tuple[Step, ...]:
    """The steps of one section; two that bear one reason are refused, since counts could not tell them apart."""
    steps: list[Step] = []
    reasons: dict[str, Place] = {}
    for step in _parse_each(value, place):
        if step.reason in reasons:
            first = reasons[step.reason]
            raise step.place.refusal(f"the reason {step.reason!r} is already that of {first.dotted}; name another")
        reasons[step.reason] = step.place
        steps.append(step)
    return tuple(steps)


def _parse_each(value: Any, place: Place) -> Iterator[Step]:
    for number, item in enumerate(expect_list(value, place)):
        here = place.at(number)
        mapping = expect_mapping(item, here)
        verbs = [key for key in mapping if key in _KEYS]
        if len(verbs) != 1:
            raise here.refusal(f"expected a step with one of {', '.join(_KEYS)}; given keys: {_listed(mapping)}")
        verb = verbs[0]
        expect_keys(mapping, (verb, *_KEYS[verb]), here)
        yield _parse_step(verb, mapping, here)


def _parse_step(verb: str, mapping: dict[str, Any], here: Place) -> Step:
    if verb in ("keep", "drop"):
        if "reason" not in mapping:
            raise here.refusal(f"a {verb!r} rule needs a reason: a name that its counts bear")
        expression = expect_text(mapping[verb], here.at(verb))
        return Rule(verb, expression, _reason(mapping["reason"], here.at("reason")), here)
    if verb == "unique":
        reason = _reason(mapping.get("reason", "duplicate"), here.at("reason"))
        prefer = _preferences(mapping.get("prefer", []), here.at("prefer"))
        return Unique(_columns(mapping[verb], here.at(verb)), prefer, reason, here)
    if not mapping.get("by"):
        raise here.refusal(f"{verb!r} needs `by`: the columns to order rows by, such as [-clip_similarity]")
    fraction = _fraction(mapping[verb], here.at(verb)) if verb == "top_fraction" else None
    count = _count(mapping[verb], here.at(verb)) if verb == "top_k" else None
    by = _preferences(mapping["by"], here.at("by"))
    per = _columns(mapping["per"], here.at("per")) if "per" in mapping else ()
    reason = _reason(mapping.get("reason", f"below_{verb}"), here.at("reason"))
    return Top(fraction, count, by, per, reason, here)


def _reason(value: Any, place: Place) -> str:
    name = expect_text(value, place)
    if name == KEPT or name in FAILURES:
        raise place.refusal(f"{name!r} is a reason of our own, not a rule's; name what the rule finds, such as no_text")
    if not is_rule_reason(name):
        raise place.refusal(f"expected a reason of lower-case words joined by `_`, at most 64 letters; given {name!r}")
    return name


def _columns(value: Any, place: Place) -> tuple[str, ...]:
    names = tuple(
        expect_text(item, place.at(number)) for number, item in enumerate(expect_list(value, place, filled=True))
    )
    for number, name in enumerate(names):
        if not _COLUMN.fullmatch(name):
            raise place.at(number).refusal(f"expected the name of a column; given {name!r}")
        if name in names[:number]:
            raise place.at(number).refusal(f"the column {name!r} is named twice")
    return names


def _preferences(value: Any, place: Place) -> tuple[Preference, ...]:
    found: list[Preference] = []
    for number, item in enumerate(expect_list(value, place)):
        name = expect_text(item, place.at(number))
        column = name.removeprefix("-")
        if not _COLUMN.fullmatch(column):
            raise place.at(number).refusal(f"expected a column, with `-` before it for highest first; given {name!r}")
        if column in [preference.column for preference in found]:
            raise place.at(number).refusal(f"the column {column!r} is named twice")
        found.append(Preference(column, descending=name.startswith("-")))
    return tuple(found)


def _fraction(value: Any, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise place.refusal(f"expected a share above 0 and up to 1; given {value!r}")
    return float(value)


def _count(value: Any, place: Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise place.refusal(f"expected a whole number of at least 1; given {value!r}")
    return value


def _listed(mapping: dict[str, Any]) -> str:
    return ", ".join(mapping) or "none"
