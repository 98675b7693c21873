"""What the template prints: findings turned into short lists of strings, numbers and ready charts.

In: Findings. Out: plain dataclasses. Everything here is text to be escaped by the template, or markup of `charts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from beam_jobs.report.bins import Histogram
from beam_jobs.report.charts import Mark, Segment, histogram_chart, segment_bar, size_map, small_histogram
from beam_jobs.report.display import file_size, measure, number, plural, share, words
from beam_jobs.report.funnel import FunnelStage, Loss, stage_of
from beam_jobs.report.gather import Findings
from beam_jobs.report.thresholds import Cut
from beam_jobs.report.tops import TopCounter
from schemas.reasons import FAILURES

LOSSES_SHOWN = 6
_TINTS = 6


@dataclass(frozen=True)
class Figure:
    """A headline number."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class LossRow:
    reason: str
    rows: str
    share: str
    note: str
    tint: int


@dataclass(frozen=True)
class StageView:
    """A stage of the funnel as it is drawn."""

    title: str
    what: str
    on: str
    share: str
    sum: str
    follows: bool
    bar: Markup
    losses: tuple[LossRow, ...]


@dataclass(frozen=True)
class ScoreView:
    """A histogram of a column that rules read."""

    name: str
    maker: str
    chart: Markup
    rules: tuple[tuple[str, str], ...]
    facts: str


@dataclass(frozen=True)
class SmallView:
    name: str
    maker: str
    chart: Markup
    facts: str


@dataclass(frozen=True)
class BarRow:
    """A name with its count, drawn as a bar."""

    name: str
    count: str
    share: str
    bar: Markup


def headline(findings: Findings) -> list[Figure]:
    """The numbers at the top; those of stages that did not run are left out."""
    found = findings.funnel[0].rows_in if findings.funnel else 0
    figures = [Figure(number(found), "pairs found")]
    if findings.stage("download"):
        planned = findings.stage("download").rows_in  # type: ignore[union-attr]
        fetched = findings.rows_at("download")
        figures.append(Figure(number(fetched), "images fetched", f"{share(fetched, planned)} of those tried"))
    if findings.stage("select"):
        kept = findings.rows_at("select")
        figures.append(Figure(number(kept), "pairs kept"))
        figures.append(Figure(share(kept, found), "of all found"))
    written = next((total for name, total in findings.totals.items() if stage_of(name) == "write"), None)
    if written is not None:
        size = written.numbers.get("tar_bytes", 0)
        noun = "training shard" if written.shards == 1 else "training shards"
        figures.append(Figure(number(written.shards), noun, file_size(size) if size else ""))
    return figures


def story(findings: Findings) -> str:
    """The run in a sentence or two."""
    if not findings.funnel or not findings.funnel[0].rows_in:
        return "The sources held no image with a text, so there is nothing to show yet."
    found = findings.funnel[0].rows_in
    parts = [f"Of {plural(found, 'pair')} found"]
    if findings.stage("preselect"):
        parts.append(f"{number(findings.rows_at('preselect'))} were worth a download")
    if findings.stage("download"):
        parts.append(f"{number(findings.rows_at('download'))} images arrived")
    if findings.stage("select"):
        kept = findings.rows_at("select")
        parts.append(f"{number(kept)} {'pair was' if kept == 1 else 'pairs were'} kept ({share(kept, found)})")
    told = ", ".join(parts[:-1]) + f" and {parts[-1]}." if len(parts) > 2 else ", ".join(parts) + "."
    losses = [loss for stage in findings.funnel for loss in stage.losses]
    if losses:
        worst = max(losses, key=lambda loss: (loss.rows, loss.reason))
        told += f" The largest loss is “{words(worst.reason)}” with {number(worst.rows)}."
    return told


def sampled(findings: Findings) -> str:
    """Which shards the page looked into, where not all."""
    read, left_out = len(findings.sidecars.shards), findings.sidecars.left_out
    if not left_out:
        return ""
    of = f"{number(read)} of {number(read + left_out)} image shards"
    return (
        f"Columns, examples, groups, hosts and formats are of {of}: a fair sample, "
        "since rows lie in shards by hash. The funnel, its reasons and the stages are of all rows."
    )


def funnel_views(findings: Findings) -> list[StageView]:
    """The stages, their bars on one scale: the rows of the first."""
    if not findings.funnel:
        return []
    first = findings.funnel[0]
    whole = max(first.rows_in, 1)
    notes = {step.reason: step.written for step in findings.steps}
    stages = [stage for stage in findings.funnel if stage.losses or stage.name != "extract"]
    return [_found_view(findings, first), *(_stage_view(stage, whole, notes) for stage in stages)]


def _found_view(findings: Findings, first: FunnelStage) -> StageView:
    """Where the funnel begins: everything that came in."""
    details = findings.totals[first.name].details if first.name in findings.totals else {}
    units = [f"{number(sum(counts.values()))} {unit}" for unit, counts in details.items() if counts]
    told = f"{number(first.rows_in)} in all"
    return StageView(
        title="Found",
        what="image references with their texts, in the sources",
        on=number(first.rows_in),
        share=f"from {', '.join(units)}" if units else "",
        sum="",
        follows=True,
        bar=segment_bar([Segment(1.0 if first.rows_in else 0.0, "on", told)], label=f"Found: {told}"),
        losses=(),
    )


