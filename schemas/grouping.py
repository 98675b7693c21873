"""The `group` section of a recipe: which groupers run, what they compare, and which copy survives.

In: the section's plain values. Out: frozen options with defaults, and the columns that each grouper makes.
Anything wrong is a ValueError that says what was expected, what was given and what exists.

    group:
      - exact: {by: sha256}
      - near: {embedding: clip, cosine: 0.96, keep: [most_pixels, -clip_similarity]}
      - perceptual: {hash: pdq, distance: 31}    # hashes that the scorer `pdq` made
      - exact: {by: url, label: same_url}        # the same grouper twice needs a label of its own
      - against: {by: [uid, url, perceptual]}    # an earlier run's images, or an evaluation set's: grouping_known.py
      - repeats                                  # counts over what was downloaded, concepts too: grouping_counts.py
      - exact: {by: pixels, texts: 5}            # survivors are given up to five texts of their copies: exact_texts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from schemas.grouping_checks import (
    MOST_HAMMING,
    check_column,
    check_keep,
    check_label,
    check_share,
    check_whole,
)
from schemas.grouping_clusters import ClustersOptions, NeighboursOptions, RetrievedOptions
from schemas.grouping_counts import CountsOptions, StoredConcepts, StoredRepeats
from schemas.grouping_known import PIXELS, AgainstOptions, DecontaminateOptions, KnownOptions, with_preset
from schemas.grouping_placeholders import PlaceholdersOptions

EXACT_KEYS = ("sha256", "pixels", "url", "text", "uid")
DEFAULT_KEEP = ("most_pixels", "longest_text")
MOST_TEXTS = 1000
# The type of a column of several texts a row.
TEXTS = "list<string>"


def _texts_column(label: str, texts: int) -> dict[str, str]:
    """The column of a survivor's copies' texts, where it is asked for."""
    return {f"{label}_texts": TEXTS} if texts else {}


@dataclass(frozen=True)
class ExactOptions:
    """Images that are equal by one key.

    by: sha256 (bytes as fetched) | pixels (as stored, by the scorer `pixel_hash`) | url (canonical form) | text | uid.
    keep: how the survivor is chosen, first preference first, ties by uid: a name of NAMED_PREFERENCES, or a column
    (`-column`: highest first). texts: how many different texts of its copies a survivor is given; 0 for no such column.
    """

    by: str = "sha256"
    keep: tuple[str, ...] = DEFAULT_KEEP
    texts: int = 0
    label: str = "exact"

    def __post_init__(self) -> None:
        if self.by not in EXACT_KEYS:
            raise ValueError(f"by: unknown key {self.by!r}; known: {', '.join(EXACT_KEYS)}")
        check_keep(self.keep)
        check_whole("texts", self.texts, most=MOST_TEXTS)
        check_label(self.label)

    @property
    def reads(self) -> tuple[str, ...]:
        """The score columns that it compares."""
        return (PIXELS,) if self.by == "pixels" else ()

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        return {
            f"{self.label}_group": "string",
            f"{self.label}_size": "int32",
            f"{self.label}_duplicate_of": "string",
            **_texts_column(self.label, self.texts),
        }


@dataclass(frozen=True)
class NearOptions:
    """Images whose embeddings are close, joined into connected components.

    cosine: two images are joined from this similarity on. also: further, higher thresholds; each is answered too, in
    columns of its own. recall: the share of pairs at the threshold that the cells must not part, measured while they
    are fitted. cells: how many; 0 takes the square root of the rows. seed: of the sample's order and the first cells.
    texts: as of ExactOptions.
    """

    embedding: str = "clip"
    cosine: float = 0.96
    also: tuple[float, ...] = ()
    keep: tuple[str, ...] = DEFAULT_KEEP
    recall: float = 0.995
    cells: int = 0
    seed: int = 0
    texts: int = 0
    label: str = "near"

    def __post_init__(self) -> None:
        for value in (self.cosine, *self.also):
            check_share("cosine", value, "similarity")
        if any(value <= self.cosine for value in self.also) or len(set(self.also)) != len(self.also):
            raise ValueError(f"also: expected different thresholds above cosine {self.cosine}; given {list(self.also)}")
        check_share("recall", self.recall, "share")
        for name in ("cells", "seed"):
            check_whole(name, getattr(self, name))
        check_whole("texts", self.texts, most=MOST_TEXTS)
        check_keep(self.keep)
        check_label(self.label)

    @property
    def reads(self) -> tuple[str, ...]:
        """The score columns that it compares: none, since embeddings are files of their own."""
        return ()

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        label = self.label
        return {
            f"{label}_group": "string",
            f"{label}_size": "int32",
            f"{label}_similarity": "float32",
            f"{label}_duplicate_of": "string",
            "cluster" if label == "near" else f"{label}_cluster": "int32",
            **{f"{label}_duplicate_of_{cosine_suffix(value)}": "string" for value in self.also},
            **_texts_column(label, self.texts),
        }


@dataclass(frozen=True)
class PerceptualOptions:
    """Images whose perceptual hashes differ in few bits, joined into connected components. The search is complete.

    hash: a column of 256-bit hashes in hex, that a scorer made (`pdq`), beside `<hash>_quality`. distance: the most
    bits in which two may differ, up to 31. quality: hashes of less are not compared (they are of nearly plain images).
    texts: as of ExactOptions.
    """

    hash: str = "pdq"
    distance: int = 31
    quality: int = 50
    keep: tuple[str, ...] = DEFAULT_KEEP
    texts: int = 0
    label: str = "perceptual"

    def __post_init__(self) -> None:
        check_whole("distance", self.distance, most=MOST_HAMMING)
        check_whole("quality", self.quality, most=100)
        check_whole("texts", self.texts, most=MOST_TEXTS)
        check_column("hash", self.hash)
        check_keep(self.keep)
        check_label(self.label)

    @property
    def reads(self) -> tuple[str, ...]:
        """The score columns that it compares."""
        return (self.hash, f"{self.hash}_quality")

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        return {
            f"{self.label}_group": "string",
            f"{self.label}_size": "int32",
            f"{self.label}_distance": "int32",
            f"{self.label}_duplicate_of": "string",
            **_texts_column(self.label, self.texts),
        }


Told = ClustersOptions | NeighboursOptions | RetrievedOptions | CountsOptions
Grouper = (
    ExactOptions | NearOptions | PerceptualOptions | AgainstOptions | DecontaminateOptions | PlaceholdersOptions | Told
)
GROUPERS: Mapping[str, type[Grouper]] = {
    "exact": ExactOptions,
    "near": NearOptions,
    "perceptual": PerceptualOptions,
    "against": AgainstOptions,
    "decontaminate": DecontaminateOptions,
    "clusters": ClustersOptions,
    "neighbours": NeighboursOptions,
    "retrieved": RetrievedOptions,
    "placeholders": PlaceholdersOptions,
    "repeats": StoredRepeats,
    "concepts": StoredConcepts,
}


@dataclass(frozen=True)
class GroupOptions:
    """The groupers of a recipe, in order, each under its own label."""

    groupers: tuple[Grouper, ...] = ()

    def __post_init__(self) -> None:
        labels = [grouper.label for grouper in self.groupers]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"the label {twice[0]!r} stands for two groupers; give one of them a `label:` of its own")

    def to_json(self) -> list[dict[str, Any]]:
        """Canonical plain values, every default written out: what a fingerprint is made of."""
        return [{kind_of(grouper): asdict(grouper)} for grouper in self.groupers]


_LISTS = ("keep", "also")


def cosine_suffix(value: float) -> str:
    """A threshold as a column name bears it: 0.985 -> `0985`."""
    return f"{value:.10f}".rstrip("0").replace(".", "")


def embedding_of(grouper: Grouper) -> str | None:
    """The label of the scorer whose embeddings it reads; None where it reads none."""
    if isinstance(grouper, (NearOptions, ClustersOptions, NeighboursOptions, RetrievedOptions)):
        return grouper.embedding
    return grouper.embedding if isinstance(grouper, KnownOptions) and "near" in grouper.by else None


def kind_of(grouper: Grouper) -> str:
    """The name under which a recipe asks for it."""
    return next(kind for kind, made in GROUPERS.items() if type(grouper) is made)


def parse_group(section: Any) -> GroupOptions:
    """The options of a `group` section: a list of grouper names, or of `name: {option: value}`."""
    if not isinstance(section, Sequence) or isinstance(section, str):
        raise ValueError(f"expected a list of groupers ({', '.join(GROUPERS)}); given {section!r}")
    return GroupOptions(tuple(_parse_one(item) for item in section))


def _parse_one(item: Any) -> Grouper:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ValueError(f"expected one grouper as `name: {{options}}`; given {item!r}")
    [(kind, given)] = item.items()
    if kind not in GROUPERS:
        raise ValueError(f"unknown grouper {kind!r}; known: {', '.join(GROUPERS)}")
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ValueError(f"{kind}: expected its options as a mapping; given {given!r}")
    if kind == "decontaminate":
        given = with_preset(given)
    known = [field.name for field in fields(GROUPERS[kind])]
    for name in given:
        if name not in known:
            raise ValueError(f"{kind}: unknown option {name!r}; known: {', '.join(known)}")
    values: dict[str, Any] = {name: _as_tuple(value) if name in _LISTS else value for name, value in given.items()}
    if kind in ("against", "decontaminate") and "by" in values:
        values["by"] = _as_tuple(values["by"])
    return GROUPERS[kind](**values)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
