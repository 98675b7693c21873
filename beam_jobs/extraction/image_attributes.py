"""An `<img>` element's attributes: how it names its image, and how large it says that is.

In: attributes, and the `<picture>` around. Out: references in order, each distinct one once; pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beam_jobs.extraction.srcset import best_candidate, parse_srcset

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

Attributes = Mapping[str, str | None]

_LAZY_SOURCES = ("data-src", "data-lazy-src", "data-original", "data-lazy", "data-original-src")
_LAZY_SRCSETS = ("data-srcset", "data-lazy-srcset")
_OTHER_WAYS = frozenset({"srcset", *_LAZY_SOURCES, *_LAZY_SRCSETS})
_NOTHING = ("{", "[", "#", ".")


@dataclass(frozen=True, slots=True)
class Reference:
    """One way in which an element names its image. `origin`: src, srcset, picture, lazy, noscript or og."""

    origin: str
    src: str


def references_of(
    given: Attributes, picture: LexborNode | None = None, *, origin: str = "src"
) -> tuple[Reference, ...]:
    """How an `<img>` names its image: src first, then the best of each other way; equal references once.

    origin: what its src counts as.
    """
    if picture is None and _OTHER_WAYS.isdisjoint(given):
        return (Reference(origin, given.get("src") or ""),)
    found = [Reference(origin, given["src"] or "")] if "src" in given else []
    found.extend(_best("srcset", [given.get("srcset") or ""]))
    if picture is not None:
        sources = [child.attributes for child in picture.iter() if child.tag == "source"]
        taken = [source for source in sources if "svg" not in (source.get("type") or "")]
        found.extend(_best("picture", [source.get("srcset") or source.get("data-srcset") or "" for source in taken]))
    lazy = (given.get(name) for name in _LAZY_SOURCES)
    found.extend(Reference("lazy", value) for value in lazy if value is not None and _names_file(value))
    found.extend(_best("lazy", [given.get(name) or "" for name in _LAZY_SRCSETS]))
    distinct: dict[str, Reference] = {}
    for reference in found:
        distinct.setdefault(reference.src, reference)
    return tuple(distinct.values()) or (Reference(origin, ""),)


def pixels(value: str | None) -> int | None:
    """A width or height attribute in pixels, by the standard's rules for dimensions; None for percentages."""
    if not value:
        return None
    digits = value.strip(" \t\n\f\r")
    if not (digits.isascii() and digits.isdigit()):
        end = next((place for place, letter in enumerate(digits) if letter not in "0123456789"), len(digits))
        if end == 0 or "%" in digits[end:]:
            return None
        digits = digits[:end]
    number = int(digits[:10]) if len(digits.lstrip("0")) <= 10 else 2**31
    return number if number < 2**31 else None


def _best(origin: str, srcsets: list[str]) -> list[Reference]:
    best = best_candidate([candidate for srcset in srcsets if srcset for candidate in parse_srcset(srcset)])
    return [] if best is None else [Reference(origin, best.url)]


def _names_file(value: str) -> bool:
    """Whether a script's attribute holds a reference rather than a flag or an object."""
    return ("/" in value or "." in value) and not value.lstrip().startswith(_NOTHING)
