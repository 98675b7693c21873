"""Rows of PAIRS, gathered and given out as record batches; and the counts that go with them.

In: values of a row. Out: pa.RecordBatch of PAIRS and of the columns that a source adds; Counts of rows by reason and of
pages, records and files by what became of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from beam_jobs.extraction.clean_alt import clean_alt
from schemas.keys import uid
from schemas.tables import PAIRS

_SHOWN_URL = 2_048
_MOST_PLACES = 100


class Counts:
    """What became of the units that are no rows: `pages`, `records` by outcome, `bad_records` by place."""

    def __init__(self) -> None:
        self._details: dict[str, Counter[str]] = {}

    def add(self, unit: str, outcome: str, amount: int = 1) -> None:
        self._details.setdefault(unit, Counter())[outcome] += amount

    def bad_record(self, file: str, offset: int) -> None:
        """A record that could not be read; the first hundred are named by their place."""
        self.add("records", "bad_record")
        places = self._details.setdefault("bad_records", Counter())
        if len(places) < _MOST_PLACES:
            places[f"{file}@{offset}"] += 1

    def details(self) -> dict[str, dict[str, int]]:
        return {unit: dict(sorted(counter.items())) for unit, counter in sorted(self._details.items())}


class PairRows:
    """Rows in the making. Values not given are null, `text` is empty, the uid is that of text and url."""

    def __init__(self, extra: pa.Schema | None = None) -> None:
        self.schema = pa.schema([*PAIRS, *(extra or ())])
        self._names = self.schema.names
        self._rows: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, values: Mapping[str, Any]) -> None:
        self._rows.append(tuple(map(values.get, self._names)))

    def take(self) -> pa.RecordBatch:
        """The rows so far, as one batch; none remain."""
        rows, self._rows = self._rows, []
        columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [() for _ in self.schema]
        arrays = [_array(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _array(column: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(column, kind)
    except UnicodeEncodeError:
        return pa.array([clean(value) if isinstance(value, str) else value for value in column], kind)


def pair_values(text: str, url: str, *, identity: str | None = None) -> dict[str, Any]:
    """The columns that every row has; a given identity is kept as it is."""
    known = identity if identity is not None else uid(text, url)
    return {"uid": known, "url": url, "text": text, "clean_text": clean_alt(text)}


def clean(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def shown(reference: str) -> str:
    """A reference that could not be resolved, as its row shows it: a data: URL may hold a whole image."""
    return reference[:_SHOWN_URL]
