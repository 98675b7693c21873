"""What is shown of a sampled row: its picture, text, address and scores.

In: places of rows, and the columns worth telling. Out: cards by place; each shard that holds any is read once more. Of
a row that was taken down nothing is shown but that it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beam_jobs.known.taken_down import REASON, find_gone
from beam_jobs.report.display import host_of, tidy
from beam_jobs.report.pictures import thumbnails
from beam_jobs.report.samples import Place
from beam_jobs.report.shard_rows import ShardRows, Sidecars, read_rows
from beam_jobs.storage.parquet import read_table
from beam_jobs.storage.tombstones import requests_digest


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
        gone = _taken_down(sidecars, shard, numbers)
        named = {key: row for key, row in zip(keys, numbers, strict=True) if key and row not in gone}
        pictures = thumbnails(sidecars.folder, shard, named)
        scores = {name: rows.numbers(name) for name in columns if name in rows.table.column_names}
        for row in numbers:
            told = tuple((name, float(values[row])) for name, values in scores.items() if np.isfinite(values[row]))
            card = _card(rows, row, pictures.get(row, ""), told)
            cards[Place(shard, row)] = _without_content(card) if row in gone else card
    return cards


def _taken_down(sidecars: Sidecars, shard: int, numbers: list[int]) -> set[int]:
    """Which of these rows of a shard must not be shown."""
    work = sidecars.folder.work
    digest = requests_digest(work)
    if digest is None:
        return set()
    table = read_table(sidecars.folder.image_table(shard), ["uid", "url", "sha256"]).take(numbers)
    gone, _ = find_gone(work, digest, table, shard=shard)
    return {row for row, hidden in zip(numbers, gone.tolist(), strict=True) if hidden}


def _without_content(card: Card) -> Card:
    return replace(card, text="(taken down)", url="", host="", page_url="", picture="", reason=REASON)


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
