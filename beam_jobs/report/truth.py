"""A run on the embedded world against what the world knows of itself: how right each filter was.

In: the world's truth table (a row an image reference), and the rows of the run, shard by shard. Out: what became of
each kind of text; precision and recall of what finds texts, mismatches, copies and failures. Rows meet by page and
position. The world is small enough to be held whole; no other run has a truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_jobs.report.bins import CUT, KEPT, OTHER, Histogram, choose_bins
from beam_jobs.report.shard_rows import ShardRows
from beam_jobs.report.thresholds import Cut
from beam_jobs.storage.files import exists
from beam_jobs.storage.parquet import iter_batches, read_table
from beam_jobs.storage.run_folder import RunFolder
from schemas import reasons as row_reasons

_COLUMNS = ("page_url", "position", "label", "detail", "language", "expected", "duplicate_group", "sha256")
_RIGHT, _WRONG = ("good", "non_english"), ("wrong",)
_FAILED, _NEVER_FOUND = "failed", "never found"
Key = tuple[str, int]


@dataclass(frozen=True)
class Finder:
    """Something that finds rows of a kind. right: those found that are of it; sought: all that are of it."""

    name: str
    seeks: str
    found: int
    right: int
    sought: int


@dataclass(frozen=True)
class Separation:
    """How a similarity tells right texts from wrong ones: counts by value, and the area under the ROC curve."""

    column: str
    histogram: Histogram
    auc: float


@dataclass(frozen=True)
class Measured:
    """outcomes: by kind of text, how many rows ended how, in the order of `ends`."""

    rows: int
    ends: tuple[str, ...]
    outcomes: Mapping[str, Mapping[str, int]]
    finders: tuple[Finder, ...]
    separations: tuple[Separation, ...]


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The share of pairs in the right order; ties count half."""
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, side="left") + np.searchsorted(ordered, higher, side="right")
    return float(below.sum() / 2 / (len(higher) * len(lower)))


