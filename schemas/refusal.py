"""A user's mistake, found at launch: one line that says what was expected, what was given and what exists."""

from __future__ import annotations

from collections.abc import Iterable


class Refusal(ValueError):
    """Wrong configuration. The command line prints the message and exits with status 2, nothing written."""


def unknown(kind: str, given: str, known: Iterable[str], *, where: str = "") -> Refusal:
    """The refusal of a name that does not exist, listing those that do."""
    place = f"{where}: " if where else ""
    listed = ", ".join(sorted(known)) or "none"
    return Refusal(f"{place}unknown {kind} {given!r}; known: {listed}")
