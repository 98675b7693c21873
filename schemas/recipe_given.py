"""What a recipe is given at launch: files and the like that it names and never places.

In: the plain values of a recipe, where `given:NAME` stands for what `--given NAME=VALUE` says, and its section `given`,
which says of each name what is to be given. Out: the plain values with the names filled in.

    given:
      blocked: hosts to leave out, one a line
    preselect:
      - drop_listed: {by: domain, file: given:blocked}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.recipe_text import Place, expect_mapping, expect_text
from schemas.refusal import Refusal

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_GIVEN = re.compile(r"given:(.*)", re.DOTALL)


def parse_given(arguments: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` of the command line, each name once."""
    found: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not _NAME.fullmatch(name) or not value:
            raise Refusal(f"--given: expected NAME=VALUE; given {argument!r}")
        if name in found:
            raise Refusal(f"--given: {name!r} is given twice")
        found[name] = value
    return found


def declared(value: Any, place: Place) -> dict[str, str]:
    """The section `given`: names, and what each is."""
    mapping = expect_mapping(value, place)
    for name, meaning in mapping.items():
        if not _NAME.fullmatch(name):
            raise place.refusal(f"expected a name of lower-case letters, digits and _; given {name!r}")
        expect_text(meaning, place.at(name))
    return mapping


def fill(value: Any, names: Mapping[str, str], given: Mapping[str, str], place: Place) -> tuple[Any, set[str]]:
    """A plain value with each `given:NAME` in it replaced by what is given, and the names that stand in it.

    A name that is not given stays as it is.
    """
    used: set[str] = set()
    if isinstance(value, dict):
        filled = {key: fill(item, names, given, place.at(key)) for key, item in value.items()}
        return {key: item for key, (item, _) in filled.items()}, used.union(*(more for _, more in filled.values()))
    if isinstance(value, list):
        items = [fill(item, names, given, place.at(number)) for number, item in enumerate(value)]
        return [item for item, _ in items], used.union(*(more for _, more in items))
    match = _GIVEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value, used
    if match[1] not in names:
        known = ", ".join(names) or "none"
        raise place.refusal(f"{value!r} is not declared in the recipe's section `given`; declared: {known}")
    return given.get(match[1], value), {match[1]}


def check_given(names: Mapping[str, str], given: Mapping[str, str], place: Place) -> None:
    """Raises a Refusal unless what is given is just what is asked for."""
    for name in given:
        if name not in names:
            raise place.refusal(
                f"--given: unknown name {name!r}; this recipe is given: {', '.join(names) or 'nothing'}"
            )
    for name, meaning in names.items():
        if name not in given:
            raise place.refusal(f"--given {name}=VALUE is missing: {meaning}")
