"""The charts of the report, drawn as SVG: histograms with their thresholds, bars, a map of image sizes.

In: counts. Out: escaped markup that takes its colours from the page's classes, so that it follows light and dark.
Whatever a chart shows on hover stands in `data-tip`; the page's script shows it, nothing else depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from beam_jobs.report.bins import CUT, KEPT, OTHER, Bins, Histogram, nice_step
from beam_jobs.report.display import compact, measure, number, share
from beam_jobs.report.svg import drawing, element, group, line, rect, text

_CLASSES = {KEPT: "kept", CUT: "cut", OTHER: "other"}
_GAP = 0.12
_CHARACTER = 6.2  # of an axis label, wide


@dataclass(frozen=True)
class Mark:
    """A threshold as a chart shows it: rows stay where `column operator value`."""

    value: float
    operator: str

    @property
    def keeps_high(self) -> bool:
        return self.operator in (">", ">=")

    @property
    def label(self) -> str:
        return f"{self.operator.replace('>=', '≥').replace('<=', '≤')} {measure(self.value)}"


@dataclass(frozen=True)
class _Frame:
    """Where the bars of a histogram lie in its picture."""

    bins: Bins
    left: float
    right: float
    top: float
    bottom: float

    def x(self, value: float) -> float:
        """The place of a value on the axis, within the frame; log scales go by the bin."""
        edges = self.bins.edges
        if self.bins.scale == "log":
            low, high, value = math.log(edges[0]), math.log(edges[-1]), math.log(max(value, edges[0]))
        else:
            low, high = edges[0], edges[-1]
        part = (value - low) / (high - low)
        return self.left + (self.right - self.left) * min(max(part, 0.0), 1.0)


def _axis_ticks(bins: Bins, parts: int) -> list[float]:
    low, high = bins.edges[0], bins.edges[-1]
    if bins.scale == "integers" and len(bins) <= parts + 1:
        return [edge + 0.5 for edge in bins.edges[:-1]]
    if bins.scale == "log":
        powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high)) + 1)
        steps = [10.0**power for power in powers]
        if len(steps) < 3:
            steps = [factor * 10.0**power for power in range(powers.start - 1, powers.stop) for factor in (1, 2, 5)]
        return [step for step in steps if low <= step <= high]
    step = nice_step(high - low, parts)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _axis(frame: _Frame, parts: int, *, yes_no: bool = False) -> Markup:
    shift = -0.5 if frame.bins.scale == "integers" and len(frame.bins) <= parts + 1 else 0.0
    drawn = [line(frame.left, frame.bottom, frame.right, frame.bottom, class_="axis")]
    free = -math.inf
    for tick in _axis_ticks(frame.bins, parts):
        x, label = frame.x(tick), compact(tick + shift)
        label = {"0": "no", "1": "yes"}.get(label, label) if yes_no else label
        width = _CHARACTER * len(label)
        anchor = "start" if x < frame.left + 8 else "end" if x > frame.right - 8 else "middle"
        start = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
        drawn.append(line(x, frame.bottom, x, frame.bottom + 3, class_="axis"))
        if start >= free:
            drawn.append(text(label, x, frame.bottom + 14, class_="tick", text_anchor=anchor))
            free = start + width + _CHARACTER
    return group(*drawn)


def _bin_label(bins: Bins, index: int) -> str:
    if bins.scale == "integers":
        return measure(bins.edges[index])
    return f"{measure(bins.edges[index])} to {measure(bins.edges[index + 1])}"


def _tip(histogram: Histogram, index: int, marks: Sequence[Mark]) -> str:
    kept, cut, other = (int(histogram.counts[outcome, index]) for outcome in (KEPT, CUT, OTHER))
    lines = [_bin_label(histogram.bins, index), f"{number(kept)} kept"]
    if cut:
        lines.append(f"{number(cut)} dropped by its rule")
    if other:
        lines.append(f"{number(other)} dropped otherwise")
    by_bin = histogram.counts.sum(axis=0)
    passing = by_bin[index:].sum() if not marks or marks[0].keeps_high else by_bin[:index].sum()
    side = "from here up" if not marks or marks[0].keeps_high else "below here"
    lines.append(f"{share(int(passing), histogram.rows)} of all {side}")
    return "\n".join(lines)


def _bars(histogram: Histogram, frame: _Frame) -> Markup:
    highest = max(int(histogram.counts.sum(axis=0).max()), 1)
    scale = (frame.bottom - frame.top) / highest
    width = (frame.right - frame.left) / len(histogram.bins)
    drawn = []
    for index in range(len(histogram.bins)):
        y = frame.bottom
        for outcome in (KEPT, CUT, OTHER):
            rows = int(histogram.counts[outcome, index])
            if rows:
                height = max(rows * scale, 0.6)
                y -= height
                x = frame.left + index * width + width * _GAP / 2
                drawn.append(rect(x, y, width * (1 - _GAP), height, class_=_CLASSES[outcome]))
    return group(*drawn)


def _hover(histogram: Histogram, frame: _Frame, marks: Sequence[Mark]) -> Markup:
    width = (frame.right - frame.left) / len(histogram.bins)
    return group(
        *(
            rect(
                frame.left + index * width,
                frame.top,
                width,
                frame.bottom - frame.top,
                data_tip=_tip(histogram, index, marks),
            )
            for index in range(len(histogram.bins))
        ),
        class_="hits",
    )


def _marks(frame: _Frame, marks: Sequence[Mark], *, labels: bool) -> Markup:
    drawn: list[Markup] = []
    for index, mark in enumerate(marks):
        x = frame.x(mark.value)
        drawn.append(line(x, frame.top - (10 if labels else 2), x, frame.bottom, class_="mark"))
        if labels:
            right = mark.keeps_high if frame.left + 60 < x < frame.right - 60 else x < frame.left + 60
            place, anchor = (x + 5, "start") if right else (x - 5, "end")
            y = frame.top - 3 + (12 * index if index and abs(frame.x(marks[index - 1].value) - x) < 60 else 0)
            drawn.append(text(mark.label, place, y, class_="mark-label", text_anchor=anchor))
    return group(*drawn)


def _shade(frame: _Frame, marks: Sequence[Mark]) -> Markup:
    """Tints the side of each threshold that does not stay."""
    drawn = []
    for mark in marks:
        x = frame.x(mark.value)
        left, right = (frame.left, x) if mark.keeps_high else (x, frame.right)
        drawn.append(rect(left, frame.top, right - left, frame.bottom - frame.top, class_="dropped-side"))
    return group(*drawn)


def histogram_chart(name: str, histogram: Histogram, marks: Sequence[Mark]) -> Markup:
    """A histogram with thresholds, counts on the left and values below."""
    width, height = 320, 176
    frame = _Frame(histogram.bins, left=36, right=width - 6, top=22, bottom=height - 22)
    highest = max(int(histogram.counts.sum(axis=0).max()), 1)
    step = max(1.0, nice_step(highest, 3))
    grid: list[Markup] = []
    for rows in np.arange(step, highest + 0.001, step).tolist():
        y = frame.bottom - (frame.bottom - frame.top) * rows / highest
        grid.append(line(frame.left, y, frame.right, y, class_="grid"))
        grid.append(text(compact(rows), frame.left - 6, y + 3.5, class_="tick", text_anchor="end"))
    return drawing(
        width,
        height,
        group(*grid),
        _shade(frame, marks),
        _bars(histogram, frame),
        _axis(frame, 6),
        _marks(frame, marks, labels=True),
        _hover(histogram, frame, marks),
        label=_description(name, histogram, marks),
        class_="histogram",
    )


def small_histogram(
    name: str, histogram: Histogram, marks: Sequence[Mark] = (), *, shaded: bool = True, yes_no: bool = False
) -> Markup:
    """A histogram for small multiples: values below, no counts."""
    width, height = 200, 84
    frame = _Frame(histogram.bins, left=2, right=width - 2, top=6, bottom=height - 18)
    return drawing(
        width,
        height,
        _shade(frame, marks) if shaded else "",
        _bars(histogram, frame),
        _axis(frame, 4, yes_no=yes_no),
        _marks(frame, marks, labels=False),
        _hover(histogram, frame, marks),
        label=_description(name, histogram, marks),
        class_="histogram small",
    )


def _description(name: str, histogram: Histogram, marks: Sequence[Mark]) -> str:
    told = f"Histogram of {name}: {number(histogram.rows)} values from {measure(histogram.smallest)} to "
    told += f"{measure(histogram.largest)}, mean {measure(histogram.mean)}"
    return told + "".join(f"; threshold {mark.label}" for mark in marks)


@dataclass(frozen=True)
class Segment:
    """A part of a bar, as a share of its whole."""

    part: float
    class_: str
    tip: str


def segment_bar(segments: Sequence[Segment], *, label: str) -> Markup:
    """A bar across its box; what its segments do not fill stays empty."""
    drawn: list[Markup] = []
    start = 0.0
    for segment in segments:
        width = max(segment.part, 0.002) if segment.part > 0 else 0.0
        drawn.append(
            element(
                "rect",
                x=f"{100 * start:.3f}%",
                y="0",
                width=f"{100 * width:.3f}%",
                height="100%",
                class_=segment.class_,
                data_tip=segment.tip,
            )
        )
        start += segment.part
    return element("svg", *drawn, role="img", aria_label=label, class_="bar")


# Image sides of 8 to 32,768 pixels, three cells a doubling.
SIZE_FIRST, SIZE_LAST, SIZE_CELLS = 3, 15, 3
SIZE_BINS = (SIZE_LAST - SIZE_FIRST) * SIZE_CELLS


def size_cells(pixels: np.ndarray) -> np.ndarray:
    """The cell of each side length on a size map's axis."""
    places = (np.log2(np.maximum(pixels, 1)) - SIZE_FIRST) * SIZE_CELLS
    return np.clip(np.floor(places + 1e-9), 0, SIZE_BINS - 1).astype(np.int64)


