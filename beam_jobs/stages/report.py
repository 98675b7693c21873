"""Report: one HTML page about a run, to look at.

In: tables and ledgers of a run folder, and a few stored images. Out: report/<recipe>/index.html, which needs no
network and nothing beside it; the same bytes for the same tables and ledgers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_jobs.storage.files import write_bytes
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.run_folder import RunFolder


@dataclass(frozen=True)
class ReportTask:
    """recipe: its sections as plain values. ledgers: those to tell of, in the order of the flow.

    resolve: the rules of `--resolve` under which images were fetched, announced in the page. truth: a table with the
    ground truth of the embedded world, against which the filters are measured.
    """

    work: str
    recipe_name: str
    shard: int
    recipe: Mapping[str, Any]
    ledgers: tuple[str, ...]
    resolve: tuple[str, ...] = ()
    truth: str | None = None


def write_report(task: ReportTask) -> Tally:
    """Writes the page. The tally says where every row of the run ended."""
    from beam_jobs.report.gather import gather
    from beam_jobs.report.page import render

    findings = gather(task.work, task.recipe_name, task.recipe, task.ledgers, truth=task.truth)
    page = render(findings, resolve=task.resolve).encode()
    digest = write_bytes(RunFolder(task.work).report(task.recipe_name), page)
    return Tally(
        rows_in=sum(findings.reasons.values()),
        reasons=dict(findings.reasons),
        digest=digest,
        numbers={"page_bytes": len(page)},
    )
