"""The `corpus` section of a recipe: facts of a pair that only the whole corpus knows, before anything is downloaded.

In: the section's plain values. Out: frozen options with defaults, the columns that each counter reads and makes.
Anything wrong is a ValueError that says what was expected, what was given and what exists. Rows that ended at
extraction are not counted and have no value.

    corpus:
      - repeats                          # images_per_text, texts_per_image
      - hosts                            # host, host_pairs, tld, tld_pairs
      - ngrams                           # rarest_ngram_count, rarest_ngram_rank
      - concepts:                        # concepts, concept_counts, concept_number, rarest_concept,
          vocabulary: concepts.txt       # concept_min_count, concept_probability, concept_draw
          per: page_language
      - concepts: {vocabulary: classes.parquet, label: classes}   # the same counter twice needs a label of its own,
                                                                  # which its columns then begin with: classes_concepts

    preselect:
      - drop: images_per_text > 10       # ALIGN: the text of more than 10 images
      - drop: texts_per_image > 1000
      - keep: rarest_ngram_rank <= 100000000
      - keep: concept_draw < 20000       # MetaCLIP's balancing with t = 20000; another t needs no other count
      - top_k: 1000                      # at most 1000 pairs of each concept, a pair standing for its rarest
        per: [rarest_concept]
        by: [-text_length]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import pyarrow as pa

BOUNDARIES = ("padded", "scripts")

_LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _check_label(label: Any) -> None:
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise ValueError(f"label: expected lower-case words joined by `_`, at most 32 letters; given {label!r}")


def _check_column(name: str, value: Any) -> None:
    if not isinstance(value, str) or not _COLUMN.fullmatch(value):
        raise ValueError(f"{name}: expected the name of a column; given {value!r}")


def _check_whole(name: str, value: Any, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}; given {value!r}")


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false; given {value!r}")


@dataclass(frozen=True)
class _Counter:
    """What all counters share. KIND is the name under which a recipe asks for one, and its label by default."""

    KIND: ClassVar[str] = ""
    MADE: ClassVar[Mapping[str, pa.DataType]] = {}
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.KIND)
        _check_label(self.label)
        self.check()

    def check(self) -> None:
        """Raises ValueError where the options make no sense; opens no file."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the pairs that it needs."""
        raise NotImplementedError

    def column(self, name: str) -> str:
        """A column's name: as it is, or behind the label where the recipe gives one."""
        return name if self.label == self.KIND else f"{self.label}_{name}"

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """What the sidecar holds beside uid: column name to Arrow type."""
        return {self.column(name): kind for name, kind in self.MADE.items()}

    def to_json(self) -> dict[str, Any]:
        return {self.KIND: asdict(self)}


@dataclass(frozen=True)
class RepeatsOptions(_Counter):
    """How many different images bear a row's text, and how many different texts its image bears.

    image: the column that tells images apart. A row without a text has neither, and is not counted for its image.
    """

    KIND: ClassVar[str] = "repeats"
    MADE: ClassVar[Mapping[str, pa.DataType]] = {"images_per_text": pa.int64(), "texts_per_image": pa.int64()}
    text: str = "text"
    image: str = "url"

    def check(self) -> None:
        _check_column("text", self.text)
        _check_column("image", self.image)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.image, self.text)


@dataclass(frozen=True)
class HostsOptions(_Counter):
    """The host of an image's URL and its last label, in lower case, and how many pairs each has.

    An address in numbers has no `tld`.
    """

    KIND: ClassVar[str] = "hosts"
    MADE: ClassVar[Mapping[str, pa.DataType]] = {
        "host": pa.string(),
        "host_pairs": pa.int64(),
        "tld": pa.string(),
        "tld_pairs": pa.int64(),
    }

    @property
    def reads(self) -> tuple[str, ...]:
        return ("url",)


@dataclass(frozen=True)
class NgramsOptions(_Counter):
    """How frequent the rarest of a text's words and pairs of adjacent words is: its count and its rank, 1 for the most
    frequent of all. Words are divided by white space and taken in lower case.

    Those of one count share the lowest rank of them, so `rarest_ngram_rank <= N` keeps the texts all of whose n-grams
    are among the N most frequent, ties at the last place included. Counts are exact, whatever the size of the corpus,
    but for n-grams whose keys of 64 bits meet; each sidecar says how many those are expected to be.
    """

    KIND: ClassVar[str] = "ngrams"
    MADE: ClassVar[Mapping[str, pa.DataType]] = {"rarest_ngram_count": pa.int64(), "rarest_ngram_rank": pa.int64()}
    text: str = "text"

    def check(self) -> None:
        _check_column("text", self.text)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.text,)


