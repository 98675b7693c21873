"""The section `recaption`: captioners, what is accepted of what they say, and the texts that are made of it.

In: its plain values. Out: one frozen `Recaption`. Which engines, prompts and columns exist is checked at launch, where
they are known (beam_jobs/recaptioning/launching.py).

    captioners:
      - label: long                     # of its columns and its folder
        engine: transformers            # the default: transformers; vllm, endpoint, coca: see `pairmill captioners`
        model: tiny                     # the default: the shipped one
        prompt: recap_datacomp          # shipped, or of `prompts` below; none where the model takes none
        decoding: {max_tokens: 128}     # see schemas/decoding.py
        input: {caption: short}         # what fills {caption}: a column, an earlier captioner's label, or a 'text';
                                        # several in a list are joined
        image: true                     # the default: as the prompt says
        image_side: 336                 # pictures whose shorter side is longer are scaled down; null: as stored
        choose: first                   # of several accepted captions the one that stands for all; or most_similar
        objects: {detected: COLUMN, vocabulary: [cat, dog]}   # what was seen, to find what is invented; optional
        accept:                         # rules over a caption's columns and the sample's; the first that fails is
          - {drop: caption_is_refusal, reason: refusal}             # the reason, and the caption stays in the table
    similarity: clip                    # the scorer whose stored embeddings captions are held against; optional
    prompts: {name: {...}}              # own ones, as captioners/prompts.yaml has them
    texts: [definitions]                # see schemas/recaption_texts.py
    texts_at: write                     # the default: made by the job; read: written down for the loader to make
    seed: 0
    columns: [weights]                  # as a recipe's `columns`, over captions' columns; means are a shard's
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.decoding import Decoding
from schemas.keys import fingerprint
from schemas.recaption_texts import MANY, ONE, Definition, parse_texts
from schemas.recipe_columns import Weight, parse_columns
from schemas.recipe_step_forms import parse_steps
from schemas.recipe_steps import Rule
from schemas.recipe_text import Place, expect_keys, expect_list, expect_mapping, expect_text

CHOICES = ("first", "most_similar")
TEXTS_AT = ("write", "read")
TEXTS = "texts"
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEYS = ("captioners", "similarity", "prompts", "texts", "texts_at", "seed", "columns")
_CAPTIONER_KEYS = (
    "label", "engine", "model", "prompt", "decoding", "input", "image", "image_side", "choose", "objects", "accept",
)  # fmt: skip
_CONSTANT = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class EngineOptions:
    """What answers: an engine of captioners.engines, its model, and the engine's own options, given at launch."""

    engine: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        return fingerprint({"engine": self.engine, "model": self.model, "options": dict(self.options)})


@dataclass(frozen=True)
class Source:
    """What fills a placeholder: the value of a column, a captioner's caption, or a text of the recipe's own."""

    name: str = ""
    constant: str | None = None

    def to_json(self) -> str:
        return self.name if self.constant is None else f"'{self.constant}'"


@dataclass(frozen=True)
class Objects:
    """What captions are held against: a column of objects that were detected, and all that its detector knows."""

    detected: str
    vocabulary: tuple[str, ...]


@dataclass(frozen=True)
class Captioner:
    """One captioner of a recipe. given: by placeholder, what fills it."""

    label: str
    engine: EngineOptions
    prompt: str | None
    decoding: Decoding
    given: Mapping[str, tuple[Source, ...]] = field(hash=False)
    image: bool | None
    image_side: int | None
    choose: str
    accept: tuple[Rule, ...]
    place: Place
    objects: Objects | None = None

    @property
    def kind(self) -> str:
        return MANY if self.decoding.n > 1 else ONE

    def to_json(self) -> dict[str, Any]:
        """What decides its captions and what is accepted of them; the engine's own options do not."""
        return {
            "label": self.label,
            "engine": self.engine.engine,
            "model": self.engine.model,
            "prompt": self.prompt,
            "decoding": self.decoding.to_json(),
            "input": {name: [source.to_json() for source in sources] for name, sources in self.given.items()},
            "image": self.image,
            "image_side": self.image_side,
            "choose": self.choose,
            **({} if self.objects is None else {"objects": asdict(self.objects)}),
            "accept": [rule.to_json() for rule in self.accept],
        }


@dataclass(frozen=True)
class Recaption:
    """The whole section; without captioners and texts there is nothing to do."""

    captioners: tuple[Captioner, ...] = ()
    similarity: str | None = None
    prompts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    texts: tuple[Definition, ...] = ()
    texts_at: str = TEXTS_AT[0]
    seed: int = 0
    columns: tuple[Weight, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.captioners or self.texts)

    @property
    def makes_texts(self) -> bool:
        """Whether the job itself makes texts or columns of the captions."""
        return bool(self.columns or (self.texts and self.texts_at == "write"))

    def text_kinds(self, known: Mapping[str, str]) -> dict[str, str]:
        """By name of a made text, whether it is one or many; known: the same of the columns that it may be made of."""
        kinds = {**known, **{captioner.label: captioner.kind for captioner in self.captioners}}
        made = {}
        for definition in self.texts:
            for name in definition.reads:
                if kinds.get(name) not in (ONE, MANY):
                    listed = ", ".join(name for name, kind in kinds.items() if kind in (ONE, MANY))
                    raise definition.place.refusal(f"no text {name!r} to make it of; known: {listed}")
            kinds[definition.name] = made[definition.name] = definition.kind(kinds)
        return made

    def to_json(self) -> dict[str, Any]:
        if not self:
            return {}
        return {
            "captioners": [captioner.to_json() for captioner in self.captioners],
            "similarity": self.similarity,
            "prompts": dict(self.prompts),
            "texts": [definition.to_json() for definition in self.texts],
            "texts_at": self.texts_at,
            "seed": self.seed,
            "columns": [entry.to_json() for entry in self.columns],
        }


