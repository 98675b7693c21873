"""The flags of a launch that say how pages and images are fetched, and what they may be.

In: an argument parser; then its arguments. Out: fields of FetchOptions by name, or a Refusal. None of them changes what
is made of a page or an image that was fetched, so no fingerprint knows of them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.refusal import Refusal

Number = int | float


@dataclass(frozen=True)
class _Limit:
    """A number of FetchOptions: from `least` (or above it) to `most`."""

    kind: Callable[[str], Number]
    least: Number
    most: Number
    metavar: str
    purpose: str
    above: bool = False

    def parse(self, flag: str, text: str) -> Number:
        """The number; Refusal when it is none, or none that makes sense."""
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        if not (value > self.least if self.above else value >= self.least) or value > self.most:
            what = "a whole number" if self.kind is int else "seconds"
            start = f"above {self.least:g}" if self.above else f"from {self.least:g}"
            raise Refusal(f"--{flag}: expected {what} {start} to {self.most:g}; given {text!r}")
        return value


_DAY = 86_400.0
LIMITS: Mapping[str, _Limit] = {
    "concurrency": _Limit(int, 1, 10_000, "N", "URLs in progress at once in a worker process"),
    "per_host": _Limit(int, 1, 10_000, "N", "requests to one host at once, from one machine"),
    "host_delay": _Limit(float, 0, _DAY, "SECONDS", "between two requests to one host, from one machine"),
    "timeout": _Limit(float, 0, _DAY, "SECONDS", "to connect, and between two reads", above=True),
    "deadline": _Limit(float, 0, _DAY, "SECONDS", "for a URL with all its redirects and retries", above=True),
    "retries": _Limit(int, 0, 100, "N", "more attempts after a failure that may pass"),
}


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """--resolve, --contact and the limits."""
    from beam_jobs.fetching.policy import FetchOptions

    parser.add_argument(
        "--resolve",
        action="append",
        default=[],
        metavar="PATTERN=HOST:PORT",
        help="send hosts that match to one address, as curl's --resolve; the only way to a private address",
    )
    parser.add_argument("--contact", metavar="URL|MAIL", help="told to servers in the user agent")
    for flag, limit in LIMITS.items():
        usual = getattr(FetchOptions, flag)
        parser.add_argument(f"--{flag}", metavar=limit.metavar, help=f"{limit.purpose} (default: {usual:g})")


def fetch_limits(arguments: argparse.Namespace) -> dict[str, Any]:
    """The limits given, by the names that FetchOptions has for them; checked, --contact too."""
    from beam_jobs.fetching.policy import FetchOptions

    given = {flag: getattr(arguments, flag) for flag in LIMITS}
    limits: dict[str, Any] = {flag: LIMITS[flag].parse(flag, text) for flag, text in given.items() if text is not None}
    chosen = FetchOptions(contact=arguments.contact, **limits)
    if chosen.deadline < chosen.timeout:
        raise Refusal(f"--deadline: expected at least the timeout, {chosen.timeout:g} s; given {chosen.deadline:g}")
    return limits