def _side(cell: int) -> int:
    return round(2 ** (SIZE_FIRST + cell / SIZE_CELLS))


def size_map(counts: np.ndarray) -> Markup:
    """Widths across, heights up, by doubling; `counts[height cell, width cell]`; darker is more images."""
    rows, columns = np.nonzero(counts)
    step = SIZE_CELLS
    low = int(min(rows.min(), columns.min())) // step * step
    high = -(-(int(max(rows.max(), columns.max())) + 1) // step) * step
    if high - low < 3 * step:
        low, high = max(0, low - step), min(SIZE_BINS, high + step)
    width, height, left, bottom = 400, 330, 42, 300
    cell_x, cell_y = (width - 8 - left) / (high - low), (bottom - 8) / (high - low)
    drawn: list[Markup] = []
    for cell in range(low, high + 1, step):
        x, y = left + (cell - low) * cell_x, bottom - (cell - low) * cell_y
        drawn.append(line(x, 8, x, bottom, class_="grid"))
        drawn.append(line(left, y, width - 8, y, class_="grid"))
        drawn.append(text(str(_side(cell)), x, bottom + 14, class_="tick", text_anchor="middle"))
        drawn.append(text(str(_side(cell)), left - 6, y + 3.5, class_="tick", text_anchor="end"))
    drawn.append(line(left, bottom, width - 8, 8, class_="diagonal"))
    most, all_images = int(counts.max()), int(counts.sum())
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        images = int(counts[row, column])
        drawn.append(
            rect(
                left + (column - low) * cell_x + 0.5,
                bottom - (row + 1 - low) * cell_y + 0.5,
                cell_x - 1,
                cell_y - 1,
                class_="cell",
                fill_opacity=round(0.18 + 0.82 * math.sqrt(images / most), 2),
                data_tip=f"{_side(column)} to {_side(column + 1)} px wide\n{_side(row)} to {_side(row + 1)} px high\n"
                f"{number(images)} images, {share(images, all_images)}",
            )
        )
    drawn.append(text("width, pixels", (left + width) / 2, height - 1, class_="tick", text_anchor="middle"))
    return drawing(width, height, *drawn, label="Map of image widths and heights", class_="sizes")
