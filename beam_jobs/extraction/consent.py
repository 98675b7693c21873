"""What a page reserves: robots directives of its metas and headers, agent-scoped ones too, and TDM reservations.

In: the page's metas and its response headers. Out: the directives found, as `opt_out` holds them, and the first
that forbids the use of its images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from beam_jobs.extraction.options import ExtractOptions
from schemas.extract import INDEX_DIRECTIVES, LEARNING_DIRECTIVES

_KNOWN = frozenset(LEARNING_DIRECTIVES + INDEX_DIRECTIVES)
_ROBOTS_HEADER = "x-robots-tag"
_TDM = "tdm-reservation"
_WORDS = re.compile(r"[,\s;]+")
_AGENT = re.compile(r"[a-z0-9_.-]*(?:bot|crawler|spider)[a-z0-9_.-]*|[a-z0-9_.-]+-extended")
_AGENTS = frozenset(
    [
        "anthropic-ai",
        "bytespider",
        "cohere-ai",
        "facebookexternalhit",
        "img2dataset",
        "laion",
        "omgili",
        "slurp",
        "teoma",
        "yandex",
    ]
)
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def directives_of(
    metas: Iterable[tuple[str, str]], headers: Mapping[str, Sequence[str]], *, agent: str
) -> tuple[str, ...]:
    """The directives that bear on the use of images, in order, each once.

    Scoped ones read `agent:directive`; those of everybody stand alone. Names are in lower case.
    """
    found: list[str] = []
    for name, content in metas:
        if not speaks_of_consent(name, agent):
            continue
        if name == _TDM:
            found.extend([_TDM] if content.strip() == "1" else [])
        elif name in ("robots", _ROBOTS_HEADER):
            found.extend(_of_robots_line(content))
        else:
            found.extend(f"{name}:{word}" for word in _WORDS.split(content.lower()) if word in _KNOWN)
    for line in headers.get(_ROBOTS_HEADER, ()):
        found.extend(_of_robots_line(line))
    if any(value.strip() == "1" for value in headers.get(_TDM, ())):
        found.append(_TDM)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=16_384)
def speaks_of_consent(name: str, agent: str) -> bool:
    """Whether a meta of this name may hold directives: those of all robots, of one, or a TDM reservation."""
    if name in ("robots", _ROBOTS_HEADER, _TDM) or name == agent.lower():
        return True
    return name in _AGENTS or _AGENT.fullmatch(name) is not None


def forbidding(directives: Iterable[str], options: ExtractOptions) -> str | None:
    """The first directive that forbids use: everybody's, ours, or anybody's that speaks of machine learning."""
    for directive in directives:
        agent, colon, word = directive.rpartition(":")
        binding = not colon or agent in ("*", options.agent.lower()) or word in LEARNING_DIRECTIVES
        if binding and word in options.disallowed_directives:
            return directive
    return None


@lru_cache(maxsize=16_384)
def _of_robots_line(line: str) -> tuple[str, ...]:
    """The directives of one line; an agent's name and a colon scope what follows."""
    found: list[str] = []
    scope = ""
    for part in line.lower().split(","):
        name, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and name not in _VALUED:
            scope = "" if name in ("", "*") else f"{name}:"
            part = rest
        found.extend(scope + word for word in _WORDS.split(part) if word in _KNOWN)
    return tuple(found)
