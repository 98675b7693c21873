"""Which paths each origin's robots.txt allows, asked once and kept for a day.

In: targets. Out: nothing when a target may be fetched; Failed otherwise. RFC 9309, 2.3.1: an answer of 4xx allows
all, one of 5xx forbids all; a host that cannot be reached fails as its own URLs would.
"""

from __future__ import annotations

from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.exchange import Exchange
from beam_jobs.fetching.origin_file import OriginFile
from beam_jobs.fetching.policy import AGENT, FetchOptions
from beam_jobs.fetching.robots import ALLOW_ALL, READ_AT_MOST, Rules, parse_robots
from beam_jobs.fetching.urls import Target
from schemas.reasons import Failed


class RobotsBook:
    """robots.txt of the origins that one stream of URLs meets; what was learnt stays in `commons`."""

    def __init__(self, options: FetchOptions, commons: Commons, exchange: Exchange) -> None:
        self._files: OriginFile[Rules] = OriginFile(
            "/robots.txt",
            max_bytes=READ_AT_MOST * 4,
            read=lambda target, data: parse_robots(data, AGENT),
            missing=_without,
            known=commons.robots,
            options=options,
            exchange=exchange,
        )

    async def obey(self, target: Target) -> None:
        """Raises Failed when a target must not be fetched."""
        rules = await self._files.of(target)
        if not rules.allows(target.path):
            raise Failed("blocked_by_robots", f"robots.txt of {target.origin} disallows {target.path[:200]}")


def _without(target: Target, failed: Failed) -> Rules:
    if failed.reason.startswith("http_5"):
        message = f"robots.txt of {target.origin} answered {failed.reason[5:]}: all is forbidden"
        raise Failed("blocked_by_robots", message) from failed
    if not failed.reason.startswith("http_") and failed.reason not in ("empty_body", "too_large"):
        raise failed
    return ALLOW_ALL
