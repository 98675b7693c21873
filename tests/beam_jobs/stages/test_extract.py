"""The extract stage: a split to a part, counted, the same bytes each time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq

from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.splits import plan_splits
from beam_jobs.stages.extract import ExtractTask, extract_part
from schemas.sources import Source
from schemas.tables import PAIRS


def world(folder: Path, pages: int) -> Source:
    for number in range(pages):
        host = folder / f"h{number % 3}.test"
        host.mkdir(parents=True, exist_ok=True)
        (host / f"{number:04d}.html").write_text(
            f"<meta name=robots content={'noai' if number % 10 == 0 else 'all'}>"
            f"<img src={number}.png alt='picture {number}'><img src='data:,x' alt=inline><img alt=none>"
        )
    return Source("html", str(folder))


def test_parts(tmp_path: Path) -> None:
    splits = plan_splits([world(tmp_path / "web", 230)])
    assert [(split.part, len(split.files)) for split in splits] == [(0, 100), (1, 100), (2, 30)]
    tallies = [extract_part(ExtractTask(str(tmp_path / "work"), split.part, split)) for split in splits]
    assert [tally.rows_in for tally in tallies] == [300, 300, 90]
    assert {reason: sum(tally.reasons[reason] for tally in tallies) for reason in tallies[0].reasons} == {
        "kept": 207,
        "no_image_url": 230,
        "opted_out": 23,
        "unsupported_scheme": 230,
    }
    assert [tally.details for tally in tallies] == [{"pages": {"kept": n}} for n in (100, 100, 30)]
    for tally, split in zip(tallies, splits, strict=True):
        file = tmp_path / "work" / "pairs" / f"part-{split.part:05d}.parquet"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == tally.digest
        table = pq.read_table(file)
        assert table.schema == PAIRS
        assert table.num_rows == tally.rows_in
        assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_same_bytes_again(tmp_path: Path) -> None:
    source = world(tmp_path / "web", 60)
    (split,) = plan_splits([source])
    first = extract_part(ExtractTask(str(tmp_path / "one"), 0, split))
    second = extract_part(ExtractTask(str(tmp_path / "two"), 0, split))
    assert first == second
    third = extract_part(ExtractTask(str(tmp_path / "three"), 0, split, ExtractOptions(honour_opt_out=False)))
    assert third.reasons == {"kept": 60, "no_image_url": 60, "unsupported_scheme": 60}


def test_a_part_without_rows_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,text,w\n")
    (split,) = plan_splits([Source("table", str(tmp_path / "a.csv"), extra_columns=("w",))])
    tally = extract_part(ExtractTask(str(tmp_path), 0, split))
    assert (tally.rows_in, tally.reasons) == (0, {})
    assert pq.read_schema(tmp_path / "pairs" / "part-00000.parquet").names == [*PAIRS.names, "w"]
