"""What is shown of a sampled row: its picture, text, address and scores.

In: places of rows, and the columns worth telling. Out: cards by place; each shard that holds any is read once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from beam_jobs.report.display import host_of, tidy
from beam_jobs.report.pictures import thumbnails
from beam_jobs.report.samples import Place
from beam_jobs.report.shard_rows import ShardRows, Sidecars, read_rows


@dataclass(frozen=True)
class Card:
    """A row as it is shown. Texts are tidied, not escaped; `picture` is a data URI or empty."""

    uid: str
    text: str
    url: str
    host: str
    page_url: str
    reason: str
    width: int
    height: int
    picture: str
    scores: tuple[tuple[str, float], ...]

    def score(self, column: str) -> float | None:
        return dict(self.scores).get(column)


def read_cards(sidecars: Sidecars, places: Iterable[Place], columns: Sequence[str]) -> dict[Place, Card]:
    """The cards of all these places."""
    by_shard: dict[int, list[int]] = {}
    for place in sorted(set(places)):
        by_shard.setdefault(place.shard, []).append(place.row)
    cards: dict[Place, Card] = {}
    for shard, numbers in by_shard.items():
        rows = read_rows(sidecars, shard)
        keys = rows.table["key"].take(numbers).to_pylist()
        named = {key: row for key, row in zip(keys, numbers, strict=True) if key}
        pictures = thumbnails(sidecars.folder, shard, named)
        scores = {name: rows.numbers(name) for name in columns if name in rows.table.column_names}
        for row in numbers:
            told = tuple((name, float(values[row])) for name, values in scores.items() if np.isfinite(values[row]))
            cards[Place(shard, row)] = _card(rows, row, pictures.get(row, ""), told)
    return cards


def _card(rows: ShardRows, row: int, picture: str, scores: tuple[tuple[str, float], ...]) -> Card:
    def value(name: str) -> str:
        return str(rows.table[name][row].as_py() or "") if name in rows.table.column_names else ""

    url = value("url")
    return Card(
        uid=rows.uids[row],
        text=tidy(value("text")),
        url=tidy(url, 300),
        host=tidy(host_of(url), 80),
        page_url=tidy(value("page_url"), 300),
        reason=str(rows.reasons[row]),
        width=int(value("original_width") or 0),
        height=int(value("original_height") or 0),
        picture=picture,
        scores=scores,
    )
