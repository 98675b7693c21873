"""Packaged recipes over rows written out: a good row, and what each change of it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.recipes import load_recipe
from beam_jobs.whatif import judge_table
from filters.rules import columns_read
from filters.text_columns import add_text_columns
from schemas.recipe import Recipe
from schemas.recipe_steps import Step

Row = Mapping[str, Any]
Judge = Callable[[str, Sequence[Row]], list[str | None]]

GOOD: Row = {"text": "a dog that runs along the beach at noon", "original_width": 640, "original_height": 480}


def _judged(rows: Sequence[Row], steps: Sequence[Step]) -> list[str | None]:
    names = list(dict.fromkeys(["uid", *(name for row in rows for name in row)]))
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    made = [name for name in columns_read(steps) if name not in names]
    codes = judge_table(add_text_columns(table, made), np.ones(len(rows), dtype=bool), steps)
    return [steps[code].reason if code >= 0 else None for code in codes.tolist()]


@pytest.fixture
def judge() -> Judge:
    """What a packaged recipe finds of rows, each a GOOD one with these changes: a reason, or None where it is kept.

    Columns of texts are made by the scorers themselves; all others are as the rows say.
    """

    def find(name: str, rows: Sequence[Row]) -> list[str | None]:
        recipe: Recipe = load_recipe(name)
        whole = [
            {**GOOD, "uid": f"u{number:03}", "url": f"https://a.org/{number}.jpg", **row}
            for number, row in enumerate(rows)
        ]
        before = _judged(whole, recipe.preselect)
        left = [number for number, reason in enumerate(before) if reason is None]
        after = _judged([whole[number] for number in left], recipe.select)
        found = dict(zip(left, after, strict=True))
        return [found.get(number, reason) for number, reason in enumerate(before)]

    return find
