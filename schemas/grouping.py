"""The `group` section of a recipe: which groupers run, what they compare, and which copy survives.

In: the section's plain values. Out: frozen options with defaults, and the columns that each grouper makes.
Anything wrong is a ValueError that says what was expected, what was given and what exists.

    group:
      - exact: {by: sha256}
      - near: {embedding: clip, cosine: 0.96, keep: [most_pixels, -clip_similarity]}
      - perceptual: {hash: pdq, distance: 31}    # hashes that the scorer `pdq` made
      - exact: {by: url, label: same_url}        # the same grouper twice needs a label of its own
      - exact: {by: pixels, texts: 5}            # survivors are given up to five texts of their copies: exact_texts
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

EXACT_KEYS = ("sha256", "pixels", "url", "text", "uid")
# The score column that `pixels` compares: what the scorer `pixel_hash` makes.
PIXELS = "pixel_sha256"
NAMED_PREFERENCES = ("most_pixels", "longest_text")
DEFAULT_KEEP = ("most_pixels", "longest_text")
MOST_HAMMING = 31
MOST_TEXTS = 1000
# The type of a column of several texts a row.
TEXTS = "list<string>"

_LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREFERENCE = re.compile(r"-?[A-Za-z_][A-Za-z0-9_]*")


def _check_keep(keep: tuple[str, ...]) -> None:
    for preference in keep:
        if not isinstance(preference, str) or not _PREFERENCE.fullmatch(preference):
            raise ValueError(
                f"keep: expected one of {', '.join(NAMED_PREFERENCES)}, or a column with `-` before it for highest "
                f"first; given {preference!r}"
            )
    if len(set(keep)) != len(keep):
        raise ValueError(f"keep: a preference stands twice in {list(keep)}")


def _check_label(label: str) -> None:
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise ValueError(f"label: expected lower-case words joined by `_`, at most 32 letters; given {label!r}")


def _check_whole(name: str, value: Any, *, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (most is not None and value > most):
        limit = "at least 0" if most is None else f"0 to {most}"
        raise ValueError(f"{name}: expected a whole number of {limit}; given {value!r}")


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
        _check_keep(self.keep)
        _check_whole("texts", self.texts, most=MOST_TEXTS)
        _check_label(self.label)

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
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.5 <= value < 1:
                raise ValueError(f"cosine: expected a similarity from 0.5 to below 1; given {value!r}")
        if any(value <= self.cosine for value in self.also) or len(set(self.also)) != len(self.also):
            raise ValueError(f"also: expected different thresholds above cosine {self.cosine}; given {list(self.also)}")
        if isinstance(self.recall, bool) or not isinstance(self.recall, (int, float)) or not 0.5 <= self.recall < 1:
            raise ValueError(f"recall: expected a share from 0.5 to below 1; given {self.recall!r}")
        for name in ("cells", "seed"):
            _check_whole(name, getattr(self, name))
        _check_whole("texts", self.texts, most=MOST_TEXTS)
        _check_keep(self.keep)
        _check_label(self.label)

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
        _check_whole("distance", self.distance, most=MOST_HAMMING)
        _check_whole("quality", self.quality, most=100)
        _check_whole("texts", self.texts, most=MOST_TEXTS)
        if not isinstance(self.hash, str) or not _COLUMN.fullmatch(self.hash):
            raise ValueError(f"hash: expected the name of a column; given {self.hash!r}")
        _check_keep(self.keep)
        _check_label(self.label)

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


Grouper = ExactOptions | NearOptions | PerceptualOptions
GROUPERS: Mapping[str, type[Grouper]] = {
    "exact": ExactOptions,
    "near": NearOptions,
    "perceptual": PerceptualOptions,
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


def cosine_suffix(value: float) -> str:
    """A threshold as a column name bears it: 0.985 -> `0985`."""
    return f"{value:.10f}".rstrip("0").replace(".", "")


def kind_of(grouper: Grouper) -> str:
    """The name under which a recipe asks for it."""
    return next(kind for kind, made in GROUPERS.items() if isinstance(grouper, made))


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
    known = [field.name for field in fields(GROUPERS[kind])]
    for name in given:
        if name not in known:
            raise ValueError(f"{kind}: unknown option {name!r}; known: {', '.join(known)}")
    values: dict[str, Any] = {
        name: _as_tuple(value) if name in ("keep", "also") else value for name, value in given.items()
    }
    return GROUPERS[kind](**values)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
