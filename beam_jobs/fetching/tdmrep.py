"""What origins reserve in /.well-known/tdmrep.json, as the TDM Reservation Protocol has it.

In: targets. Out: whether the rights of text and data mining are reserved there. The file is an array of rules; the
first whose `location`, a pattern as in robots.txt, matches the path decides. An origin without a readable file reserves
nothing by it; one that cannot be reached fails as its own URLs would.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.exchange import Exchange
from beam_jobs.fetching.origin_file import OriginFile
from beam_jobs.fetching.policy import FetchOptions
from beam_jobs.fetching.robots import Rule, normal_path, path_rule
from beam_jobs.fetching.urls import Target
from schemas.reasons import Failed

WELL_KNOWN = "/.well-known/tdmrep.json"
_READ_AT_MOST = 512_000
_MOST_RULES = 10_000
_UNREACHABLE = ("dns", "connect", "tls", "blocked_address")


@dataclass(frozen=True)
class Reservations:
    """The rules of one file, in its order: `allowed` is whether mining is."""

    rules: tuple[Rule, ...] = ()

    def reserve(self, path: str) -> bool:
        """Whether a path, with its query, is reserved."""
        if not self.rules:
            return False
        path = normal_path(path)
        return next((not rule.allowed for rule in self.rules if rule.matches(path)), False)


def parse_tdmrep(data: bytes) -> Reservations:
    """The rules of a file; what is none is passed over."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return Reservations()
    given: Sequence[Any] = found if isinstance(found, list) else [found]
    rules = [_rule(entry) for entry in given[:_MOST_RULES] if isinstance(entry, dict)]
    return Reservations(tuple(rule for rule in rules if rule is not None))


def _rule(entry: dict[str, Any]) -> Rule | None:
    location, reservation = entry.get("location"), entry.get("tdm-reservation")
    if not isinstance(location, str) or str(reservation).strip() not in ("0", "1"):
        return None
    path = location.strip()
    return path_rule(str(reservation).strip() == "0", path if path.startswith(("/", "*")) else f"/{path}")


def _without(target: Target, failed: Failed) -> Reservations:
    if failed.reason in _UNREACHABLE:
        raise failed
    return Reservations()


class TdmBook:
    """tdmrep.json of the origins that one stream of URLs meets; what was learnt stays in `commons`."""

    def __init__(self, options: FetchOptions, commons: Commons, exchange: Exchange) -> None:
        self._files: OriginFile[Reservations] = OriginFile(
            WELL_KNOWN,
            max_bytes=_READ_AT_MOST,
            read=lambda target, data: parse_tdmrep(data),
            missing=_without,
            known=commons.reservations,
            options=options,
            exchange=exchange,
        )

    async def reserves(self, target: Target) -> bool:
        """Whether a target's origin reserves the mining of what is there."""
        return (await self._files.of(target)).reserve(target.path)
