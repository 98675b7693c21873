"""The funnel: stage after stage, how many rows came, how many went on, and where the others ended.

In: the markers of each stage's ledger. Out: stages whose rows add up: what goes on from one comes into the next, and
what comes in either goes on or is lost for a reason. Where a run's ledgers do not add up, the stage says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.run_folder import RunFolder
from schemas.reasons import KEPT


@dataclass(frozen=True)
class StageTotals:
    """A ledger's markers added up."""

    ledger: str
    state: str
    fingerprint: str
    configuration: Any
    shards: int
    rows_in: int
    reasons: Mapping[str, int]
    details: Mapping[str, Mapping[str, int]]
    numbers: Mapping[str, float]
    seconds: float

    @property
    def kept(self) -> int:
        return self.reasons.get(KEPT, 0)


@dataclass(frozen=True)
class Loss:
    """Rows that ended at a stage for one reason."""

    reason: str
    rows: int


@dataclass(frozen=True)
class FunnelStage:
    """rows_in = rows_on + all losses. follows: what comes in is what went on from the stage before."""

    name: str
    title: str
    what: str
    rows_in: int
    rows_on: int
    losses: tuple[Loss, ...]
    follows: bool

    @property
    def lost(self) -> int:
        return sum(loss.rows for loss in self.losses)


# Stage of the ledger, what its survivors are called, what it did.
_TITLES = (
    ("extract", "Usable", "with an address to fetch, and nothing against it"),
    ("preselect", "Planned", "left by the rules on text and URL: worth a download"),
    ("download", "Downloaded", "fetched, decoded, resized and stored"),
    ("select", "Selected", "left by the rules on scores and duplicates"),
    ("write", "Written", "packed into training shards"),
)


def read_totals(folder: RunFolder, ledgers: Iterable[str]) -> dict[str, StageTotals]:
    """The totals of those ledgers that exist, in the order given."""
    found: dict[str, StageTotals] = {}
    for name in ledgers:
        ledger = Ledger(folder.ledger(name))
        manifest, markers = ledger.read_manifest(), list(ledger.markers().values())
        if manifest is None and not markers:
            continue
        reasons: Counter[str] = Counter()
        details: dict[str, Counter[str]] = {}
        numbers: Counter[str] = Counter()
        for marker in markers:
            reasons.update(marker.tally.reasons)
            numbers.update(marker.tally.numbers)
            for unit, counts in marker.tally.details.items():
                details.setdefault(unit, Counter()).update(counts)
        found[name] = StageTotals(
            ledger=name,
            state=manifest.state if manifest else "started",
            fingerprint=manifest.fingerprint if manifest else "",
            configuration=manifest.configuration if manifest else None,
            shards=len(markers),
            rows_in=sum(marker.tally.rows_in for marker in markers),
            reasons=dict(sorted(reasons.items())),
            details={unit: dict(sorted(counts.items())) for unit, counts in sorted(details.items())},
            numbers=dict(sorted(numbers.items())),
            seconds=manifest.seconds if manifest and manifest.seconds else sum(marker.seconds for marker in markers),
        )
    return found


def stage_of(ledger: str) -> str:
    """`score/clip` -> `score`."""
    return ledger.partition("/")[0]


def make_funnel(totals: Mapping[str, StageTotals]) -> tuple[FunnelStage, ...]:
    """The stages that rows leave, in order."""
    by_stage = {stage_of(name): total for name, total in totals.items()}
    funnel: list[FunnelStage] = []
    for name, title, what in _TITLES:
        total = by_stage.get(name)
        if total is None:
            continue
        losses = [Loss(reason, rows) for reason, rows in total.reasons.items() if reason != KEPT and rows]
        losses.sort(key=lambda loss: (-loss.rows, loss.reason))
        follows = not funnel or total.rows_in == funnel[-1].rows_on
        funnel.append(FunnelStage(name, title, what, total.rows_in, total.kept, tuple(losses), follows))
    return tuple(funnel)


def final_reasons(funnel: Sequence[FunnelStage]) -> dict[str, int]:
    """Where every row ended: adds up to the rows of the first stage when each stage adds up."""
    ended: Counter[str] = Counter()
    for stage in funnel:
        ended.update({loss.reason: loss.rows for loss in stage.losses})
    if funnel:
        ended[KEPT] = funnel[-1].rows_on
    return dict(sorted(ended.items()))
