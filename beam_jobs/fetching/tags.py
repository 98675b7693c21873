"""What an answer's headers reserve: X-Robots-Tag, with its agent-scoped forms, and TDM-Reservation.

In: header values. Out: the directives that apply to us, and whether one of them forbids the use.
"""

from __future__ import annotations

from collections.abc import Iterable

# Directives whose value follows a colon: the word before it is not an agent.
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def robots_directives(values: Iterable[str], agent: str) -> list[str]:
    """The directives of X-Robots-Tag header lines that bind `agent`, lower case, in order.

    A line may begin with an agent's name and a colon, which scopes the directives up to the next agent or the
    line's end; `*` and no name bind everybody.
    """
    found: list[str] = []
    for line in values:
        binding = True
        for part in line.lower().split(","):
            name, colon, rest = (piece.strip() for piece in part.partition(":"))
            if colon and name not in _VALUED:
                binding = name in ("*", agent.lower())
                part = rest
            words = part.strip()
            if binding and words:
                found.extend([words] if ":" in words else words.split())
    return found


def forbidding_tag(values: Iterable[str], agent: str, disallowed: Iterable[str]) -> str | None:
    """The first binding directive that is disallowed, or None."""
    wanted = {word.lower() for word in disallowed}
    return next((word for word in robots_directives(values, agent) if word in wanted), None)


def reserves_mining(values: Iterable[str]) -> bool:
    """Whether a TDM-Reservation header says 1: text and data mining needs the owner's permission."""
    return any(value.strip() == "1" for value in values)
