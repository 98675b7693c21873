"""Texts made when a sample is read: the loader's side of a recipe whose `texts_at` is `read`.

In: `dataset/texts.json` of a data set, samples' json, an epoch. Out: the sample's texts, by name: the same for the
same sample, seed and epoch, on every machine and in every worker; others in the next epoch. It needs no library but
PyYAML.

    texts = load_texts("shards/base/dataset/texts.json")
    texts.apply(json.loads(sample["json"]), epoch=3)["recap"]

    # as a step of a WebDataset, before batching; `epoch` may be anything with a `.value` that workers share
    webdataset.WebDataset(urls).map(TextOf(texts, "recap", epoch=shared_epoch)).to_tuple("jpg", "txt")
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from captioners.draws import Draws
from captioners.made_texts import Made, Tagger, make_texts
from schemas.recaption_texts import MANY, ONE, ORIGINAL, Chain, Definition, parse_texts
from schemas.recipe_text import Place
from schemas.refusal import Refusal, unknown

VERSION = 1
_CAPTION = "caption"


class Epoch(Protocol):
    """A number that whoever trains raises: multiprocessing.Value, or open_clip's SharedEpoch."""

    @property
    def value(self) -> int: ...


@dataclass(frozen=True)
class ReadTexts:
    """What a data set says of its texts. kinds: of each, whether it is one text or many."""

    recipe: str
    seed: int
    definitions: tuple[Definition, ...]
    kinds: Mapping[str, str] = field(hash=False)

    @property
    def needs_tagger(self) -> bool:
        """Whether a text keeps words by their part of speech."""
        return any(step.verb == "syntax" for each in self.definitions if isinstance(each, Chain) for step in each.steps)

    def apply(self, sample: Mapping[str, Any], epoch: int, *, tagger: Tagger | None = None) -> dict[str, Made]:
        """All texts of a sample, None where there is none. sample: its json, with `uid`."""
        uid = sample.get("uid")
        if not isinstance(uid, str):
            raise ValueError("the sample's json has no uid")
        # In a data set's json the original text is `text`, in those of img2dataset `caption`.
        known = sample if ORIGINAL in sample else {**sample, ORIGINAL: sample.get(_CAPTION)}
        return make_texts(
            self.definitions, known, kinds=self.kinds, seed=self.seed, uid=uid, epoch=epoch, tagger=tagger
        )


def load_texts(path: str | Path) -> ReadTexts:
    """The texts.json of a data set. Raises Refusal where it is none, or of another version."""
    return parse_reading(json.loads(Path(path).read_text(encoding="utf-8")), where=str(path))


def parse_reading(given: Any, *, where: str) -> ReadTexts:
    """The same, from what such a file holds."""
    wanted = ("version", "recipe", "seed", "texts", "kinds")
    if not isinstance(given, Mapping) or any(name not in given for name in wanted):
        raise Refusal(f"{where}: expected an object with {', '.join(wanted)}")
    if given["version"] != VERSION:
        raise Refusal(f"{where}: expected version {VERSION}; given {given['version']!r}")
    definitions = parse_texts(given["texts"], Place(where).at("texts"))
    kinds = given["kinds"]
    for definition in definitions:
        if not isinstance(kinds, Mapping) or kinds.get(definition.name) not in (ONE, MANY):
            raise Refusal(f"{where}: expected in kinds one of {ONE}, {MANY} for {definition.name!r}; given {kinds!r}")
    return ReadTexts(str(given["recipe"]), int(given["seed"]), definitions, dict(kinds))


class TextOf:
    """A step of a loader: puts one of the texts into a sample, drawn where it is many.

    In: a sample of WebDataset, whose `json` is bytes or decoded. Out: the same with the text under `into`; the original
    where there is none.
    """

    def __init__(
        self, texts: ReadTexts, name: str, *, epoch: Epoch | int = 0, into: str = "txt", tagger: Tagger | None = None
    ) -> None:
        if name not in texts.kinds:
            raise unknown("text", name, texts.kinds, where=f"texts of {texts.recipe!r}")
        if texts.needs_tagger and tagger is None:
            raise Refusal(f"texts of {texts.recipe!r}: the step `syntax` needs a tagger of parts of speech")
        self._texts = texts
        self._name = name
        self._epoch = epoch
        self._into = into
        self._tagger = tagger

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        told = sample["json"]
        columns = told if isinstance(told, Mapping) else json.loads(told)
        epoch = self._epoch if isinstance(self._epoch, int) else self._epoch.value
        made = self._texts.apply(columns, epoch, tagger=self._tagger)[self._name]
        original = columns.get(ORIGINAL, columns.get(_CAPTION)) or ""
        return {**sample, self._into: self._one(made, columns["uid"], epoch) or original}

    def _one(self, made: Made, uid: str, epoch: int) -> str | None:
        if made is None or isinstance(made, str):
            return made
        texts: Sequence[str] = made
        return Draws("read", self._texts.seed, self._name, uid, epoch).choice(texts) if texts else None
