"""All that the page tells, gathered from a run folder's tables and ledgers.

In: the run folder, the recipe and the names of its ledgers. Out: Findings. The image shards are read one after the
other, once for the counts and, where there are duplicates to show, once for their members; pictures of a few rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from beam_jobs.report.cards import Card, read_cards
from beam_jobs.report.charts import SIZE_BINS, size_cells
from beam_jobs.report.columns import Columns
from beam_jobs.report.duplicates import Duplicates, has_groups
from beam_jobs.report.failures import DroppedText, Failures, counts_of, dropped_before_download
from beam_jobs.report.funnel import FunnelStage, StageTotals, final_reasons, make_funnel, read_totals
from beam_jobs.report.galleries import Galleries
from beam_jobs.report.known_hits import KnownHits
from beam_jobs.report.said import CaptionsSaid, captioners_of
from beam_jobs.report.samples import AtCuts, Place, Samples
from beam_jobs.report.shard_rows import (
    MOST_ROWS,
    ShardRows,
    Sidecars,
    find_sidecars,
    iter_rows,
    numeric_columns,
)
from beam_jobs.report.text_truth import measure_texts, text_entries
from beam_jobs.report.thresholds import Cut, Step, cuts_of, steps_of
from beam_jobs.report.tops import TopCounter
from beam_jobs.report.truth import Finder, Measured, Truth, agreeing_columns
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.run_folder import RunFolder
from schemas.reasons import KEPT

KEPT_SAMPLES, DROPPED_SAMPLES, CUT_SAMPLES = 24, 8, 4
DROPPED_REASONS, CUTS_SHOWN = 14, 8
LARGEST_GROUPS, DOUBTFUL_PAIRS, MEMBERS_SHOWN = 4, 8, 8
LARGEST_CLUSTERS, PROTOTYPES_SHOWN = 6, 8
TEXTS_A_REASON, PARTS_READ = 5, 16
CARD_COLUMNS = 14


class Collector(Protocol):
    """Something that learns from one shard after the other."""

    def add(self, rows: ShardRows) -> None: ...


@dataclass
class Images:
    """Formats, languages and sizes of the images that were fetched."""

    formats: TopCounter = field(default_factory=TopCounter)
    languages: TopCounter = field(default_factory=TopCounter)
    sizes: np.ndarray = field(default_factory=lambda: np.zeros((SIZE_BINS, SIZE_BINS), dtype=np.int64))

    def add(self, rows: ShardRows) -> None:
        fetched = rows.table.filter(rows.table["reason"].is_null())
        for counter, column in ((self.formats, "format"), (self.languages, "page_language")):
            if column in fetched.column_names:
                counter.add(counts_of(fetched[column]))
        if "original_width" in fetched.column_names:
            width, height = rows.numbers("original_width"), rows.numbers("original_height")
            known = np.isfinite(width) & np.isfinite(height) & rows.fetched
            np.add.at(self.sizes, (size_cells(height[known]), size_cells(width[known])), 1)


@dataclass(frozen=True)
class Findings:
    """Everything the page is made of."""

    recipe_name: str
    recipe: Mapping[str, Any]
    steps: tuple[Step, ...]
    cuts: tuple[Cut, ...]
    sidecars: Sidecars
    totals: Mapping[str, StageTotals]
    funnel: tuple[FunnelStage, ...]
    reasons: Mapping[str, int]
    columns: Columns
    images: Images
    failures: Failures
    samples: Samples
    at_cuts: AtCuts
    duplicates: tuple[Duplicates, ...]
    galleries: tuple[Galleries, ...]
    known: tuple[KnownHits, ...]
    captioners: tuple[CaptionsSaid, ...]
    cards: Mapping[Place, Card]
    dropped_texts: Mapping[str, Sequence[DroppedText]]
    measured: Measured | None

    def stage(self, name: str) -> FunnelStage | None:
        return next((stage for stage in self.funnel if stage.name == name), None)

    def rows_at(self, name: str) -> int:
        """How many rows a stage let through; 0 where it did not run."""
        stage = self.stage(name)
        return stage.rows_on if stage else 0


def gather(
    work: str,
    recipe_name: str,
    recipe: Mapping[str, Any],
    ledgers: Sequence[str],
    *,
    truth: str | None = None,
    most_rows: int = MOST_ROWS,
) -> Findings:
    """Reads a run folder; truth: the table of the embedded world's, where the run was made on it.

    most_rows: of runs with more, some shards are read. What the ledgers tell is of all rows even then.
    """
    folder = RunFolder(work)
    totals = read_totals(folder, ledgers)
    funnel = make_funnel(totals)
    sidecars = find_sidecars(work, recipe_name, ledgers, most_rows=most_rows)
    steps, cuts = steps_of(recipe), cuts_of(recipe)
    columns = Columns(numeric_columns(sidecars), steps, cuts)
    images, failures = Images(), Failures()
    samples = Samples(kept=KEPT_SAMPLES, dropped=DROPPED_SAMPLES)
    at_cuts = AtCuts(cuts, each=CUT_SAMPLES)
    duplicates = [Duplicates(label, LARGEST_GROUPS, DOUBTFUL_PAIRS, MEMBERS_SHOWN) for label in sidecars.groups]
    galleries = [Galleries(label, LARGEST_CLUSTERS, PROTOTYPES_SHOWN) for label in sidecars.groups]
    known = [KnownHits(label) for label in sidecars.groups]
    captioners = captioners_of(folder, recipe_name, ledgers, (recipe.get("recaption") or {}).get("similarity"))
    against = Truth(truth, agreeing_columns(recipe)) if truth else None
    collectors: list[Collector] = [
        columns,
        images,
        failures,
        samples,
        at_cuts,
        *duplicates,
        *galleries,
        *known,
        *captioners,
    ]
    collectors += [against] if against else []
    for rows in iter_rows(sidecars):
        for collector in collectors:
            collector.add(rows)
    columns.finish()
    for clustered in galleries:
        clustered.finish(folder)
    for held in known:
        held.finish(folder)
    if any(found.wanted() for found in duplicates):
        for rows in iter_rows(sidecars):
            for found in duplicates:
                if has_groups(rows.table.column_names, found.label):
                    found.collect(rows)
    told = [*columns.ruled(), *columns.others(leave_out=("width", "height", "frame_count"))]
    before = {
        reason: rows
        for stage in funnel
        if stage.name in ("extract", "preselect")
        for reason, rows in ((loss.reason, loss.rows) for loss in stage.losses)
    }
    parts = Ledger(folder.ledger("preselect")).markers()
    if against:
        against.add_dropped(folder, parts)
    return Findings(
        recipe_name=recipe_name,
        recipe=recipe,
        steps=steps,
        cuts=cuts,
        sidecars=sidecars,
        totals=totals,
        funnel=funnel,
        reasons=final_reasons(funnel),
        columns=columns,
        images=images,
        failures=failures,
        samples=samples,
        at_cuts=at_cuts,
        duplicates=tuple(found for found in duplicates if found.rows),
        galleries=tuple(clustered for clustered in galleries if clustered.rows),
        known=tuple(held for held in known if held.rows),
        captioners=tuple(said for said in captioners if said.rows),
        cards=read_cards(
            sidecars,
            [*_places(samples, at_cuts, cuts, duplicates, galleries, known), *_said(captioners)],
            told[:CARD_COLUMNS],
        ),
        dropped_texts=dropped_before_download(folder, parts, before, each=TEXTS_A_REASON, parts_read=PARTS_READ),
        measured=against.measure(cuts, _drawn(recipe)) if against else None,
    )


def _drawn(recipe: Mapping[str, Any]) -> list[Finder]:
    """The recipe's scorers of texts, on texts drawn for that; they say so."""
    found = measure_texts(entries=text_entries(recipe.get("score") or ()))
    return [replace(finder, name=f"{finder.name} (drawn texts)") for finder in found]


def _said(captioners: Sequence[CaptionsSaid]) -> list[Place]:
    return [place for said in captioners for place in (*said.accepted, *said.others)]


def _places(
    samples: Samples,
    at_cuts: AtCuts,
    cuts: Sequence[Cut],
    duplicates: Sequence[Duplicates],
    galleries: Sequence[Galleries],
    known: Sequence[KnownHits],
) -> list[Place]:
    """Every row that the page may show."""
    places = list(samples.places(KEPT))
    for reason in samples.dropped_reasons():
        places += samples.places(reason)
    for cut in cuts:
        for side in at_cuts.around(cut):
            places += side
    for found in duplicates:
        for group in (*found.largest_groups(), *found.doubtful_pairs()):
            places += [member.place for member in group.members]
    for clustered in galleries:
        places += [shown.place for gallery in clustered.galleries() for shown in gallery.shown]
    for held in known:
        places += [hit.place for hit in held.hits]
    return places