def _stage_view(stage: FunnelStage, whole: int, rules: dict[str, str]) -> StageView:
    segments = [Segment(stage.rows_on / whole, "on", f"{number(stage.rows_on)} went on")]
    for index, loss in enumerate(stage.losses):
        tip = f"{loss.reason}\n{number(loss.rows)}, {share(loss.rows, stage.rows_in)} of what came in"
        segments.append(Segment(loss.rows / whole, f"loss t{min(index, _TINTS - 1)}", tip))
    added = f"{number(stage.rows_in)} in = {number(stage.rows_on)} on"
    added += f" + {number(stage.lost)} out" if stage.losses else ", none lost"
    return StageView(
        title=stage.title,
        what=stage.what,
        on=number(stage.rows_on),
        share=share(stage.rows_on, whole),
        sum=added,
        follows=stage.follows,
        bar=segment_bar(segments, label=f"{stage.title}: {added}"),
        losses=tuple(_loss_row(index, loss, stage, rules) for index, loss in enumerate(stage.losses)),
    )


def _loss_row(index: int, loss: Loss, stage: FunnelStage, rules: dict[str, str]) -> LossRow:
    note = FAILURES.get(loss.reason) or rules.get(loss.reason, "")
    return LossRow(loss.reason, number(loss.rows), share(loss.rows, stage.rows_in), note, min(index, _TINTS - 1))


def learned(findings: Findings) -> list[tuple[str, str, str]]:
    """(`scorer` or `grouper`, label, what it made) of each sidecar: stages that drop nothing."""
    made: dict[str, list[str]] = {}
    for column, numeric in findings.columns.numeric.items():
        made.setdefault(numeric.made_by, []).append(column)
    told = []
    for label in findings.sidecars.scores:
        told.append(("scorer", label, plural(len(made.get(label, [])), "column")))
    for held in findings.known:
        told.append(("grouper", held.label, plural(held.counts.total(), "known image")))
    for found in findings.duplicates:
        told.append(("grouper", found.label, plural(found.duplicates, "duplicate")))
    for clustered in findings.galleries:
        told.append(("grouper", clustered.label, plural(len(clustered.sizes), "cluster")))
    return told


def marks_of(findings: Findings, cuts: Sequence[Cut]) -> list[Mark]:
    """The thresholds of cuts whose place is known, each once."""
    placed = [Mark(value, cut.operator) for cut in cuts if (value := findings.columns.value_of(cut)) is not None]
    return list(dict.fromkeys(placed))


def _facts(histogram: Histogram) -> str:
    return f"{measure(histogram.smallest, 3)} to {measure(histogram.largest, 3)}, mean {measure(histogram.mean, 3)}"


def score_views(findings: Findings) -> list[ScoreView]:
    """The columns that rules read, with what each rule did."""
    views = []
    for name in findings.columns.ruled():
        histogram, cuts = findings.columns[name], findings.columns.cuts_on(name)
        rules = []
        for step in dict.fromkeys(cut.step for cut in cuts):
            dropped = findings.reasons.get(step.reason, 0)
            rules.append((step.written, f"{step.reason}: {number(dropped)} dropped"))
        told = f"{_facts(histogram)} · {plural(histogram.rows, 'value')}"
        views.append(
            ScoreView(
                name,
                findings.columns.numeric[name].made_by,
                histogram_chart(name, histogram, marks_of(findings, cuts)),
                tuple(rules),
                told,
            )
        )
    return views


def small_views(findings: Findings) -> list[SmallView]:
    """The other score columns; what groupers made is told with the duplicates."""
    return [_small_view(findings, name) for name in _others(findings) if not findings.columns.constant(name)]


def constants(findings: Findings) -> list[tuple[str, str]]:
    """The other columns that have one value for all, with it."""
    told = []
    for name in _others(findings):
        if findings.columns.constant(name):
            value = findings.columns[name].smallest
            yes_no = findings.columns.numeric[name].kind == "yes_no"
            told.append((name, ("yes" if value else "no") if yes_no else measure(value)))
    return told


def _others(findings: Findings) -> list[str]:
    """Score columns that no threshold cuts; what groupers made is told with the duplicates."""
    numeric = findings.columns.numeric
    grouped = [name for name in numeric if numeric[name].made_by in findings.sidecars.groups]
    return findings.columns.others(leave_out=[*grouped, "width", "height"])


def _small_view(findings: Findings, name: str) -> SmallView:
    histogram, numeric = findings.columns[name], findings.columns.numeric[name]
    yes_no = numeric.kind == "yes_no"
    told = f"{share(histogram.mean, 1)} yes" if yes_no else _facts(histogram)
    return SmallView(name, numeric.made_by, small_histogram(name, histogram, yes_no=yes_no), told)


def bars(counter: TopCounter, size: int, *, rest: str = "") -> list[BarRow]:
    """The highest counts as bars; what is left over as one more, when it has a name."""
    top = counter.top(size)
    entries = [(name, count) for name, count in top if count]
    left = counter.total - sum(count for _, count in entries)
    if rest and left:
        entries.append((rest, left))
    most = max((count for _, count in entries), default=1)
    return [
        BarRow(
            name,
            number(count),
            share(count, counter.total),
            segment_bar([Segment(count / most, "plain" if name != rest else "rest", "")], label=f"{name}: {count}"),
        )
        for name, count in entries
    ]


def sizes_chart(findings: Findings) -> Markup | None:
    return size_map(findings.images.sizes) if findings.images.sizes.any() else None
