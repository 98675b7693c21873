"""Rules before the download may name what a scorer of texts makes; it is made on the fly."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from beam_jobs.stages.preselect import load_pairs
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.tables import PAIRS, conform


def test_facts_of_texts_are_made_where_a_rule_names_them(tmp_path: Path) -> None:
    pairs = pa.table(
        {"uid": ["u0", "u1"], "text": ["añ😀", "a red square"], "reason": pa.array([None, "opted_out"], pa.string())}
    )
    write_table(RunFolder(str(tmp_path)).pairs(0), conform(pairs, PAIRS))
    table, alive = load_pairs(str(tmp_path), 0, ["text_length", "word_count", "url"])
    assert table["text_length"].to_pylist() == [3, 12]
    assert table["word_count"].to_pylist() == [1, 3]
    assert table["uid"].to_pylist() == ["u0", "u1"] and "url" in table.column_names
    assert alive.tolist() == [True, False]
