"""Captions on the page, ready for the template: how many were accepted and why others not, what they cost, and some.

In: Findings. Out: plain dataclasses with cards and charts; texts are escaped by the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from beam_jobs.recaptioning.cost import cost_of
from beam_jobs.report.charts import Segment, segment_bar, small_histogram
from beam_jobs.report.display import duration, measure, number, plural, share, tidy
from beam_jobs.report.funnel import StageTotals
from beam_jobs.report.gather import Findings
from beam_jobs.report.said import CaptionsSaid
from beam_jobs.report.sample_views import Shown
from beam_jobs.report.samples import Place
from schemas.reasons import FAILURES, KEPT

_FACTS = (
    ("refusing", "decline to answer"),
    ("echoing", "repeat the prompt or the original text"),
    ("looping", "say the same again and again"),
    ("cut", "ended at the token limit"),
)


@dataclass(frozen=True)
class CaptionedView:
    """An original text beside what was said of its picture."""

    original: str
    shown: Shown
    reason: str


@dataclass(frozen=True)
class CaptionerView:
    """What one captioner did."""

    label: str
    told: str
    ends: tuple[tuple[str, str, str, Markup, str], ...]
    facts: tuple[tuple[str, str, str, Markup], ...]
    cost: tuple[tuple[str, str], ...]
    charts: tuple[tuple[str, Markup, str], ...]
    closer: str
    accepted: tuple[CaptionedView, ...]
    others: tuple[CaptionedView, ...]


def caption_views(findings: Findings) -> list[CaptionerView]:
    """One view a captioner that was asked about any row."""
    totals = {
        name.rpartition(".")[2]: total for name, total in findings.totals.items() if name.startswith("recaption/")
    }
    return [_view(findings, said, totals[said.label]) for said in findings.captioners if said.label in totals]


def _view(findings: Findings, said: CaptionsSaid, total: StageTotals) -> CaptionerView:
    by = f" by {said.model}" if said.model else ""
    asked = f", asked with the prompt {said.prompt}" if said.prompt else ""
    told = f"{number(total.kept)} of {plural(total.rows_in, 'picture')} have a caption{by}{asked}."
    most = max(total.reasons.values(), default=1)
    ends = tuple(
        (
            "accepted" if reason == KEPT else reason,
            number(rows),
            share(rows, total.rows_in),
            segment_bar([Segment(rows / most, "on" if reason == KEPT else "plain", "")], label=f"{reason}: {rows}"),
            FAILURES.get(reason, ""),
        )
        for reason, rows in sorted(total.reasons.items(), key=lambda item: (item[0] != KEPT, -item[1], item[0]))
    )
    captions = int(total.numbers.get("captions", 0))
    facts = tuple(
        (what, number(found), share(found, captions), segment_bar([Segment(found / captions, "plain", "")], label=what))
        for name, what in _FACTS
        if captions
        for found in [int(total.numbers.get(name, 0))]
    )
    return CaptionerView(
        label=said.label,
        told=tidy(told),
        ends=ends,
        facts=facts,
        cost=tuple(_cost(total)),
        charts=_charts(said),
        closer=f"In {share(said.closer, said.new.rows)} the caption is the closer one." if said.new.rows else "",
        accepted=_shown(findings, said, said.accepted),
        others=_shown(findings, said, said.others),
    )


def _cost(total: StageTotals) -> list[tuple[str, str]]:
    cost = cost_of(total.numbers, shards=total.shards, rows=total.rows_in, seconds=total.seconds)
    captions = max(cost.captions, 1)
    lines = [
        ("captions", number(cost.captions)),
        ("requests answered", f"{number(cost.asked)}, and {number(cost.found)} found in the store"),
        ("tokens in", f"{number(cost.tokens_in)}, {measure(cost.tokens_in / captions, 3)} a caption"),
        ("tokens out", f"{number(cost.tokens_out)}, {measure(cost.tokens_out / captions, 3)} a caption"),
        ("time", duration(cost.seconds)),
    ]
    if cost.rows_per_second is not None:
        lines.append(("samples", f"{measure(cost.rows_per_second, 3)}/s"))
    if cost.tokens_per_second is not None:
        lines.append(("tokens out, of requests made", f"{measure(cost.tokens_per_second, 3)}/s"))
    return lines


def _charts(said: CaptionsSaid) -> tuple[tuple[str, Markup, str], ...]:
    if not said.new.rows:
        return ()
    return tuple(
        (name, small_histogram(f"{name} and picture", histogram), f"mean {measure(histogram.mean, 3)}")
        for name, histogram in (("original text", said.old), ("accepted caption", said.new))
    )


def _shown(findings: Findings, said: CaptionsSaid, places: Sequence[Place]) -> tuple[CaptionedView, ...]:
    found = []
    for place in places:
        card, words = findings.cards.get(place), said.words.get(place)
        if card is None or words is None:
            continue
        hidden = not card.picture
        text = card.text if hidden else tidy(words.text)
        tone = "cut" if words.reason else "kept"
        found.append(CaptionedView(card.text, Shown(replace(card, text=text), "", tone), words.reason))
    return tuple(found)
