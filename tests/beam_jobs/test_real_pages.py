"""Recipe `base` on real pages: every reference ends with a reason, every raster arrives at its true size."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.cli import main
from beam_jobs.overview import counts
from beam_jobs.world.server import serve
from schemas.reasons import FAILURES


@dataclass(frozen=True)
class RealRun:
    web: Path
    work: Path

    def table(self, folder: str) -> pa.Table:
        files = sorted((self.work / folder).glob("*.parquet"))
        return pa.concat_tables([pq.read_table(file) for file in files])

    @cached_property
    def ends(self) -> dict[tuple[str, str, str], str]:
        """(page, url, text) to where the row ended: its first reason, or `kept`."""
        by_uid = {row["uid"]: row["reason"] or "downloaded" for row in self.table("images").to_pylist()}
        by_uid |= {
            row["uid"]: row["reason"] or "kept"
            for row in self.table("selected/base").to_pylist()
            if by_uid[row["uid"]] == "downloaded"
        }
        pairs, judged = self.table("pairs").to_pylist(), self.table("preselected").to_pylist()
        return {
            (pair["page_url"], pair["url"] or pair["src"], pair["text"]): row["reason"] or by_uid[row["uid"]]
            for pair, row in zip(pairs, judged, strict=True)
        }


def unresolved(web: Path) -> list[dict[str, str]]:
    """The references whose target is not there."""
    with (web / "unresolved_refs.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def run(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    web = shared_folder / "web"
    folder = tmp_path_factory.mktemp("real")
    known = pq.read_table(web / "pairs.parquet", columns=["page_url"])["page_url"].to_pylist()
    pages = sorted({*known, *(row["page_url"] for row in unresolved(web))})
    (folder / "pages.txt").write_text("\n".join(pages) + "\n")
    with serve(str(web)) as port:
        status = main(
            [
                "run",
                "--recipe=base",
                f"--source=html:{folder / 'pages.txt'}",
                f"--work={folder / 'work'}",
                f"--resolve=*=127.0.0.1:{port}",
            ]
        )
    assert status == 0
    return RealRun(web, folder / "work")


def test_every_known_pair_is_found_and_ends_with_a_reason(run: RealRun) -> None:
    known = pq.read_table(run.web / "pairs.parquet", columns=["page_url", "image_url", "alt"]).to_pylist()
    missing = [row for row in known if (row["page_url"], row["image_url"], row["alt"] or "") not in run.ends]
    assert missing == []
    assert len(known) == 993


def test_every_unresolved_reference_is_found_and_fails_with_its_class(run: RealRun) -> None:
    rows = unresolved(run.web)
    pairs = {(row["page_url"], row["src"]) for row in run.table("pairs").to_pylist()}
    assert [row for row in rows if (row["page_url"], row["src"]) not in pairs] == []
    assert len(rows) == 177


def test_every_decodable_raster_is_downloaded_at_its_true_size(run: RealRun) -> None:
    columns = ["image_url", "image_ok", "image_format", "image_w", "image_h", "image_sha256"]
    known = {row["image_url"]: row for row in pq.read_table(run.web / "pairs.parquet", columns=columns).to_pylist()}
    images = {row["url"]: row for row in run.table("images").to_pylist()}
    wrong = {
        url: images[url]["reason"]
        for url, row in known.items()
        if row["image_ok"]
        and (images[url]["original_width"], images[url]["original_height"], images[url]["sha256"])
        != (row["image_w"], row["image_h"], row["image_sha256"])
    }
    assert wrong == {}
    assert Counter(row["image_format"] for row in known.values() if row["image_ok"]) == {"PNG": 600, "JPEG": 362}


def test_svg_and_missing_targets_fail_with_their_class(run: RealRun) -> None:
    images = run.table("images").to_pylist()
    assert {row["reason"] for row in images if row["url"].endswith(".svg")} == {"svg"}
    reasons = Counter(row["reason"] for row in images if row["status"] != "success")
    assert set(reasons) <= set(FAILURES)
    assert reasons["svg"] == 7


def test_counts_add_up_from_stage_to_stage(run: RealRun) -> None:
    found = {count["stage"]: count for count in counts(str(run.work))}
    for count in found.values():
        assert sum(count["reasons"].values()) == count["rows_in"], count["stage"]
    order = ["extract", "preselect", "download", "select/base", "write/base"]
    for before, after in pairwise(order):
        assert found[after]["rows_in"] == found[before]["reasons"]["kept"], after
    assert found["extract"]["rows_in"] == run.table("pairs").num_rows
