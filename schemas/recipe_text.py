"""Strict YAML: plain values, each with its place, so that a refusal can say where.

In: the text of a recipe. Out: dicts, lists and scalars of YAML's safe types, and frozen sections made of them.
Refused: duplicate keys, keys that are no text, anchors and aliases, tags, several documents, too much of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from schemas.refusal import Refusal

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 20
_SAFE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))


@dataclass(frozen=True)
class Place:
    """A place of a recipe, such as `select[2].reason`; file is the recipe's name for people."""

    file: str
    path: tuple[str | int, ...] = ()

    def at(self, step: str | int) -> Place:
        return Place(self.file, (*self.path, step))

    @property
    def dotted(self) -> str:
        """The path as people write it; the third of a list is `[2]`."""
        text = ""
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text

    def refusal(self, message: str) -> Refusal:
        """A refusal that begins with this place, on one line."""
        where = f"{self.file}: {self.dotted}" if self.path else self.file
        return Refusal(" ".join(f"{where}: {message}".split()))


class _Loader(yaml.SafeLoader):
    """The safe loader, where 1e-3 is a number as in YAML 1.2, and not a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(text: str, file: str) -> Any:
    """The one document of `text` as plain values; every fault is refused with its line."""
    place = Place(file)
    if len(text) > MAX_CHARACTERS:
        raise place.refusal(f"expected at most {MAX_CHARACTERS} characters; given {len(text)}")
    loader = _Loader(text)
    try:
        _check_events(text, place)
        node = loader.get_single_node()
        return None if node is None else _value(node, place, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise place.refusal(f"{line}not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise place.refusal(f"not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _check_events(text: str, place: Place) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise place.refusal(f"{_line(event)}anchors and aliases (& and *) are not read here; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise place.refusal(f"{_line(event)}nested more than {MAX_DEPTH} deep")


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}: " if event.start_mark else ""


def _value(node: yaml.Node, place: Place, loader: _Loader) -> Any:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_value(item, place.at(number), loader) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _value(key_node, place, loader)
            if not isinstance(key, str):
                raise place.refusal(f"line {key_node.start_mark.line + 1}: expected a name as key; given {key!r}")
            if key in found:
                raise place.refusal(f"line {key_node.start_mark.line + 1}: the key {key!r} is given twice")
            found[key] = _value(value_node, place.at(key), loader)
        return found
    if isinstance(node, yaml.ScalarNode) and node.tag in _SAFE_TAGS:
        try:
            return loader.construct_object(node)
        except ValueError as error:
            raise place.refusal(f"line {line}: {node.value!r} is not what its form says: {error}") from error
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    raise place.refusal(f"line {line}: expected a text, number, true, false, list or mapping; given a {kind}")


def expect_mapping(value: Any, place: Place) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise place.refusal(f"expected a mapping of keys to values; given {kind_of(value)}")
    return value


def expect_list(value: Any, place: Place, *, filled: bool = False) -> list[Any]:
    if not isinstance(value, list) or (filled and not value):
        raise place.refusal(f"expected a list{' of at least one' if filled else ''}; given {kind_of(value)}")
    return value


def expect_text(value: Any, place: Place) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise place.refusal(f"expected a text; given {kind_of(value)}")
    return value.strip()


def expect_keys(mapping: Mapping[str, Any], known: Iterable[str], place: Place) -> None:
    known = tuple(known)
    for key in mapping:
        if key not in known:
            raise place.refusal(f"unknown key {key!r}; known: {', '.join(known) or 'none'}")


def kind_of(value: Any) -> str:
    """A value as a refusal names it, short enough for one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"a mapping of {', '.join(map(str, value))}" if value else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
