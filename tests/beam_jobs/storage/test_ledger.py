"""A shard counts as done only when its marker says what is asked for now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from beam_jobs.storage.ledger import Ledger, Manifest, Marker, Tally, Ticket
from beam_jobs.storage.run_folder import RunFolder

TICKET = Ticket("download", 3, "recipe", "planned")
TALLY = Tally(rows_in=5, reasons={"kept": 3, "dns": 2}, digest="d", numbers={"bytes": 1.0})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(RunFolder(str(tmp_path)).ledger("download"))


def test_reasons_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="reasons add up to 4, rows to 5"):
        Tally(rows_in=5, reasons={"kept": 3, "dns": 1}, digest="d")


def test_a_marker_comes_back_as_it_was_written(ledger: Ledger) -> None:
    marker = Marker(TICKET, TALLY, 1.25)
    ledger.write_marker(marker)
    assert ledger.read_marker(3) == marker
    assert ledger.read_marker(4) is None


@pytest.mark.parametrize("change", [{"fingerprint": "another recipe"}, {"inputs": "another plan"}])
def test_another_recipe_or_another_input_is_not_done(ledger: Ledger, change: dict[str, str]) -> None:
    ledger.write_marker(Marker(TICKET, TALLY, 1.0))
    assert list(ledger.done([TICKET])) == [3]
    assert ledger.done([replace(TICKET, **change)]) == {}


def test_a_manifest_takes_the_markers_in_and_a_newer_marker_wins(ledger: Ledger) -> None:
    markers = tuple(Marker(replace(TICKET, shard=shard), TALLY, 1.0) for shard in (0, 1))
    for marker in markers:
        ledger.write_marker(marker)
    ledger.finish(Manifest("download", "recipe", "done", {"a": 1}, 2, markers))
    assert ledger.loose_markers() == []
    assert list(ledger.markers()) == [0, 1]
    newer = Marker(replace(TICKET, shard=1, inputs="after a retry"), TALLY, 2.0)
    ledger.write_marker(newer)
    assert ledger.markers()[1] == newer
    manifest = ledger.read_manifest()
    assert manifest is not None and manifest.configuration == {"a": 1} and manifest.markers == markers
