"""Known images on the page, ready for the template: counts by index and kind, pairs of a new image and a known one.

In: Findings. Out: plain dataclasses with cards; texts are escaped by the template.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from beam_jobs.report.cards import Card
from beam_jobs.report.charts import Segment, segment_bar
from beam_jobs.report.display import number, plural, share, tidy
from beam_jobs.report.gather import Findings
from beam_jobs.report.known_hits import Hit, KnownHits
from beam_jobs.report.pictures import thumbnail
from beam_jobs.report.sample_views import Shown


@dataclass(frozen=True)
class PairView:
    """A hit: what it is said to be, the new image, then the known one as far as its index has a picture."""

    told: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class KnownView:
    """What one grouper knew."""

    label: str
    told: str
    counts: tuple[tuple[str, str, Markup], ...]
    pairs: tuple[PairView, ...]


def known_views(findings: Findings) -> list[KnownView]:
    """One view a grouper that held images against an index."""
    return [_known_view(findings, found) for found in findings.known if found.rows]


def _known_view(findings: Findings, found: KnownHits) -> KnownView:
    hits = found.counts.total()
    told = f"{number(hits)} of {plural(found.rows, 'image')} ({share(hits, found.rows)}) "
    told += "was known before." if hits == 1 else "were known before."
    most = max(found.counts.values(), default=1)
    counts = tuple(
        (f"{index}, by {kind}", number(rows), segment_bar([Segment(rows / most, "plain", "")], label=f"{kind}: {rows}"))
        for (index, kind), rows in sorted(found.counts.items(), key=lambda item: (-item[1], item[0]))
    )
    pairs = tuple(_pair_view(findings, found, hit) for hit in found.hits if hit.place in findings.cards)
    return KnownView(found.label, told, counts, pairs)


def _pair_view(findings: Findings, found: KnownHits, hit: Hit) -> PairView:
    new = Shown(findings.cards[hit.place], hit.apart, "cut")
    name, data = found.pictures.get(hit.known, ("", b""))
    known = Card(
        uid=hit.known,
        text=tidy(name or hit.known),
        url="",
        host=tidy(hit.index, 80),
        page_url="",
        reason="",
        width=0,
        height=0,
        picture=thumbnail(data) if data else "",
        scores=(),
    )
    return PairView(f"by {hit.kind}", (new, Shown(known, "", "kept")))
