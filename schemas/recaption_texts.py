"""The texts of a sample: what training reads, made of the original text and of captions.

In: the plain values of a recipe's `recaption.texts`. Out: frozen definitions, in order; each makes one column of a
text, or of a list of texts. A source is a column of texts, a captioner's label (its accepted captions) or a text
made above.

    - as: sub_captions                  # a chain: the sources' texts, and what is done to them in turn
      of: [long]
      steps: [split, {merge: {count: 8, most: 3, consecutive: 0.5}}]
      where: judge                      # a source that must be there, such as a judge's accepted answer; optional
      otherwise: text                   # the source that stands in where nothing is left; optional
    - as: recap                         # a draw: with the probability p_original the original, else the other;
      p_original: 0.8                   # whichever is there where one is not
      original: text                    # the default
      other: long
    - as: one                           # a draw among several, by weights or evenly, of those that are there
      one_of: [text, synthetic, fused]
      weights: [1, 1, 1]
    - as: merged                        # sources in braces; nothing where one of them is not there
      template: "{text}. {long}"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.recipe_text import Place, expect_keys, expect_list, expect_mapping, expect_text

ONE, MANY = "string", "list<string>"
ORIGINAL = "text"
# What a step does to a list of texts, and what it is given.
PLAIN_STEPS: Mapping[str, str] = {
    "split": "each into its sub-captions",
    "unique": "each once",
    "first_sentence": "of each",
    "cut_at_full_stop": "each up to its first full stop",
    "one_sentence": "a drawn sub-caption of each",
    "first": "the first alone",
    "pick": "one of them, drawn",
    "most_similar": "the one that CLIP finds closest to the picture; first of all steps, over one captioner",
}
COUNTED_STEPS: Mapping[str, str] = {
    "sample": "so many of them, drawn; some again where there are fewer",
    "truncate": "the first words of each",
    "random": "so many words of each, drawn, in their order",
    "block": "so many words of each that follow each other, from a drawn place on",
    "syntax": "so many words of each: nouns before adjectives before verbs before others",
}
_OTHER_STEPS = ("merge", "shear", "join")
_TO_ONE = ("first", "pick", "most_similar", "join")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SOURCE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class TextStep:
    """value: a number, a source, a separator, or the options of `merge` as pairs."""

    verb: str
    value: Any = None

    def to_json(self) -> Any:
        if self.verb == "merge":
            return {"merge": dict(self.value)}
        return self.verb if self.value is None else {self.verb: self.value}


@dataclass(frozen=True)
class Chain:
    name: str
    sources: tuple[str, ...]
    steps: tuple[TextStep, ...]
    otherwise: str | None
    place: Place
    where: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        sheared = [step.value for step in self.steps if step.verb == "shear"]
        return (*self.sources, *sheared, *(name for name in (self.where, self.otherwise) if name))

    def kind(self, known: Mapping[str, str]) -> str:
        """Whether it is one text or many, of sources of these kinds."""
        kind = known[self.sources[0]] if len(self.sources) == 1 else MANY
        for step in self.steps:
            if step.verb in _TO_ONE:
                kind = ONE
            elif step.verb in ("split", "sample", "merge"):
                kind = MANY
        return kind

    def to_json(self) -> dict[str, Any]:
        steps = [step.to_json() for step in self.steps]
        where = {} if self.where is None else {"where": self.where}
        return {"as": self.name, "of": list(self.sources), "steps": steps, **where, "otherwise": self.otherwise}


@dataclass(frozen=True)
class Draw:
    """shares: how likely each source is, adding up to 1; of those that are there."""

    name: str
    sources: tuple[str, ...]
    shares: tuple[float, ...]
    place: Place

    @property
    def reads(self) -> tuple[str, ...]:
        return self.sources

    def kind(self, known: Mapping[str, str]) -> str:
        return ONE

    def to_json(self) -> dict[str, Any]:
        return {"as": self.name, "one_of": list(self.sources), "weights": list(self.shares)}


@dataclass(frozen=True)
class Template:
    name: str
    text: str
    place: Place

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_BRACED.findall(self.text)))

    def kind(self, known: Mapping[str, str]) -> str:
        return ONE

    def fill(self, values: Mapping[str, str]) -> str:
        return _BRACED.sub(lambda found: values[found[1]], self.text)

    def to_json(self) -> dict[str, Any]:
        return {"as": self.name, "template": self.text}


Definition = Chain | Draw | Template


def parse_texts(value: Any, place: Place) -> tuple[Definition, ...]:
    """The definitions of a list; two of one name are refused."""
    found: list[Definition] = []
    for number, item in enumerate(expect_list(value, place)):
        here = place.at(number)
        definition = _definition(expect_mapping(item, here), here)
        if any(definition.name == other.name for other in found):
            raise here.refusal(f"the text {definition.name!r} is made twice")
        found.append(definition)
    return tuple(found)


def _definition(mapping: dict[str, Any], here: Place) -> Definition:
    name = expect_text(mapping.get("as"), here.at("as"))
    if not _NAME.fullmatch(name):
        raise here.at("as").refusal(f"expected a name of lower-case letters, digits and _; given {name!r}")
    forms = [key for key in ("of", "p_original", "one_of", "template") if key in mapping]
    if len(forms) != 1:
        raise here.refusal("expected one of `of`, `p_original`, `one_of`, `template`")
    if forms == ["of"]:
        expect_keys(mapping, ("as", "of", "steps", "where", "otherwise"), here)
        where, otherwise = (
            None if mapping.get(key) is None else _source(mapping[key], here.at(key)) for key in ("where", "otherwise")
        )
        return Chain(name, _sources(mapping["of"], here.at("of")), _steps(mapping, here), otherwise, here, where)
    if forms == ["p_original"]:
        expect_keys(mapping, ("as", "p_original", "original", "other"), here)
        share = mapping["p_original"]
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise here.at("p_original").refusal(
                f"expected the probability of the original text, from 0 to 1; given {share!r}"
            )
        original = _source(mapping.get("original", ORIGINAL), here.at("original"))
        other = _source(mapping.get("other"), here.at("other"))
        return Draw(name, (original, other), (float(share), 1.0 - float(share)), here)
    if forms == ["one_of"]:
        expect_keys(mapping, ("as", "one_of", "weights"), here)
        sources = _sources(mapping["one_of"], here.at("one_of"))
        return Draw(name, sources, _shares(mapping, len(sources), here), here)
    expect_keys(mapping, ("as", "template"), here)
    text = expect_text(mapping["template"], here.at("template"))
    if not _BRACED.search(text):
        raise here.at("template").refusal("expected at least one source in braces, such as {text}")
    return Template(name, text, here)


def _steps(mapping: dict[str, Any], here: Place) -> tuple[TextStep, ...]:
    steps = []
    for number, item in enumerate(expect_list(mapping.get("steps", []), here.at("steps"))):
        place = here.at("steps").at(number)
        if isinstance(item, str) and item in PLAIN_STEPS:
            if item == "most_similar" and number:
                raise place.refusal("most_similar must be the first step: later texts have no similarity")
            steps.append(TextStep(item))
            continue
        if not isinstance(item, dict) or len(item) != 1:
            known = ", ".join((*PLAIN_STEPS, *COUNTED_STEPS, *_OTHER_STEPS))
            raise place.refusal(f"expected a step, or `step: value`; given {item!r}; known: {known}")
        ((verb, value),) = item.items()
        steps.append(TextStep(verb, _step_value(verb, value, place)))
    return tuple(steps)


def _step_value(verb: str, value: Any, place: Place) -> Any:
    if verb in COUNTED_STEPS:
        return _count(value, place.at(verb))
    if verb == "shear":
        return _source(value, place.at(verb))
    if verb == "join":
        if not isinstance(value, str):
            raise place.at(verb).refusal(f"expected a separator; given {value!r}")
        return value
    if verb != "merge":
        known = ", ".join((*PLAIN_STEPS, *COUNTED_STEPS, *_OTHER_STEPS))
        raise place.refusal(f"unknown step {verb!r}; known: {known}")
    given = expect_mapping(value, place.at(verb))
    expect_keys(given, ("count", "most", "consecutive"), place.at(verb))
    options = {"count": 1, "most": 3, "consecutive": 0.5, **given}
    for name in ("count", "most"):
        _count(options[name], place.at(verb).at(name))
    share = options["consecutive"]
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise place.at(verb).at("consecutive").refusal(f"expected a share from 0 to 1; given {share!r}")
    return tuple(sorted(options.items()))


def _shares(mapping: dict[str, Any], count: int, here: Place) -> tuple[float, ...]:
    given = expect_list(mapping.get("weights", [1] * count), here.at("weights"))
    for weight in given:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
            raise here.at("weights").refusal(f"expected numbers of at least 0; given {weight!r}")
    if len(given) != count or not sum(given):
        raise here.at("weights").refusal(f"expected {count} weights, not all 0; given {given}")
    return tuple(weight / sum(given) for weight in given)


def _count(value: Any, place: Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise place.refusal(f"expected a whole number of at least 1; given {value!r}")
    return value


def _source(value: Any, place: Place) -> str:
    name = expect_text(value, place)
    if not _SOURCE.fullmatch(name):
        raise place.refusal(f"expected a column, a captioner's label or a text made above; given {name!r}")
    return name


def _sources(value: Any, place: Place) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    return tuple(_source(each, place.at(number)) for number, each in enumerate(expect_list(given, place, filled=True)))
