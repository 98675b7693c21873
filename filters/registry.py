"""Which scorers exist, and how an entry of a recipe's `score:` list becomes one.

In: `"image_facts"` or `{"clip": {"model": ..., "as": ...}}`. Out: a checked scorer, or a Refusal that lists what
exists. Importing this module imports no model library.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from filters.clip import Clip
from filters.contacts import Contacts
from filters.image_facts import ImageFacts
from filters.language import Language
from filters.pdq import Pdq
from filters.pixel_hash import PixelHash
from filters.scorer import Scorer
from filters.script_facts import ScriptFacts
from filters.text_facts import TextFacts
from schemas.refusal import Refusal, unknown

Entry = str | Mapping[str, Any]

SCORERS: Mapping[str, type[Scorer]] = {
    "clip": Clip,
    "contacts": Contacts,
    "image_facts": ImageFacts,
    "language": Language,
    "pdq": Pdq,
    "pixel_hash": PixelHash,
    "script_facts": ScriptFacts,
    "text_facts": TextFacts,
}


def make_scorer(entry: Entry) -> Scorer:
    """The scorer of one recipe entry."""
    name, options = _split(entry)
    if name not in SCORERS:
        raise unknown("scorer", name, SCORERS, where="score")
    kind = SCORERS[name]
    known = _options(kind)
    for given, value in options.items():
        if given not in known:
            raise unknown("option", str(given), known, where=f"scorer {name!r}")
        _check_type(name, given, value, typing.get_type_hints(kind)[known[given].name])
    return kind(**{known[given].name: value for given, value in options.items()})


def make_scorers(entries: Iterable[Entry]) -> tuple[Scorer, ...]:
    """The scorers of a whole `score:` list; two may share neither a label nor a column."""
    scorers = tuple(make_scorer(entry) for entry in entries)
    labels: set[str] = set()
    makers: dict[str, str] = {}
    for scorer in scorers:
        if scorer.label in labels:
            raise Refusal(f"score: two scorers are called {scorer.label!r}; give one another name with `as`")
        labels.add(scorer.label)
        for column in scorer.outputs:
            if column in makers:
                raise Refusal(f"score: {makers[column]!r} and {scorer.label!r} both make the column {column!r}")
            makers[column] = scorer.label
    return scorers


def describe(name: str | None = None) -> str:
    """All scorers, a line each; or one of them whole: options with defaults, inputs, columns, source."""
    if name is None:
        width = max(map(len, SCORERS))
        return "\n".join(f"{each:{width}}  {_summary(kind)}" for each, kind in sorted(SCORERS.items()))
    if name not in SCORERS:
        raise unknown("scorer", name, SCORERS)
    kind = SCORERS[name]
    scorer = kind()
    lines = [f"{name} (version {kind.version}): {_summary(kind)}"]
    lines += [f"  {line}".rstrip() for line in inspect.cleandoc(kind.__doc__ or "").splitlines()[1:]]
    lines += ["", "options"]
    lines += [
        f"  {given} ({_default(option)}): {option.metadata.get('doc', '')}" for given, option in _options(kind).items()
    ]
    lines += ["", f"reads: {', '.join(scorer.inputs)}", "", "columns"]
    lines += [f"  {column.name} ({column.type}): {column.meaning}" for column in scorer.columns]
    if kind.source:
        lines += ["", f"source: {kind.source}"]
    return "\n".join(lines)


def _split(entry: Entry) -> tuple[str, Mapping[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, options),) = entry.items()
        if isinstance(name, str) and (options is None or isinstance(options, Mapping)):
            return name, options or {}
    raise Refusal(f"score: expected a scorer's name, or one name with its options; given {entry!r}")


def _options(kind: type[Scorer]) -> dict[str, Field[Any]]:
    """Option names as a recipe writes them."""
    return {"as" if each.name == "alias" else each.name: each for each in fields(kind)}


def _check_type(scorer: str, name: str, value: Any, wanted: Any) -> None:
    union = isinstance(wanted, types.UnionType) or typing.get_origin(wanted) is typing.Union
    allowed = typing.get_args(wanted) if union else (wanted,)
    # True is an int to Python, never to a recipe.
    if isinstance(value, bool):
        fits = bool in allowed
    else:
        fits = isinstance(value, allowed) or (float in allowed and isinstance(value, int))
    if not fits:
        expected = " or ".join(sorted("nothing" if each is type(None) else each.__name__ for each in allowed))
        raise Refusal(f"scorer {scorer!r}: option {name!r} must be {expected}; given {value!r}")


def _summary(kind: type[Scorer]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _default(option: Field[Any]) -> str:
    if option.default is MISSING:
        return "required"
    return "default: none" if option.default is None else f"default: {option.default}"
