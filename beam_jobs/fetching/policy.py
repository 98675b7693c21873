"""How to fetch: limits, manners, and who we say we are.

In: options of a launch. Out: FetchOptions, frozen and hashable, checked at construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from beam_jobs.fetching.addresses import ResolveRule
from schemas.refusal import Refusal

AGENT = "pairmill"
DISALLOWED = ("noai", "noimageai", "noindex", "noimageindex", "noml", "none")

# What may pass: tried again while the deadline allows.
TRANSIENT = frozenset(
    {"connect", "timeout", "truncated"}
    | {f"http_{code}" for code in (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)}
)


def _version() -> str:
    try:
        return version("pairmill")
    except PackageNotFoundError:
        return "0"


def user_agent(contact: str | None) -> str:
    """`pairmill/<version> (image-text dataset builder; +contact)`: the tool's true name, and whom to write to."""
    purpose = "image-text dataset builder"
    return f"{AGENT}/{_version()} ({purpose}; +{contact})" if contact else f"{AGENT}/{_version()} ({purpose})"


@dataclass(frozen=True)
class FetchOptions:
    """Limits and manners of fetching; times in seconds.

    contact: an address or URL put into the User-Agent. user_agent: the whole header, instead of ours.
    timeout: for connecting, and between two reads. deadline: for a URL from its first request to its end,
    redirects, retries and waits included. max_bytes: of a body, after decompression; more is a failure.
    concurrency: URLs in progress or finished and not yet taken; per_host: at one host, across this process;
    host_delay: between two requests to one host. host_failures: after so many URLs of a host in a row that could
    not be reached, the host is given up; each `host_probe`-th URL still tries it.
    large_bytes, held_bytes: bodies above that size are read only while their sum stays below held_bytes.
    honour_tags: X-Robots-Tag (directives of `disallowed`) and TDM-Reservation make a failure.
    read_tdm_file: each origin is asked for its tdmrep.json; what it reserves counts as a TDM-Reservation header.
    """

    contact: str | None = None
    user_agent: str | None = None
    timeout: float = 10.0
    deadline: float = 60.0
    max_bytes: int = 33_554_432
    max_redirects: int = 10
    max_header_bytes: int = 16_384
    max_headers: int = 128
    concurrency: int = 128
    per_host: int = 16
    host_delay: float = 0.0
    host_failures: int = 100
    host_probe: int = 50
    large_bytes: int = 1_048_576
    held_bytes: int = 201_326_592
    retries: int = 2
    backoff: float = 1.0
    accept: str = "image/*,*/*;q=0.5"
    robots: bool = True
    honour_tags: bool = True
    honour_tdm: bool = True
    read_tdm_file: bool = True
    disallowed: tuple[str, ...] = DISALLOWED
    resolve: tuple[ResolveRule, ...] = ()

    def __post_init__(self) -> None:
        for name in ("timeout", "deadline", "max_bytes", "concurrency", "per_host", "held_bytes"):
            if getattr(self, name) <= 0:
                raise Refusal(f"fetching: {name} must be above 0, got {getattr(self, name)!r}")
        for name in ("max_redirects", "retries", "backoff", "host_delay", "host_failures"):
            if getattr(self, name) < 0:
                raise Refusal(f"fetching: {name} must not be negative, got {getattr(self, name)!r}")
        for name in ("contact", "user_agent"):
            value = getattr(self, name)
            if value is not None and not (value.isascii() and value.isprintable()):
                raise Refusal(f"fetching: {name} must be printable ASCII, got {value!r}")

    @property
    def agent(self) -> str:
        """The User-Agent header sent."""
        return self.user_agent or user_agent(self.contact)