def parse_recaption(value: Any, place: Place) -> Recaption:
    """The section; two captioners of one label are refused."""
    mapping = expect_mapping(value, place)
    expect_keys(mapping, _KEYS, place)
    captioners: list[Captioner] = []
    for number, item in enumerate(expect_list(mapping.get("captioners", []), place.at("captioners"))):
        here = place.at("captioners").at(number)
        captioner = _captioner(expect_mapping(item, here), here)
        if any(captioner.label == other.label for other in captioners):
            raise here.refusal(f"two captioners are called {captioner.label!r}")
        captioners.append(captioner)
    texts_at = mapping.get("texts_at", TEXTS_AT[0])
    if texts_at not in TEXTS_AT:
        raise place.at("texts_at").refusal(f"expected one of {', '.join(TEXTS_AT)}; given {texts_at!r}")
    columns = parse_columns(mapping.get("columns", []), place.at("columns"))
    weights = tuple(entry for entry in columns if isinstance(entry, Weight))
    if len(weights) < len(columns):
        raise place.at("columns").refusal("expected weights alone: bins are made in the recipe's own `columns`")
    similarity = mapping.get("similarity")
    return Recaption(
        captioners=tuple(captioners),
        similarity=None if similarity is None else expect_text(similarity, place.at("similarity")),
        prompts=expect_mapping(mapping.get("prompts", {}), place.at("prompts")),
        texts=parse_texts(mapping.get("texts", []), place.at("texts")),
        texts_at=str(texts_at),
        seed=_whole(mapping.get("seed", 0), 0, place.at("seed")),
        columns=weights,
    )


def _captioner(mapping: dict[str, Any], here: Place) -> Captioner:
    expect_keys(mapping, _CAPTIONER_KEYS, here)
    label = expect_text(mapping.get("label"), here.at("label"))
    if not _LABEL.fullmatch(label) or label == TEXTS:
        raise here.at("label").refusal(f"expected lower-case letters, digits and _, and not {TEXTS!r}; given {label!r}")
    prompt, image, side = mapping.get("prompt"), mapping.get("image"), mapping.get("image_side", 336)
    if image is not None and not isinstance(image, bool):
        raise here.at("image").refusal(f"expected true or false; given {image!r}")
    choose = mapping.get("choose", CHOICES[0])
    if choose not in CHOICES:
        raise here.at("choose").refusal(f"expected one of {', '.join(CHOICES)}; given {choose!r}")
    engine = expect_text(mapping.get("engine", "transformers"), here.at("engine"))
    return Captioner(
        label=label,
        engine=EngineOptions(engine, expect_text(mapping.get("model", "tiny"), here.at("model"))),
        prompt=None if prompt is None else expect_text(prompt, here.at("prompt")),
        decoding=_decoding(mapping.get("decoding", {}), here.at("decoding")),
        given=_given(mapping.get("input", {}), here.at("input")),
        image=image,
        image_side=None if side is None else _whole(side, 16, here.at("image_side")),
        choose=str(choose),
        accept=_accept(mapping.get("accept", []), here.at("accept")),
        place=here,
        objects=_objects(mapping["objects"], here.at("objects")) if "objects" in mapping else None,
    )


def _objects(value: Any, place: Place) -> Objects:
    given = expect_mapping(value, place)
    expect_keys(given, ("detected", "vocabulary"), place)
    names = expect_list(given.get("vocabulary"), place.at("vocabulary"), filled=True)
    known = tuple(expect_text(name, place.at("vocabulary").at(number)) for number, name in enumerate(names))
    return Objects(expect_text(given.get("detected"), place.at("detected")), known)


def _decoding(value: Any, place: Place) -> Decoding:
    options = expect_mapping(value, place)
    expect_keys(options, tuple(asdict(Decoding())), place)
    if "stop" in options:
        options = {**options, "stop": tuple(expect_list(options["stop"], place.at("stop")))}
    try:
        return Decoding(**options)
    except ValueError as error:
        raise place.refusal(str(error)) from error


def _given(value: Any, place: Place) -> dict[str, tuple[Source, ...]]:
    found = {}
    for name, given in expect_mapping(value, place).items():
        several = given if isinstance(given, list) else [given]
        texts = [expect_text(each, place.at(name)) for each in expect_list(several, place.at(name), filled=True)]
        constants = [_CONSTANT.fullmatch(text) for text in texts]
        found[name] = tuple(
            Source(text) if constant is None else Source(constant=constant[1])
            for text, constant in zip(texts, constants, strict=True)
        )
    return found


def _accept(value: Any, place: Place) -> tuple[Rule, ...]:
    steps = parse_steps(value, place)
    rules = tuple(step for step in steps if isinstance(step, Rule))
    for step in steps:
        if not isinstance(step, Rule):
            raise step.place.refusal("expected `keep` or `drop`: a caption is accepted by itself")
    return rules


def _whole(value: Any, least: int, place: Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise place.refusal(f"expected a whole number of at least {least}; given {value!r}")
    return value
