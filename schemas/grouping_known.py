"""The groupers that hold images against indexes of known ones: what an earlier run kept, and evaluation sets.

In: the section's plain values. Out: frozen options, and the columns that they make. A recipe says how images are
compared; with which indexes, the command line does (`--against URL`, `--decontaminate URL`).

    group:
      - against: {by: [uid, url, sha256, perceptual]}     # drop: against_duplicate_of is not null
      - decontaminate: {by: [pixels, near], cosine: 0.9}  # drop: evaluation_duplicate_of is not null
      - decontaminate: {preset: align}                    # by embedding, from the publication's threshold on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.grouping_checks import MOST_HAMMING, check_column, check_label, check_share, check_whole

PIXELS = "pixel_sha256"
# What can be compared, what says most first: of several matches a row is told the first.
KNOWN_KINDS = ("uid", "url", "sha256", "pixels", "perceptual", "near", "text")
# ALIGN: cosine above 0.975 under an embedding model of its own. DataComp: ISC's descriptor from 0.604169 on, here of
# a scorer labelled `isc` that the user adds.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "align": {"by": ("near",), "cosine": 0.975},
    "datacomp": {"by": ("near",), "embedding": "isc", "cosine": 0.604169},
}


@dataclass(frozen=True)
class KnownOptions:
    """by: what is compared, of KNOWN_KINDS; `text` is equality of texts. embedding, cosine, recall, cells, seed: of
    `near`; hash, distance, quality: of `perceptual`, all as of those groupers. date: a column that says when a row
    was captured; rows known to be older than an index (see its `--since`) are not held against it.
    """

    by: tuple[str, ...] = ("uid", "url", "sha256")
    embedding: str = "clip"
    cosine: float = 0.96
    recall: float = 0.995
    cells: int = 0
    seed: int = 0
    hash: str = "pdq"
    distance: int = 31
    quality: int = 50
    date: str = ""
    label: str = "against"

    def __post_init__(self) -> None:
        if not self.by or len(set(self.by)) != len(self.by):
            raise ValueError(f"by: expected some of {', '.join(KNOWN_KINDS)}, each once; given {list(self.by)}")
        for kind in self.by:
            if kind not in KNOWN_KINDS:
                raise ValueError(f"by: unknown key {kind!r}; known: {', '.join(KNOWN_KINDS)}")
        check_share("cosine", self.cosine, "similarity")
        check_share("recall", self.recall, "share")
        for name in ("cells", "seed"):
            check_whole(name, getattr(self, name))
        check_whole("distance", self.distance, most=MOST_HAMMING)
        check_whole("quality", self.quality, most=100)
        check_column("hash", self.hash)
        if self.date:
            check_column("date", self.date)
        check_label(self.label)

    @property
    def keep(self) -> tuple[str, ...]:
        """Preferences among copies: none, since what is known is never dropped."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it compares."""
        pixels = (PIXELS,) if "pixels" in self.by else ()
        hashes = (self.hash, f"{self.hash}_quality") if "perceptual" in self.by else ()
        return (*pixels, *hashes, *((self.date,) if self.date else ()))

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        return {
            f"{self.label}_duplicate_of": "string",
            f"{self.label}_index": "string",
            f"{self.label}_kind": "string",
            **({f"{self.label}_distance": "int32"} if "perceptual" in self.by else {}),
            **({f"{self.label}_similarity": "float32"} if "near" in self.by else {}),
        }


@dataclass(frozen=True)
class AgainstOptions(KnownOptions):
    """Images that an earlier run kept: `--against URL` of an index that `pairmill index --work` wrote."""


@dataclass(frozen=True)
class DecontaminateOptions(KnownOptions):
    """Images of evaluation sets: `--decontaminate URL` of an index that `pairmill index --source` wrote."""

    by: tuple[str, ...] = ("sha256", "pixels", "perceptual", "near")
    label: str = "evaluation"


def option_of(options: KnownOptions) -> str:
    """How the command line names the indexes that such a grouper is held against."""
    return "--decontaminate" if isinstance(options, DecontaminateOptions) else "--against"


def with_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as written, on top of those that `preset` stands for."""
    values = dict(given)
    if "preset" not in values:
        return values
    preset = values.pop("preset")
    if preset not in PRESETS:
        raise ValueError(f"preset: unknown {preset!r}; known: {', '.join(PRESETS)}")
    return {**PRESETS[preset], **values}
