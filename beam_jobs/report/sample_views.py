"""The pictures, duplicates and failures of the page, ready for the template.

In: Findings. Out: plain dataclasses with cards; texts are escaped by the template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from beam_jobs.report.cards import Card
from beam_jobs.report.charts import Mark, Segment, segment_bar, small_histogram
from beam_jobs.report.display import host_of, measure, number, plural, share, tidy
from beam_jobs.report.duplicates import Duplicates, Group
from beam_jobs.report.gather import CUTS_SHOWN, DROPPED_REASONS, Findings
from beam_jobs.report.samples import Place
from beam_jobs.report.thresholds import Cut
from schemas.reasons import FAILURES, KEPT

HOSTS_SHOWN = 12


@dataclass(frozen=True)
class Shown:
    """A card with the word that stands on it."""

    card: Card
    badge: str
    tone: str


@dataclass(frozen=True)
class SampleSet:
    """Samples that ended alike."""

    title: str
    rows: str
    rule: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class CutView:
    """Both sides of a threshold, by rising value."""

    column: str
    label: str
    reason: str
    keeps_high: bool
    low: tuple[Shown, ...]
    high: tuple[Shown, ...]


@dataclass(frozen=True)
class GroupView:
    size: int
    more: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class DuplicatesView:
    """What one grouper found."""

    label: str
    told: str
    sizes: tuple[tuple[str, str, Markup], ...]
    similarity: Markup | None
    largest: tuple[GroupView, ...]
    doubtful: tuple[GroupView, ...]


@dataclass(frozen=True)
class FailureRow:
    reason: str
    meaning: str
    rows: str
    share: str
    bar: Markup
    url: str
    message: str


@dataclass(frozen=True)
class HostRow:
    host: str
    failed: str
    tried: str
    share: str
    bar: Markup
    main: str


def _cards(findings: Findings, places: Iterable[Place]) -> list[Card]:
    return [findings.cards[place] for place in places if place in findings.cards]


def _main_column(findings: Findings) -> str:
    """The score that stands on kept samples: that whose thresholds dropped the most."""
    dropped = {
        name: sum(findings.reasons.get(cut.step.reason, 0) for cut in findings.columns.cuts_on(name))
        for name in findings.columns.ruled()
        if findings.columns.numeric[name].made_by in findings.sidecars.scores
    }
    return max(dropped, key=lambda name: dropped[name], default="")


def _score_badge(card: Card, column: str, digits: int = 3) -> str:
    value = card.score(column)
    return measure(value, digits) if value is not None else ""


def kept_samples(findings: Findings) -> SampleSet | None:
    """Some of the rows that stayed."""
    column = _main_column(findings)
    shown = tuple(
        Shown(card, _score_badge(card, column), "kept") for card in _cards(findings, findings.samples.places(KEPT))
    )
    rows = number(findings.reasons.get(KEPT, 0))
    return SampleSet("kept", rows, f"the number is {column}" if column else "", shown) if shown else None


def dropped_samples(findings: Findings) -> list[SampleSet]:
    """Some rows of each reason of `select`, the most frequent reason first."""
    steps = {step.reason: step for step in findings.steps}
    columns = {cut.step.reason: cut.column for cut in findings.cuts}
    reasons = sorted(findings.samples.dropped_reasons(), key=lambda name: (-findings.reasons.get(name, 0), name))
    sets = []
    for reason in reasons[:DROPPED_REASONS]:
        cards = _cards(findings, findings.samples.places(reason))
        shown = tuple(Shown(card, _score_badge(card, columns.get(reason, "")), "cut") for card in cards)
        written = steps[reason].written if reason in steps else ""
        sets.append(SampleSet(reason, number(findings.reasons.get(reason, 0)), written, shown))
    return sets


def cut_views(findings: Findings) -> list[CutView]:
    """The rows beside each threshold of `select` that dropped any."""
    views = []
    for cut in findings.cuts:
        dropped, kept = (_cards(findings, side) for side in findings.at_cuts.around(cut))
        if cut.step.section == "select" and dropped:
            views.append(_cut_view(cut, dropped, kept))
    return views[:CUTS_SHOWN]


def _cut_view(cut: Cut, dropped: list[Card], kept: list[Card]) -> CutView:
    below, above = (dropped, kept) if cut.keeps_high else (kept, dropped)
    tones = ("cut", "kept") if cut.keeps_high else ("kept", "cut")
    low = tuple(Shown(card, _score_badge(card, cut.column, 4), tones[0]) for card in reversed(below))
    high = tuple(Shown(card, _score_badge(card, cut.column, 4), tones[1]) for card in above)
    return CutView(cut.column, Mark(cut.value or 0.0, cut.operator).label, cut.step.reason, cut.keeps_high, low, high)


def duplicates_views(findings: Findings) -> list[DuplicatesView]:
    """One view a grouper that found any duplicate."""
    return [_duplicates_view(findings, found) for found in findings.duplicates if found.duplicates]


def _duplicates_view(findings: Findings, found: Duplicates) -> DuplicatesView:
    groups = sum(found.sizes.values())
    told = f"{number(found.duplicates)} of {plural(found.rows, 'image')} ({share(found.duplicates, found.rows)}) "
    told += f"{'is a copy' if found.duplicates == 1 else 'are copies'} of another, in {plural(groups, 'group')}"
    told += f"; the largest has {number(max(found.sizes))}." if found.sizes else "."
    column = f"{found.label}_similarity"
    chart = None
    if column in findings.columns.others():
        marks = [Mark(value, ">=") for value in _cosines(findings.recipe, found.label)]
        chart = small_histogram(column, findings.columns[column], marks, shaded=False)
    return DuplicatesView(
        label=found.label,
        told=told,
        sizes=_sizes(found),
        similarity=chart,
        largest=tuple(_group_view(findings, group) for group in found.largest_groups()),
        doubtful=tuple(_group_view(findings, group) for group in found.doubtful_pairs()),
    )


def _cosines(recipe: Mapping[str, Any], label: str) -> list[float]:
    """The threshold of the `near` grouper that bears this label."""
    for entry in recipe.get("group") or ():
        for kind, options in entry.items() if isinstance(entry, Mapping) else ():
            if isinstance(options, Mapping) and options.get("label", kind) == label and "cosine" in options:
                return [float(options["cosine"])]
    return []


def _sizes(found: Duplicates) -> tuple[tuple[str, str, Markup], ...]:
    """Groups by their size: 2, 3, 4, 5 to 9, 10 and more."""
    bounds = (("2", 2, 2), ("3", 3, 3), ("4", 4, 4), ("5 to 9", 5, 9), ("10 and more", 10, 2**62))
    counts = [(name, sum(n for size, n in found.sizes.items() if low <= size <= high)) for name, low, high in bounds]
    most = max((count for _, count in counts), default=0) or 1
    return tuple(
        (name, number(count), segment_bar([Segment(count / most, "plain", "")], label=f"{name}: {count}"))
        for name, count in counts
        if count
    )


def _group_view(findings: Findings, group: Group) -> GroupView:
    shown = []
    for member in group.members:
        card = findings.cards.get(member.place)
        if card is not None:
            similar = measure(member.similarity, 3) if member.similarity is not None else "copy"
            shown.append(Shown(card, "survivor" if member.survivor else similar, "kept" if member.survivor else "cut"))
    return GroupView(group.size, max(0, group.size - len(shown)), tuple(shown))


def failure_rows(findings: Findings) -> list[FailureRow]:
    """Failure classes of all stages, the most frequent first, with an example each."""
    classes = {reason: rows for reason, rows in findings.reasons.items() if reason in FAILURES and rows}
    found = findings.funnel[0].rows_in if findings.funnel else 0
    most = max(classes.values(), default=1)
    rows = []
    for reason, count in sorted(classes.items(), key=lambda item: (-item[1], item[0])):
        example = findings.failures.example(reason)
        early = next(iter(findings.dropped_texts.get(reason, ())), None)
        url, message = (example.url, example.message) if example else (early.url, early.message) if early else ("", "")
        bar = segment_bar([Segment(count / most, "loss t0", "")], label=f"{reason}: {count}")
        rows.append(
            FailureRow(
                reason, FAILURES[reason], number(count), share(count, found), bar, tidy(url, 160), tidy(message, 200)
            )
        )
    return rows


def host_rows(findings: Findings) -> list[HostRow]:
    """The hosts with most failures."""
    failures = findings.failures
    rows = []
    for host, failed in failures.failed_hosts.top(HOSTS_SHOWN):
        tried = max(failures.hosts[host], failed)
        bar = segment_bar([Segment(failed / tried, "loss t0", "")], label=f"{failed} of {tried} failed")
        main = failures.main_class(host)
        rows.append(HostRow(tidy(host, 80), number(failed), number(tried), share(failed, tried), bar, main))
    return rows


@dataclass(frozen=True)
class TextSet:
    """Texts of rows that ended before the download for one reason."""

    reason: str
    rows: str
    rule: str
    texts: tuple[tuple[str, str], ...]


def dropped_text_sets(findings: Findings) -> list[TextSet]:
    """Texts by rule of `preselect`, the most frequent first; failures stand in a section of their own."""
    steps = {step.reason: step for step in findings.steps}
    sets = []
    for reason, texts in sorted(
        findings.dropped_texts.items(), key=lambda item: (-findings.reasons.get(item[0], 0), item[0])
    ):
        if reason not in FAILURES:
            shown = tuple((tidy(text.text, 140), tidy(host_of(text.url), 60)) for text in texts)
            written = steps[reason].written if reason in steps else ""
            sets.append(TextSet(reason, number(findings.reasons.get(reason, 0)), written, shown))
    return sets[:DROPPED_REASONS]
