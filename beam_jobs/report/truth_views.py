"""The comparison with the ground truth, ready for the template.

In: Findings. Out: plain dataclasses, or None where the run was not made on the embedded world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from beam_jobs.report.charts import Segment, histogram_chart, segment_bar
from beam_jobs.report.display import ABSENT, number, share
from beam_jobs.report.gather import Findings
from beam_jobs.report.truth import Finder
from beam_jobs.report.views import marks_of
from schemas.reasons import KEPT

_DEPTHS = 4


@dataclass(frozen=True)
class FinderRow:
    name: str
    seeks: str
    found: str
    right: str
    sought: str
    precision: str
    precision_bar: Markup
    recall: str
    recall_bar: Markup


@dataclass(frozen=True)
class Cell:
    count: str
    tone: str
    depth: int


@dataclass(frozen=True)
class MatrixRow:
    kind: str
    rows: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class SeparationView:
    column: str
    auc: str
    chart: Markup


@dataclass(frozen=True)
class MeasuredView:
    rows: str
    finders: tuple[FinderRow, ...]
    ends: tuple[str, ...]
    matrix: tuple[MatrixRow, ...]
    separations: tuple[SeparationView, ...]


def measured_view(findings: Findings) -> MeasuredView | None:
    """The whole section."""
    measured = findings.measured
    if measured is None or not measured.rows:
        return None
    return MeasuredView(
        rows=number(measured.rows),
        finders=tuple(map(_finder_row, measured.finders)),
        ends=measured.ends,
        matrix=tuple(_matrix_row(kind, ends, measured.ends) for kind, ends in measured.outcomes.items()),
        separations=tuple(
            SeparationView(
                each.column,
                f"{each.auc:.4f}",
                histogram_chart(each.column, each.histogram, marks_of(findings, findings.columns.cuts_on(each.column))),
            )
            for each in measured.separations
        ),
    )


def _finder_row(finder: Finder) -> FinderRow:
    def bar(whole: int, word: str) -> Markup:
        part = finder.right / whole if whole else 0.0
        return segment_bar([Segment(part, "good", "")], label=f"{word} {share(finder.right, whole)}")

    return FinderRow(
        name=finder.name,
        seeks=finder.seeks,
        found=number(finder.found),
        right=number(finder.right),
        sought=number(finder.sought),
        precision=share(finder.right, finder.found) if finder.found else ABSENT,
        precision_bar=bar(finder.found, "precision"),
        recall=share(finder.right, finder.sought) if finder.sought else ABSENT,
        recall_bar=bar(finder.sought, "recall"),
    )


def _matrix_row(kind: str, outcomes: Mapping[str, int], ends: Sequence[str]) -> MatrixRow:
    rows = sum(outcomes.values())
    cells = []
    for end in ends:
        count = outcomes.get(end, 0)
        depth = 0 if not count else min(_DEPTHS, 1 + int(_DEPTHS * count / rows))
        tone = "kept" if end == KEPT else "other" if end in ("failed", "never found") else "cut"
        cells.append(Cell(number(count), tone, depth))
    return MatrixRow(kind, number(rows), tuple(cells))
