"""The srcset attribute, parsed as the HTML standard says, and its best candidate for a data set: the largest.

In: the attribute's text. Out: candidates in order, each with its width or density. A descriptor of no known kind is
passed over, as the web-platform tests have it; one that contradicts another costs its candidate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPACES = " \t\n\f\r"
_INTEGER = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST_CANDIDATES = 1_000


@dataclass(frozen=True)
class Candidate:
    """An image of a srcset: exactly one of width (in pixels) and density is given."""

    url: str
    width: int | None = None
    density: float | None = None


def parse_srcset(text: str) -> list[Candidate]:
    """The candidates of a srcset attribute, in order; malformed ones are left out."""
    candidates: list[Candidate] = []
    place, end = 0, len(text)
    while len(candidates) < _MOST_CANDIDATES:
        while place < end and text[place] in _SPACES + ",":
            place += 1
        if place >= end:
            break
        start = place
        while place < end and text[place] not in _SPACES:
            place += 1
        url = text[start:place]
        descriptors: list[str] = []
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            descriptors, place = _descriptors(text, place)
        candidate = _candidate(url, descriptors)
        if candidate is not None:
            candidates.append(candidate)
    return candidates


def best_candidate(candidates: list[Candidate]) -> Candidate | None:
    """The widest candidate; without widths the densest; the first of equals."""
    if not candidates:
        return None
    return max(candidates, key=lambda c: (c.width or 0, c.density or 0.0))


def _descriptors(text: str, place: int) -> tuple[list[str], int]:
    """The descriptors from here to the comma that ends the candidate, and the place behind it."""
    found: list[str] = []
    current = ""
    depth = False
    while place < len(text):
        letter = text[place]
        place += 1
        if depth:
            current += letter
            depth = letter != ")"
        elif letter in _SPACES:
            if current:
                found.append(current)
            current = ""
        elif letter == ",":
            break
        else:
            current += letter
            depth = letter == "("
    if current:
        found.append(current)
    return found, place


def _candidate(url: str, descriptors: list[str]) -> Candidate | None:
    width: int | None = None
    height: int | None = None
    density: float | None = None
    for descriptor in descriptors:
        kind, number = descriptor[-1], descriptor[:-1]
        if kind == "w" and _INTEGER.fullmatch(number):
            if width is not None or density is not None or int(number[:18]) == 0:
                return None
            width = int(number[:18])
        elif kind == "h" and _INTEGER.fullmatch(number):
            if height is not None or density is not None or int(number[:18]) == 0:
                return None
            height = int(number[:18])
        elif kind == "x" and _NUMBER.fullmatch(number) and float(number) >= 0:
            if width is not None or height is not None or density is not None:
                return None
            density = float(number)
    if height is not None and width is None:
        return None
    if width is None and density is None:
        if any(_CONTROL.search(descriptor) for descriptor in descriptors):
            return None
        density = 1.0
    return Candidate(url, width, density)