class Truth:
    """Collects what became of each row of the world."""

    def __init__(self, url: str, groupers: Mapping[str, str]) -> None:
        """groupers: label to the truth's column that its groups should agree in."""
        table = read_table(url, _COLUMNS).to_pylist()
        self._truth: dict[Key, dict[str, Any]] = {(row["page_url"], row["position"]): row for row in table}
        self._ended: dict[Key, str] = {}
        self._fetched: list[dict[str, Any]] = []
        self._groupers = dict(groupers)

    def add_dropped(self, folder: RunFolder, parts: Iterable[int]) -> None:
        """The rows that ended before the download."""
        for part in parts:
            if not (exists(folder.preselected(part)) and exists(folder.pairs(part))):
                continue
            judged = iter_batches(folder.preselected(part), ["reason"])
            pairs = iter_batches(folder.pairs(part), ["page_url", "position"])
            for decided, batch in zip(judged, pairs, strict=True):
                for reason, pair in zip(decided["reason"].to_pylist(), batch.to_pylist(), strict=True):
                    if reason:
                        self._ended[pair["page_url"], pair["position"]] = reason

    def add(self, rows: ShardRows) -> None:
        names = [name for name in rows.table.column_names if name not in ("exif", "url", "error_message")]
        for row, reason in zip(rows.table.select(names).to_pylist(), rows.reasons, strict=True):
            key = (row.get("page_url"), row.get("position"))
            if key in self._truth:
                self._ended[key] = str(reason)
                if row["reason"] is None:
                    self._fetched.append({**row, "truth": self._truth[key]})

    def measure(self, cuts: Sequence[Cut], drawn: Sequence[Finder] = ()) -> Measured:
        """To be called once all rows were added. drawn: what was measured on texts that are no row's."""
        outcomes: dict[str, Counter[str]] = {}
        for key, truth in self._truth.items():
            ended = self._ended.get(key, _NEVER_FOUND)
            kind = f"{truth['label']}, {truth['detail']}" if truth["label"] in _WRONG else truth["label"]
            failed = ended in row_reasons.FAILURES
            outcomes.setdefault(str(kind), Counter())[_FAILED if failed else ended] += 1
        total = sum(outcomes.values(), Counter())
        rules = [end for end, _ in total.most_common() if end not in (row_reasons.KEPT, _FAILED, _NEVER_FOUND)]
        ends = [end for end in (row_reasons.KEPT, *rules, _FAILED, _NEVER_FOUND) if total[end]]
        ordered = sorted(outcomes, key=lambda kind: (-sum(outcomes[kind].values()), kind))
        similar = [
            cut for cut in cuts if cut.column.endswith("similarity") and cut.keeps_high and cut.value is not None
        ]
        finders = [self._kept(), *self._texts(), *self._languages(), *self._mismatches(similar), *self._copies()]
        finders += [*self._failures(), *drawn]
        columns = dict.fromkeys(cut.column for cut in similar)
        return Measured(
            rows=len(self._truth),
            ends=tuple(ends),
            outcomes={kind: dict(outcomes[kind]) for kind in ordered},
            finders=tuple(finder for finder in finders if finder.sought or finder.found),
            separations=tuple(found for column in columns if (found := self._separation(column)) is not None),
        )

    def _finder(self, name: str, seeks: str, found: Callable[[Any], bool], sought: Callable[[Any], bool]) -> Finder:
        chosen = [row for row in self._fetched if found(row)]
        right = sum(1 for row in chosen if sought(row["truth"]))
        return Finder(name, seeks, len(chosen), right, sum(1 for row in self._fetched if sought(row["truth"])))

    def _texts(self) -> list[Finder]:
        known = self._fetched[0].keys() if self._fetched else ()
        finders = []
        if "word_count" in known:
            empty = ("empty", "missing")
            finders.append(
                self._finder(
                    "word_count = 0",
                    "no text",
                    lambda row: row["word_count"] == 0,
                    lambda truth: truth["label"] in empty,
                )
            )
        for column, label in (("is_file_name", "file_name"), ("is_boilerplate", "boilerplate")):
            if column in known:
                finders.append(self._finder(column, label.replace("_", " "), _is(column), _labelled(label)))
        return finders

    def _kept(self) -> Finder:
        """The whole recipe: of each picture that has a right text anywhere, one pair with such a text is sought."""
        kept = [truth for key, truth in self._truth.items() if self._ended.get(key) == row_reasons.KEPT]
        pictures = [
            {truth["duplicate_group"] for truth in rows if truth["label"] in _RIGHT and truth["expected"] == "ok"}
            for rows in (kept, self._truth.values())
        ]
        return Finder("kept", "one pair with a right text a picture", len(kept), len(pictures[0]), len(pictures[1]))

    def _languages(self) -> list[Finder]:
        known = self._fetched[0].keys() if self._fetched else ()
        asked = (("language", "en", "en", "English"), ("script", "Jpan", "ja", "Japanese"))
        return [
            self._finder(f"{column} = '{value}'", seeks, _equals(column, value), _equals("language", code))
            for column, value, code, seeks in asked
            if column in known
        ]

    def _mismatches(self, cuts: Sequence[Cut]) -> list[Finder]:
        return [
            self._finder(f"{cut.column} < {cut.value:g}", "wrong text", _below(cut), _labelled("wrong"))
            for cut in cuts
            if self._fetched and cut.column in self._fetched[0]
        ]

    def _copies(self) -> list[Finder]:
        finders = []
        for label, column in self._groupers.items():
            of_uid = {row["uid"]: row["truth"][column] for row in self._fetched}
            sizes = Counter(row["truth"][column] for row in self._fetched if row["truth"][column])
            flagged = [row for row in self._fetched if row.get(f"{label}_duplicate_of")]
            right = sum(1 for row in flagged if of_uid.get(row[f"{label}_duplicate_of"]) == row["truth"][column])
            seeks = "copies of the same bytes" if column == "sha256" else "copies of the same picture"
            sought = sum(size - 1 for size in sizes.values())
            finders.append(Finder(f"{label}_duplicate_of", seeks, len(flagged), right, sought))
        return finders

    def _failures(self) -> list[Finder]:
        """Every failure class as one: right when the class is the expected one."""
        found = {key: end for key, end in self._ended.items() if end in row_reasons.FAILURES and key in self._truth}
        right = sum(1 for key, end in found.items() if self._truth[key]["expected"] == end)
        sought = {"ok", "too_small"}  # a tiny picture is fetched; whether it stays is a rule's business
        expected = sum(1 for truth in self._truth.values() if truth["expected"] not in sought)
        return [Finder("failure classes", "the very failure that was set up", len(found), right, expected)]

    def _separation(self, column: str) -> Separation | None:
        rows = [row for row in self._fetched if row.get(column) is not None]
        values = np.array([row[column] for row in rows], dtype=np.float64)
        labels = [row["truth"]["label"] for row in rows]
        kinds = np.array([KEPT if label in _RIGHT else CUT if label in _WRONG else OTHER for label in labels])
        if not len(values) or not (kinds == KEPT).any() or not (kinds == CUT).any():
            return None
        histogram = Histogram(choose_bins(values))
        histogram.add(values, kinds)
        return Separation(column, histogram, auc(values[kinds == KEPT], values[kinds == CUT]))


def _equals(column: str, value: str) -> Callable[[Any], bool]:
    return lambda row: bool(row[column] == value)


def _is(column: str) -> Callable[[Any], bool]:
    return lambda row: bool(row[column])


def _labelled(label: str) -> Callable[[Any], bool]:
    return lambda truth: bool(truth["label"] == label)


def _below(cut: Cut) -> Callable[[Any], bool]:
    return lambda row: row[cut.column] is not None and row[cut.column] < cut.value


def agreeing_columns(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Which column of the truth each grouper of a recipe should find groups of."""
    found: dict[str, str] = {}
    for entry in recipe.get("group") or ():
        for kind, options in entry.items() if isinstance(entry, Mapping) else ((entry, {}),):
            given = options or {}
            by_bytes = kind == "exact" and given.get("by", "sha256") == "sha256"
            if by_bytes or kind == "near":
                found[str(given.get("label", kind))] = "sha256" if by_bytes else "duplicate_group"
    return found
