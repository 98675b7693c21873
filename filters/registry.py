"""Which scorers exist, and how an entry of a recipe's `score:` list becomes one.

In: `"image_facts"` or `{"clip": {"model": ..., "as": ...}}`. Out: a checked scorer, or a Refusal that lists what
exists. Importing this module imports no model library.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from filters.blocklist import Blocklist, Profanity
from filters.callables import UserCode
from filters.clean_text import CleanText
from filters.clip import Clip
from filters.clip_tags import ClipTags
from filters.clip_without_text import ClipWithoutText
from filters.concreteness import Concreteness
from filters.contacts import Contacts
from filters.faces import Faces
from filters.graphics import Graphics
from filters.heads import EmbeddingHead
from filters.image_facts import ImageFacts
from filters.language import Language
from filters.nsfw import Nsfw
from filters.parse_facts import ParseFacts
from filters.pdq import Pdq
from filters.pixel_hash import PixelHash
from filters.scorer import Scorer, plain
from filters.script_facts import ScriptFacts
from filters.similarities import TaskSimilarity, TextSimilarity
from filters.text_facts import TextFacts
from filters.text_in_image import TextInImage
from schemas.refusal import Refusal, unknown

Entry = str | Mapping[str, Any]

SCORERS: Mapping[str, type[Scorer]] = {
    "blocklist": Blocklist,
    "callable": UserCode,
    "clean_text": CleanText,
    "clip": Clip,
    "clip_tags": ClipTags,
    "clip_without_text": ClipWithoutText,
    "concreteness": Concreteness,
    "contacts": Contacts,
    "faces": Faces,
    "graphics": Graphics,
    "head": EmbeddingHead,
    "image_facts": ImageFacts,
    "language": Language,
    "nsfw": Nsfw,
    "parse_facts": ParseFacts,
    "pdq": Pdq,
    "pixel_hash": PixelHash,
    "profanity": Profanity,
    "script_facts": ScriptFacts,
    "task_similarity": TaskSimilarity,
    "text_facts": TextFacts,
    "text_in_image": TextInImage,
    "text_similarity": TextSimilarity,
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
    return kind(**{known[given].name: _frozen(value) for given, value in options.items()})


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


def check_needs(scorers: Iterable[Scorer]) -> None:
    """Raises Refusal unless each scorer stands behind those whose embeddings it reads."""
    embedding: list[str] = []
    for scorer in scorers:
        for need in scorer.needs:
            if need.label not in embedding:
                known = ", ".join(embedding) or "none"
                raise Refusal(
                    f"score: {scorer.label!r} reads the embeddings of {need.label!r}, and no scorer before it stores "
                    f"such; known: {known}"
                )
        if scorer.embeds:
            embedding.append(scorer.label)


def check_files(scorers: Iterable[Scorer]) -> None:
    """Raises Refusal where a file that a scorer names is absent or does not fit; to be called at launch."""
    made = {scorer.label: scorer for scorer in scorers}
    for scorer in made.values():
        scorer.check_files({need.label: made[need.label] for need in scorer.needs})


def check_code(scorers: Iterable[Scorer], allowed: Collection[str]) -> None:
    """Raises Refusal where a scorer would run code of a module that the command line does not allow."""
    for scorer in scorers:
        if scorer.code_module is not None and scorer.code_module not in allowed:
            raise Refusal(
                f"score: {scorer.label!r} would run code of the module {scorer.code_module!r}; a recipe may do so only "
                f"with --allow-code {scorer.code_module}"
            )


def describe(name: str | None = None) -> str:
    """All scorers, a line each; or one of them whole: options with defaults, inputs, columns, source."""
    if name is None:
        width = max(map(len, SCORERS))
        return "\n".join(f"{each:{width}}  {_summary(kind)}" for each, kind in sorted(SCORERS.items()))
    if name not in SCORERS:
        raise unknown("scorer", name, SCORERS)
    kind = SCORERS[name]
    scorer = make_scorer({name: kind.example})
    lines = [f"{name} (version {kind.version}): {_summary(kind)}"]
    lines += [f"  {line}".rstrip() for line in inspect.cleandoc(kind.__doc__ or "").splitlines()[1:]]
    lines += ["", "options"]
    lines += [
        f"  {given} ({_default(option)}): {option.metadata.get('doc', '')}" for given, option in _options(kind).items()
    ]
    reads = [*scorer.inputs, *(f"{need.side} embeddings of {need.label!r}" for need in scorer.needs)]
    lines += ["", f"reads: {', '.join(reads)}", "", "columns"]
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
    return {each.metadata.get("given", each.name): each for each in fields(kind)}


def _check_type(scorer: str, name: str, value: Any, wanted: Any) -> None:
    union = isinstance(wanted, types.UnionType) or typing.get_origin(wanted) is typing.Union
    allowed = typing.get_args(wanted) if union else (wanted,)
    if not any(_fits(value, each) for each in allowed):
        expected = " or ".join(sorted(_named(each) for each in allowed))
        raise Refusal(f"scorer {scorer!r}: option {name!r} must be {expected}; given {value!r}")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of a recipe is of a type: a tuple is a list there, a Mapping has texts as keys."""
    if isinstance(value, bool):
        # True is an int to Python, never to a recipe.
        return kind is bool
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(each, inner[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            isinstance(key, str) and any(_fits(each, one) for one in _members(inner[1])) for key, each in value.items()
        )
    return isinstance(value, kind) or (kind is float and isinstance(value, int))


def _members(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _named(kind: Any) -> str:
    if kind is type(None):
        return "nothing"
    if typing.get_origin(kind) is tuple:
        return f"a list of {typing.get_args(kind)[0].__name__}"
    return "a mapping" if typing.get_origin(kind) is Mapping else str(kind.__name__)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _summary(kind: type[Scorer]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _default(option: Field[Any]) -> str:
    if option.default_factory is not MISSING:
        return f"default: {plain(option.default_factory())}"
    if option.default is MISSING:
        return "required"
    return "default: none" if option.default in (None, ()) else f"default: {plain(option.default)}"