@dataclass(frozen=True)
class ConceptsOptions(_Counter):
    """Which entries of a vocabulary a text holds, how many pairs hold each, and what balancing makes of it.

    vocabulary: a text file with an entry a line, or Parquet with one column of texts. boundary: `padded` finds an entry
    where white space or MetaCLIP's punctuation is on both its sides; `scripts` asks for that only beside letters of
    scripts that put spaces between words, as MetaCLIP 2 does. fold_case: compare in lower case (MetaCLIP does not).
    per: a column of texts; its values are counted apart. t, seed: of `concept_probability` and `concept_draw`.

    `concepts` are in the order of the vocabulary and `concept_counts` beside them; `concept_min_count` and
    `rarest_concept` are of the least frequent, the first of the vocabulary among equals. `concept_probability` is
    1 - product(1 - t / max(count, t)) over them, the chance that MetaCLIP keeps the text. `concept_draw` is the least
    of draw x count over them, the draw from 0 to 1 made of seed, uid and entry: a text is kept at t where
    concept_draw < t, which has just that chance for every t. A text without an entry has empty lists and no value in
    `concept_draw`, `concept_min_count` and `rarest_concept`.
    """

    KIND: ClassVar[str] = "concepts"
    MADE: ClassVar[Mapping[str, pa.DataType]] = {
        "concepts": pa.list_(pa.string()),
        "concept_counts": pa.list_(pa.int64()),
        "concept_number": pa.int32(),
        "rarest_concept": pa.string(),
        "concept_min_count": pa.int64(),
        "concept_probability": pa.float64(),
        "concept_draw": pa.float64(),
    }
    vocabulary: str = ""
    text: str = "text"
    boundary: str = "padded"
    fold_case: bool = False
    per: str | None = None
    t: int = 20_000
    seed: int = 0

    def check(self) -> None:
        if not isinstance(self.vocabulary, str) or not self.vocabulary:
            raise ValueError(f"vocabulary: expected a file of entries; given {self.vocabulary!r}")
        _check_column("text", self.text)
        if self.boundary not in BOUNDARIES:
            raise ValueError(f"boundary: expected one of {', '.join(BOUNDARIES)}; given {self.boundary!r}")
        _check_flag("fold_case", self.fold_case)
        if self.per is not None:
            _check_column("per", self.per)
        _check_whole("t", self.t, least=1)
        _check_whole("seed", self.seed, least=0)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("uid", self.text, *([self.per] if self.per else []))


Counter = RepeatsOptions | HostsOptions | NgramsOptions | ConceptsOptions
COUNTERS: Mapping[str, type[Counter]] = {
    kind.KIND: kind for kind in (RepeatsOptions, HostsOptions, NgramsOptions, ConceptsOptions)
}


@dataclass(frozen=True)
class CorpusOptions:
    """The counters of a recipe, in order, each under its own label."""

    counters: tuple[Counter, ...] = ()

    def __post_init__(self) -> None:
        labels = [counter.label for counter in self.counters]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"the label {twice[0]!r} stands for two counters; give one of them a `label:` of its own")

    def to_json(self) -> list[dict[str, Any]]:
        """Canonical plain values, every default written out."""
        return [counter.to_json() for counter in self.counters]


def parse_corpus(section: Any) -> CorpusOptions:
    """The options of a `corpus` section: a list of counters' names, or of `name: {option: value}`."""
    if not isinstance(section, Sequence) or isinstance(section, str):
        raise ValueError(f"expected a list of counters ({', '.join(COUNTERS)}); given {section!r}")
    return CorpusOptions(tuple(_parse_one(item) for item in section))


def _parse_one(item: Any) -> Counter:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ValueError(f"expected one counter as `name: {{options}}`; given {item!r}")
    [(kind, given)] = item.items()
    if kind not in COUNTERS:
        raise ValueError(f"unknown counter {kind!r}; known: {', '.join(COUNTERS)}")
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ValueError(f"{kind}: expected its options as a mapping; given {given!r}")
    known = [field.name for field in fields(COUNTERS[kind])]
    for name in given:
        if name not in known:
            raise ValueError(f"{kind}: unknown option {name!r}; known: {', '.join(known)}")
    try:
        return COUNTERS[kind](**given)
    except ValueError as error:
        raise ValueError(f"{kind}: {error}") from error
