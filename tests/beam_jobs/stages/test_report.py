"""The stage: a task in, a page and a tally out, through the pipeline as the flow runs it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline
from selectolax.lexbor import LexborHTMLParser

from beam_jobs.accounting import DoShards, Job
from beam_jobs.stages.report import ReportTask, write_report
from beam_jobs.storage.ledger import Ledger, Manifest, Marker, Tally, Ticket
from beam_jobs.storage.run_folder import RunFolder

RECIPE = {"name": "base", "select": [{"keep": "width >= 200", "reason": "narrow"}]}


def test_a_run_that_found_nothing_has_a_page_too(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    nothing = Marker(Ticket("extract", 0, "f", "i"), Tally(0, {}, "d"), 0.1)
    for stage, markers in (("extract", (nothing,)), ("preselect", ()), ("download", ()), ("select/base", ())):
        Ledger(folder.ledger(stage)).finish(Manifest(stage, "f", "done", None, len(markers), markers))
    ledgers = ("extract", "preselect", "download", "select/base")
    tally = write_report(ReportTask(str(tmp_path), "base", 0, RECIPE, ledgers))
    tree = LexborHTMLParser(Path(folder.report("base")).read_text())
    assert (tally.rows_in, sum(tally.reasons.values())) == (0, 0)
    assert tree.css_first(".story").text().startswith("The sources held no image")
    assert [section.attributes["id"] for section in tree.css("main > section")] == ["funnel", "making"]


def test_a_folder_without_any_ledger_has_a_page_too(tmp_path: Path) -> None:
    tally = write_report(ReportTask(str(tmp_path), "base", 0, {"name": "base"}, ("extract",)))
    assert tally.rows_in == 0
    assert "name" in Path(RunFolder(str(tmp_path)).report("base")).read_text()


def test_the_stage_runs_in_a_pipeline_and_marks_its_page(tmp_path: Path) -> None:
    ticket = Ticket("report/base", 0, "f", "i")
    task = ReportTask(str(tmp_path), "base", 0, RECIPE, ())
    with BeamPipeline() as pipeline:
        _ = pipeline | beam.Create([Job(task, (ticket,))]) | DoShards(str(tmp_path), write_report)
    folder = RunFolder(str(tmp_path))
    marker = Ledger(folder.ledger("report/base")).read_marker(0)
    assert marker is not None
    assert marker.tally.digest == hashlib.sha256(Path(folder.report("base")).read_bytes()).hexdigest()
