"""The steps of `preselect` and `select`: rules that judge a row by itself, and contests among rows.

In: a list of a recipe. Out: frozen steps, in order; a row's reason is that of the first step that it fails.

    - keep: clip_similarity >= 0.3        # a row stays only where the expression is true: unknown (null) goes
      reason: clip_below_threshold
    - drop: text_length < 5               # a row goes only where the expression is true: unknown (null) stays
      reason: text_too_short
    - drop_listed: {by: domain, file: F}  # a row goes where its `by` stands in the file, a `given:` of the recipe;
      reason: blocked_domain              # the default: listed. by: url, domain, uid or sha256: see filters/listed.py
    - keep_listed: {by: uid, file: F}     # a row stays only where its `by` stands there
      reason: not_in_subset               # the default: not_listed
    - balance: 20000.0 / greatest(concept_count, 20000)
      seed: 0                             # the default; a row stays with that probability, drawn by its uid
      reason: not_drawn                   # the default
    - unique: [url, text]                 # of the rows that agree in all of these, one stays
      prefer: [-clip_similarity, width]   # the highest, then the lowest of ..., then the order of uids
      reason: duplicate                   # the default
    - top_fraction: 0.3                   # so many of the rows that came this far, rounded down
      by: [-clip_similarity]              # the best come first, as in `prefer`
      per: [language]                     # of each group, not of all; optional
      reason: below_top_fraction          # the default
      cut: places                         # the default: exactly so many; or `value`: see Top
      unless: task_similarity > 0.55      # rows of which this is true stay all the same; optional
    - top_k: 20000                        # the same with a count
      by: [-clip_similarity]
      reason: below_top_k                 # the default
    - sample: 0.1                         # a share (0.1) or a number (80000) of rows, drawn by their uids
      seed: 0                             # the default; with one seed, a smaller sample is part of every larger one
      per: [language]                     # optional
      reason: not_sampled                 # the default
    - mix:                                # as many rows as keep these shares, drawn as a sample is; the first part
        - {share: 0.9, where: language = 'en'}      # that a row belongs to has it, and a row of no part goes
        - {share: 0.1, where: language <> 'en'}
      seed: 0
      reason: beyond_share                # the default
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.recipe_text import Place

CUTS = ("places", "value")
LISTED_BY = ("url", "domain", "uid", "sha256")


@dataclass(frozen=True)
class Rule:
    """An expression that judges a row by its own columns. verb: `keep` or `drop`."""

    verb: str
    expression: str
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {self.verb: self.expression, "reason": self.reason}


@dataclass(frozen=True)
class Listed:
    """Whether a row's value stands in a file judges it. verb: `keep_listed` or `drop_listed`.

    by: what the file lists. column: where a row has it. sha256: of the file's content, known once it was read at
    launch: what stands for the list in a fingerprint, since a path says nothing of it.
    """

    verb: str
    by: str
    column: str
    file: str
    reason: str
    place: Place
    sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        return {self.verb: {"by": self.by, "of": self.column, "sha256": self.sha256}, "reason": self.reason}


@dataclass(frozen=True)
class Balance:
    """A row stays with the probability that an expression over its columns gives, at 1 and above surely.

    The draw is a function of seed and uid, so what stays at one probability stays at every higher one. Unknown (null)
    goes.
    """

    expression: str
    seed: int
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {"balance": self.expression, "seed": self.seed, "reason": self.reason}


@dataclass(frozen=True)
class Preference:
    """A column that says which row is the better one."""

    column: str
    descending: bool

    def to_json(self) -> str:
        return f"-{self.column}" if self.descending else self.column


@dataclass(frozen=True)
class Unique:
    """Of the rows that agree in all `columns` one stays: the first by `prefer`, then by the order of uids.

    A row that has no value in one of the columns has no duplicates.
    """

    columns: tuple[str, ...]
    prefer: tuple[Preference, ...]
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {
            "unique": list(self.columns),
            "prefer": [preference.to_json() for preference in self.prefer],
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Top:
    """The first rows by `by`, then by the order of uids: a `fraction` of them or a `count`, of all or of each group.

    A row without a value comes last; rows without a value in `per` are a group of their own.
    cut: `places` lets exactly so many stay. `value` lets every row stay that is as good as the one behind the last
    place (place number n when the first is 0): what DataComp's filters do, one row more and all that tie with it.
    unless: an expression; rows of which it is true take part, and stay even when they lose. So a threshold with a
    least share of rows, as CiT has it, is a top_fraction of that share unless the threshold is met.
    """

    fraction: float | None
    count: int | None
    by: tuple[Preference, ...]
    per: tuple[str, ...]
    reason: str
    place: Place
    cut: str = "places"
    unless: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            **({"top_fraction": self.fraction} if self.fraction is not None else {"top_k": self.count}),
            "by": [preference.to_json() for preference in self.by],
            "per": list(self.per),
            "cut": self.cut,
            "unless": self.unless,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Sample:
    """A share or a number of rows, of all or of each group: the first in an order drawn from seed and uid."""

    fraction: float | None
    count: int | None
    seed: int
    per: tuple[str, ...]
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        size = self.count if self.fraction is None else self.fraction
        return {"sample": size, "seed": self.seed, "per": list(self.per), "reason": self.reason}


@dataclass(frozen=True)
class Part:
    """A part of a mix: the rows of which `where` is true and that belong to no part before it."""

    share: float
    where: str

    def to_json(self) -> dict[str, Any]:
        return {"share": self.share, "where": self.where}


@dataclass(frozen=True)
class Mix:
    """As many rows as can be had in these shares, each part's the first in an order drawn from seed and uid.

    A row of no part goes. The part that is scarcest for its share stays whole (but for the fraction of a row) and
    bounds the others; so a part without rows leaves nothing.
    """

    parts: tuple[Part, ...]
    seed: int
    reason: str
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {"mix": [part.to_json() for part in self.parts], "seed": self.seed, "reason": self.reason}


RowStep = Rule | Listed | Balance
Contest = Unique | Top | Sample | Mix
Step = RowStep | Contest


def keys_of(contest: Contest) -> tuple[str, ...]:
    """The columns in which rows agree that compete with each other; none when all rows do."""
    if isinstance(contest, Mix):
        return ()
    return contest.columns if isinstance(contest, Unique) else contest.per


def order_of(contest: Contest) -> tuple[Preference, ...]:
    """What orders rows that compete, before their uids do."""
    if isinstance(contest, (Sample, Mix)):
        return ()
    return contest.prefer if isinstance(contest, Unique) else contest.by


def columns_of(contest: Contest) -> tuple[str, ...]:
    """The columns that a contest reads, each once."""
    named = (*keys_of(contest), *(preference.column for preference in order_of(contest)))
    return tuple(dict.fromkeys(named))
