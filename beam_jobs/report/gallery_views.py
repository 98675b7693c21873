"""The clusters of the page, ready for the template.

In: Findings. Out: plain dataclasses with cards; texts are escaped by the template.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from beam_jobs.report.charts import Segment, segment_bar
from beam_jobs.report.display import measure, number, plural, share, tidy
from beam_jobs.report.galleries import Galleries, Gallery
from beam_jobs.report.gather import Findings
from beam_jobs.report.sample_views import Shown
from beam_jobs.report.views import BarRow, bars

LABELS_SHOWN = 12


@dataclass(frozen=True)
class GalleryView:
    """One cluster: its number or label, how many images it holds, some of them."""

    title: str
    label: str
    size: str
    share: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class ClustersView:
    """What one grouper of clusters made."""

    label: str
    told: str
    sizes: tuple[tuple[str, str, Markup], ...]
    labels: list[BarRow]
    galleries: tuple[GalleryView, ...]


def clusters_views(findings: Findings) -> list[ClustersView]:
    """One view a grouper of clusters that placed any image."""
    return [_clusters_view(findings, found) for found in findings.galleries if found.rows]


def _clusters_view(findings: Findings, found: Galleries) -> ClustersView:
    shown = found.galleries()
    told = f"{plural(found.rows, 'image')} in {plural(len(found.sizes), 'cluster')}"
    if shown and len(found.sizes) > 1:
        told += f"; the largest holds {share(shown[0].size, found.rows)} of them, "
        told += f"half of them are in {plural(found.half_of_rows(), 'cluster')}"
    if found.labels.total:
        told += f". {share(found.labels.total, found.rows)} are in a cluster with a label"
    return ClustersView(
        label=found.label,
        told=told + ".",
        sizes=_sizes(found),
        labels=bars(found.labels, LABELS_SHOWN, rest="other labels") if found.labels.total else [],
        galleries=tuple(_gallery_view(findings, found, gallery) for gallery in shown),
    )


def _gallery_view(findings: Findings, found: Galleries, gallery: Gallery) -> GalleryView:
    shown = tuple(
        Shown(findings.cards[prototype.place], measure(prototype.similarity, 3), "kept")
        for prototype in gallery.shown
        if prototype.place in findings.cards
    )
    label = tidy(gallery.label, 60)
    return GalleryView(
        f"cluster {gallery.cluster}", label, plural(gallery.size, "image"), share(gallery.size, found.rows), shown
    )


def _sizes(found: Galleries) -> tuple[tuple[str, str, Markup], ...]:
    """Clusters by the power of ten of their size."""
    counts = sorted(found.by_size().items())
    most = max((count for _, count in counts), default=1)
    rows = []
    for power, count in counts:
        name = f"{number(10**power)} to {number(10 ** (power + 1) - 1)}"
        rows.append((name, number(count), segment_bar([Segment(count / most, "plain", "")], label=f"{name}: {count}")))
    return tuple(rows)
