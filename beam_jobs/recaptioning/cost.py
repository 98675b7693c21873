"""What captions cost: tokens, requests and time, from the ledger; and what the rest will cost, from what is done.

In: the markers of a captioner's ledger. Out: sums, speeds, an estimate for the shards that are left. Time is that of
workers, shard by shard; answers that were found in the store cost none, and are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beam_jobs.storage.ledger import Marker


@dataclass(frozen=True)
class Cost:
    """Sums over shards. rows: kept ones. asked, found: requests by who answered them, an engine or the store."""

    shards: int
    rows: int
    captions: int
    asked: int
    found: int
    tokens_in: int
    tokens_out: int
    seconds: float

    @property
    def rows_per_second(self) -> float | None:
        return self.rows / self.seconds if self.seconds > 0 and self.asked else None

    @property
    def tokens_per_second(self) -> float | None:
        """Written tokens of requests that were really made, about: found answers count by their share."""
        made = self.asked + self.found
        return self.tokens_out * self.asked / made / self.seconds if self.seconds > 0 and self.asked else None


def cost_of(numbers: Mapping[str, float], *, shards: int, rows: int, seconds: float) -> Cost:
    """Of summed numbers of a captioner's tallies."""
    whole = {name: int(numbers.get(name, 0)) for name in ("captions", "asked", "found", "tokens_in", "tokens_out")}
    return Cost(shards=shards, rows=rows, seconds=seconds, **whole)


def cost_of_markers(markers: Iterable[Marker]) -> Cost:
    several = list(markers)
    sums: dict[str, float] = {}
    for marker in several:
        for name, value in marker.tally.numbers.items():
            sums[name] = sums.get(name, 0) + value
    rows = sum(marker.tally.rows_in for marker in several)
    return cost_of(sums, shards=len(several), rows=rows, seconds=sum(marker.seconds for marker in several))


def estimate_rest(done: Cost, *, rows: int) -> Cost | None:
    """What `rows` further rows will cost at the rate of those that are done, were they all asked; None without any."""
    if not done.rows or not done.asked:
        return None
    by_row = rows / done.rows
    # What was found cost no time: a row that is asked costs what the rows that were asked did.
    asked_share = done.asked / (done.asked + done.found)
    return Cost(
        shards=0,
        rows=rows,
        captions=round(done.captions * by_row),
        asked=round((done.asked + done.found) * by_row),
        found=0,
        tokens_in=round(done.tokens_in * by_row),
        tokens_out=round(done.tokens_out * by_row),
        seconds=done.seconds * by_row / asked_share,
    )


def told(cost: Cost) -> str:
    """A cost in a line for people, tokens and worker time."""
    return f"{cost.tokens_in:,} tokens in, {cost.tokens_out:,} out, {_hours(cost.seconds)} of a worker"


def _hours(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
