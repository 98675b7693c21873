"""A sample's texts, made of its original text and its captions by the definitions of a recipe.

In: definitions (schemas/recaption_texts.py), a sample's columns, a seed, its uid, an epoch. Out: by name, a text, a
list of texts, or None where there is nothing. A job calls it once, with epoch 0; a loader calls it as often as it reads
a sample, with the epoch at hand: the same function gives the same texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from captioners.draws import Draws
from captioners.texts import (
    block,
    by_syntax,
    cut_at_full_stop,
    first_sentence,
    merged_sub_captions,
    one_sentence,
    random_tokens,
    sample_sub_captions,
    shear,
    sub_captions,
    truncated,
    words,
)
from schemas.recaption_texts import MANY, Chain, Definition, Draw, Template, TextStep

Made = str | list[str] | None
# From words, in their order in a text, to their parts of speech in the Penn Treebank's tags.
Tagger = Callable[[Sequence[str]], list[str]]


def make_texts(
    definitions: Sequence[Definition],
    sample: Mapping[str, Any],
    *,
    kinds: Mapping[str, str],
    seed: int,
    uid: str,
    epoch: int = 0,
    tagger: Tagger | None = None,
) -> dict[str, Made]:
    """All texts of a sample. kinds: of each, whether it is one or many: `Recaption.text_kinds`."""
    known = _Sources(sample)
    made: dict[str, Made] = {}
    for definition in definitions:
        draws = Draws("texts", seed, definition.name, uid, epoch)
        texts = _make(definition, known, draws, tagger)
        known.made[definition.name] = texts
        if kinds[definition.name] == MANY:
            made[definition.name] = texts or None
        else:
            made[definition.name] = texts[0] if texts else None
    return made


class _Sources:
    """The texts that definitions are made of, by name."""

    def __init__(self, sample: Mapping[str, Any]) -> None:
        self._sample = sample
        self.made: dict[str, list[str]] = {}

    def texts(self, name: str) -> list[str]:
        if name in self.made:
            return list(self.made[name])
        found = self._sample.get(f"{name}_captions") or self._sample.get(name)
        several = found if isinstance(found, (list, tuple)) else [found]
        return [text.strip() for text in several if isinstance(text, str) and text.strip()]

    def first(self, name: str) -> str | None:
        """The one text that stands for a source: a captioner's chosen caption."""
        if name not in self.made and isinstance(self._sample.get(name), str):
            return str(self._sample[name]).strip() or None
        return next(iter(self.texts(name)), None)

    def most_similar(self, name: str) -> list[str]:
        """The text of a captioner with the highest similarity, the first of equals; the first where none is known."""
        texts = self.texts(name)
        similarities = self._sample.get(f"{name}_similarities") or []
        if len(similarities) != len(texts) or any(value is None for value in similarities):
            return texts[:1]
        return [texts[max(range(len(texts)), key=lambda place: (similarities[place], -place))]] if texts else []


def _make(definition: Definition, known: _Sources, draws: Draws, tagger: Tagger | None) -> list[str]:
    if isinstance(definition, Template):
        values = {name: known.first(name) for name in definition.reads}
        filled = {name: value for name, value in values.items() if value is not None}
        return [definition.fill(filled)] if len(filled) == len(values) else []
    if isinstance(definition, Draw):
        return _drawn(definition, known, draws)
    return _chained(definition, known, draws, tagger)


def _drawn(draw: Draw, known: _Sources, draws: Draws) -> list[str]:
    at = draws.share()
    there = [
        (texts, share) for name, share in zip(draw.sources, draw.shares, strict=True) if (texts := known.texts(name))
    ]
    if not there:
        return []
    whole = sum(share for _, share in there)
    below = 0.0
    chosen = there[-1][0]
    for texts, share in there:
        below += share / whole if whole else 1.0
        if at < below:
            chosen = texts
            break
    return [chosen[0] if len(chosen) == 1 else draws.choice(chosen)]


def _chained(chain: Chain, known: _Sources, draws: Draws, tagger: Tagger | None) -> list[str]:
    steps = chain.steps
    if steps and steps[0].verb == "most_similar":
        texts, steps = known.most_similar(chain.sources[0]), steps[1:]
    else:
        texts = [text for name in chain.sources for text in known.texts(name)]
    for step in steps:
        texts = [text for text in _step(step, texts, known, draws, tagger) if text]
    if chain.where is not None and known.first(chain.where) is None:
        texts = []
    if not texts and chain.otherwise is not None:
        return known.texts(chain.otherwise)[:1]
    return texts


def _step(step: TextStep, texts: list[str], known: _Sources, draws: Draws, tagger: Tagger | None) -> Sequence[str]:
    if step.verb in _WHOLE:
        return _WHOLE[step.verb](texts, step.value, draws)
    if step.verb == "shear":
        return [shear(text, known.first(step.value) or "") for text in texts]
    if step.verb == "syntax":
        if tagger is None:
            raise ValueError("the step `syntax` needs a tagger of parts of speech")
        pieces = [words(text) for text in texts]
        tagged = [tagger([piece.strip() for piece in each]) for each in pieces]
        return [by_syntax(text, tags, step.value) for text, tags in zip(texts, tagged, strict=True)]
    return [_EACH[step.verb](text, step.value, draws) for text in texts]


def _sampled(texts: list[str], count: int, draws: Draws) -> list[str]:
    return sample_sub_captions(texts, draws, count=count)


def _merged(texts: list[str], options: Sequence[tuple[str, Any]], draws: Draws) -> list[str]:
    return merged_sub_captions(texts, draws, **dict(options))


_WHOLE: Mapping[str, Callable[[list[str], Any, Draws], list[str]]] = {
    "split": lambda texts, value, draws: [part for text in texts for part in sub_captions(text)],
    "unique": lambda texts, value, draws: list(dict.fromkeys(texts)),
    "first": lambda texts, value, draws: texts[:1],
    "pick": lambda texts, value, draws: [draws.choice(texts)] if texts else [],
    "join": lambda texts, value, draws: [value.join(texts)] if texts else [],
    "sample": _sampled,
    "merge": _merged,
}
_EACH: Mapping[str, Callable[[str, Any, Draws], str]] = {
    "first_sentence": lambda text, value, draws: first_sentence(text),
    "cut_at_full_stop": lambda text, value, draws: cut_at_full_stop(text),
    "one_sentence": lambda text, value, draws: one_sentence(text, draws),
    "truncate": lambda text, value, draws: truncated(text, value),
    "random": lambda text, value, draws: random_tokens(text, draws, value),
    "block": lambda text, value, draws: block(text, draws, value),
}
