"""Captioners as they are asked: each with its prompt and its model's name, and what fills the prompt of a row.

In: captioners of a recipe, prompts, models' names; a row's columns and the captions that earlier captioners gave it.
Out: plans, in levels that need only the levels before them; the values of placeholders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from captioners.captioner import Request
from captioners.prompts import Prompt
from captioners.texts import joined_alts
from schemas.recaption import Captioner, Source

# What fills a placeholder where the recipe says nothing.
COLUMNS_OF: Mapping[str, str] = {
    "alt": "text",
    "page_title": "page_title",
    "heading": "heading",
    "before": "text_before",
    "after": "text_after",
}
CONSTANTS_OF: Mapping[str, str] = {"language": "English"}
_LISTS_OF_CAPTIONS = ("captions", "candidates", "references")
_BETWEEN: Mapping[str, str] = {**dict.fromkeys(_LISTS_OF_CAPTIONS, "\n"), "neighbours": "; ", "alt": "; "}


@dataclass(frozen=True)
class Plan:
    """A captioner ready to be asked. before: the labels of those before it in the recipe, in order."""

    captioner: Captioner
    prompt: Prompt | None
    model_id: str
    before: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.captioner.label

    @property
    def sees(self) -> bool:
        """Whether the picture goes with the prompt."""
        if self.captioner.image is not None:
            return self.captioner.image
        return self.prompt.image if self.prompt is not None else True

    @property
    def runs_here(self) -> bool:
        """Whether its model runs on the worker, and not behind a URL."""
        return self.captioner.engine.engine != "endpoint"

    @property
    def prompt_id(self) -> str | None:
        return self.prompt.id if self.prompt is not None else None

    def sources(self, placeholder: str) -> tuple[Source, ...]:
        """What fills a placeholder; none where nobody says."""
        if placeholder in self.captioner.given:
            return self.captioner.given[placeholder]
        if placeholder == "caption":
            return tuple(Source(label) for label in self.before[-1:])
        if placeholder == "captions":
            return tuple(Source(label) for label in self.before)
        if placeholder in CONSTANTS_OF:
            return (Source(constant=CONSTANTS_OF[placeholder]),)
        return (Source(COLUMNS_OF[placeholder]),) if placeholder in COLUMNS_OF else ()

    @property
    def placeholders(self) -> tuple[str, ...]:
        return self.prompt.placeholders if self.prompt is not None else ()

    def _names(self) -> list[str]:
        named = [source.name for each in self.placeholders for source in self.sources(each) if source.constant is None]
        return list(dict.fromkeys(named))

    @property
    def needs(self) -> tuple[str, ...]:
        """The labels of the captioners whose captions it reads."""
        return tuple(name for name in self._names() if name in self.before)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a sample that it reads."""
        return tuple(name for name in self._names() if name not in self.before)

    def fill(self, row: Mapping[str, Any], captions: Mapping[str, Sequence[str]]) -> str | None:
        """The prompt of a row; None where an earlier captioner gave no caption that it asks for.

        captions: of each earlier captioner the accepted ones, the chosen one first.
        """
        if self.prompt is None:
            return ""
        values: dict[str, str] = {}
        for placeholder in self.placeholders:
            found: list[str] = []
            for source in self.sources(placeholder):
                if source.constant is not None:
                    found.append(source.constant)
                elif source.name in self.before:
                    said = captions[source.name]
                    if not said and placeholder not in _LISTS_OF_CAPTIONS:
                        return None
                    found += said if placeholder in _LISTS_OF_CAPTIONS else said[:1]
                else:
                    found += _texts(row.get(source.name))
            if not found and placeholder in _LISTS_OF_CAPTIONS:
                return None
            several = placeholder == "alt" and len(found) > 1
            values[placeholder] = joined_alts(found) if several else _BETWEEN.get(placeholder, ", ").join(found)
        return self.prompt.fill(values)

    def request(self, prompt: str, *, image_id: str | None) -> Request:
        """The question, but for its picture."""
        system = self.prompt.system if self.prompt is not None else None
        return Request(self.model_id, prompt, self.captioner.decoding, system=system, image_id=image_id)

    def configuration(self) -> dict[str, Any]:
        """All that decides its captions, as JSON."""
        prompt = None
        if self.prompt is not None:
            prompt = {"id": self.prompt.id, "text": self.prompt.text, "system": self.prompt.system}
        given = {name: [source.to_json() for source in self.sources(name)] for name in self.placeholders}
        return {**self.captioner.to_json(), "prompt": prompt, "input": given, "model": self.model_id, "sees": self.sees}


def levels(plans: Sequence[Plan]) -> list[list[Plan]]:
    """Plans in levels: each needs captions of the levels before it alone."""
    depth: dict[str, int] = {}
    found: list[list[Plan]] = []
    for plan in plans:
        depth[plan.label] = max((depth[label] + 1 for label in plan.needs), default=0)
        while len(found) <= depth[plan.label]:
            found.append([])
        found[depth[plan.label]].append(plan)
    return found


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    several = value if isinstance(value, (list, tuple)) else [value]
    return [str(each) for each in several if each is not None and str(each).strip()]
