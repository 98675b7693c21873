"""Prompts as data: named, versioned, each with its source, and filled from a sample without running anything.

In: captioners/prompts.yaml, or prompts that a recipe brings. Out: Prompt, whose `fill` puts a sample's values in the
place of {names}; a name that the sample lacks is filled with nothing. Braces in a value stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from schemas.refusal import Refusal, unknown

# What a sample can fill in, and from where.
PLACEHOLDERS: Mapping[str, str] = {
    "alt": "the original text; all different ones of the image, joined by `; `, where there are several",
    "caption": "the caption that an earlier captioner of the recipe made",
    "captions": "all captions of the sample so far, a line each",
    "tags": "the tags of the image, joined by `, `",
    "ocr": "the text read in the image",
    "language": "the language to answer in",
    "page_title": "the title of the page",
    "heading": "the nearest heading above the image",
    "before": "the text just before the image",
    "after": "the text just after the image",
    "neighbours": "captions of similar images, joined by `; `",
    "grade": "the bin of the sample's score",
    "name": "a concept",
    "definition": "what the concept is",
    "image_type": "the kind of picture",
    "people": "how many people are seen",
    "places": "where it may be",
    "words": "how many words to write",
    "candidates": "captions to judge, a line each",
    "references": "captions to judge them by, a line each",
}
_NAME = re.compile(r"\{([a-z_]+)\}")
# Longer values are cut: a page's text must not push the question out of a model's window.
MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class Prompt:
    """image: whether the picture goes with it. evidence: where its words were read; approximate: what is not as
    published. One of the two stands for a published prompt."""

    name: str
    version: int
    text: str
    source: str
    system: str | None = None
    image: bool = True
    evidence: str | None = None
    approximate: str | None = None

    def __post_init__(self) -> None:
        for named in self.placeholders:
            if named not in PLACEHOLDERS:
                raise unknown("placeholder", named, PLACEHOLDERS, where=f"prompt {self.name!r}")

    @property
    def id(self) -> str:
        """What captions bear: name and version."""
        return f"{self.name}@{self.version}"

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_NAME.findall(self.text)))

    def fill(self, values: Mapping[str, object]) -> str:
        """The text with the values in place; what is missing is empty."""

        def value(found: re.Match[str]) -> str:
            given = values.get(found.group(1))
            return "" if given is None else str(given).replace("\x00", " ")[:MOST_CHARACTERS]

        return _NAME.sub(value, self.text)


def parse_prompts(given: Any, *, where: str) -> dict[str, Prompt]:
    """Prompts by name from a mapping of names to options, such as a recipe's `prompts:`."""
    if not isinstance(given, Mapping):
        raise Refusal(f"{where}: expected prompts by name; given {given!r}")
    return {str(name): _prompt(str(name), options, where) for name, options in given.items()}


def _prompt(name: str, options: Any, where: str) -> Prompt:
    if not isinstance(options, Mapping):
        raise Refusal(f"{where}: prompt {name!r}: expected its options; given {options!r}")
    known = [each.name for each in fields(Prompt) if each.name != "name"]
    for key in options:
        if key not in known:
            raise unknown("option", str(key), known, where=f"prompt {name!r}")
    missing = [key for key in ("version", "text", "source") if key not in options]
    if missing:
        raise Refusal(f"{where}: prompt {name!r} lacks {', '.join(missing)}")
    for key, value in options.items():
        wanted = {"version": int, "image": bool}.get(key, str)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise Refusal(f"{where}: prompt {name!r}: {key} must be {wanted.__name__}; given {value!r}")
    return Prompt(name=name, **options)


@lru_cache(maxsize=1)
def shipped_prompts() -> Mapping[str, Prompt]:
    """The prompts of this package."""
    text = files("captioners").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return parse_prompts(yaml.safe_load(text), where="prompts.yaml")


def find_prompt(name: str, own: Mapping[str, Prompt]) -> Prompt:
    """A recipe's own prompt of that name, or the shipped one."""
    found = own.get(name) or shipped_prompts().get(name)
    if found is None:
        raise unknown("prompt", name, {**shipped_prompts(), **own})
    return found
