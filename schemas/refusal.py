"""How a command ends early: a user's mistake, found at launch, or a job that failed. Each is one line for people."""

from __future__ import annotations

from collections.abc import Iterable


class Refusal(ValueError):
    """Wrong configuration. The command line prints the message and exits with status 2, nothing written."""


class JobFailed(Exception):
    """A job that began and could not be ended well. The command line prints the message and exits with status 1."""


def unknown(kind: str, given: str, known: Iterable[str], *, where: str = "") -> Refusal:
    """The refusal of a name that does not exist, listing those that do."""
    place = f"{where}: " if where else ""
    listed = ", ".join(sorted(known)) or "none"
    return Refusal(f"{place}unknown {kind} {given!r}; known: {listed}")


class HandedOver(Exception):
    """A job was written down for another to start; the message says where."""
