"""The text of steps: each checked for its form, at its place. Whether columns exist is checked in `filters.rules`.

In: the list of a recipe's `preselect` or `select`. Out: steps, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from schemas.reasons import FAILURES, KEPT, is_rule_reason
from schemas.recipe_steps import (
    CUTS,
    LISTED_BY,
    Balance,
    Listed,
    Mix,
    Part,
    Preference,
    Rule,
    Sample,
    Step,
    Top,
    Unique,
)
from schemas.recipe_text import Place, expect_keys, expect_list, expect_mapping, expect_text

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS = {
    "keep": ("reason",),
    "drop": ("reason",),
    "keep_listed": ("reason",),
    "drop_listed": ("reason",),
    "balance": ("seed", "reason"),
    "unique": ("prefer", "reason"),
    "top_fraction": ("by", "per", "cut", "unless", "reason"),
    "top_k": ("by", "per", "cut", "unless", "reason"),
    "sample": ("seed", "per", "reason"),
    "mix": ("seed", "reason"),
}
MOST_PARTS = 16


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
    if verb in ("keep_listed", "drop_listed"):
        return _parse_listed(verb, mapping, here)
    if verb in ("balance", "mix"):
        default = "not_drawn" if verb == "balance" else "beyond_share"
        seed = _seed(mapping.get("seed", 0), here.at("seed"))
        reason = _reason(mapping.get("reason", default), here.at("reason"))
        if verb == "balance":
            return Balance(expect_text(mapping[verb], here.at(verb)), seed, reason, here)
        return Mix(_parts(mapping[verb], here.at(verb)), seed, reason, here)
    if verb == "unique":
        reason = _reason(mapping.get("reason", "duplicate"), here.at("reason"))
        prefer = _preferences(mapping.get("prefer", []), here.at("prefer"))
        return Unique(_columns(mapping[verb], here.at(verb)), prefer, reason, here)
    per = _columns(mapping["per"], here.at("per")) if "per" in mapping else ()
    if verb == "sample":
        size = mapping[verb]
        whole = isinstance(size, int)
        return Sample(
            fraction=None if whole else _fraction(size, here.at(verb)),
            count=_count(size, here.at(verb)) if whole else None,
            seed=_seed(mapping.get("seed", 0), here.at("seed")),
            per=per,
            reason=_reason(mapping.get("reason", "not_sampled"), here.at("reason")),
            place=here,
        )
    if not mapping.get("by"):
        raise here.refusal(f"{verb!r} needs `by`: the columns to order rows by, such as [-clip_similarity]")
    return Top(
        fraction=_fraction(mapping[verb], here.at(verb)) if verb == "top_fraction" else None,
        count=_count(mapping[verb], here.at(verb)) if verb == "top_k" else None,
        by=_preferences(mapping["by"], here.at("by")),
        per=per,
        reason=_reason(mapping.get("reason", f"below_{verb}"), here.at("reason")),
        place=here,
        cut=_cut(mapping.get("cut", "places"), here.at("cut")),
        unless=expect_text(mapping["unless"], here.at("unless")) if "unless" in mapping else None,
    )


def _parse_listed(verb: str, mapping: dict[str, Any], here: Place) -> Listed:
    inner = here.at(verb)
    options = expect_mapping(mapping[verb], inner)
    expect_keys(options, ("by", "of", "file"), inner)
    by = options.get("by")
    if by not in LISTED_BY:
        raise inner.at("by").refusal(f"expected one of {', '.join(LISTED_BY)}; given {by!r}")
    column = "url" if by == "domain" else by
    if "of" in options:
        (column,) = _columns([options["of"]], inner.at("of"))
    if "file" not in options:
        raise inner.refusal("expected `file`: the list, such as given:blocked")
    reason = _reason(mapping.get("reason", "listed" if verb == "drop_listed" else "not_listed"), here.at("reason"))
    return Listed(verb, by, column, expect_text(options["file"], inner.at("file")), reason, here)


def _parts(value: Any, place: Place) -> tuple[Part, ...]:
    parts = []
    for number, item in enumerate(expect_list(value, place, filled=True)):
        here = place.at(number)
        mapping = expect_mapping(item, here)
        expect_keys(mapping, ("share", "where"), here)
        if mapping.keys() != {"share", "where"}:
            raise here.refusal(f"expected a part as {{share: 0.9, where: language = 'en'}}; given {_listed(mapping)}")
        where = expect_text(mapping["where"], here.at("where"))
        parts.append(Part(_fraction(mapping["share"], here.at("share")), where))
    if len(parts) > MOST_PARTS:
        raise place.refusal(f"expected at most {MOST_PARTS} parts; given {len(parts)}")
    whole = sum(Decimal(repr(part.share)) for part in parts)
    if whole != 1:
        raise place.refusal(f"expected shares that add up to 1; given {whole}")
    return tuple(parts)


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


def _seed(value: Any, place: Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise place.refusal(f"expected a whole number; given {value!r}")
    return value


def _cut(value: Any, place: Place) -> str:
    if value not in CUTS:
        raise place.refusal(f"expected one of {', '.join(CUTS)}; given {value!r}")
    return str(value)


def _listed(mapping: dict[str, Any]) -> str:
    return ", ".join(mapping) or "none"
