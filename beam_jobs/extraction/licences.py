"""Licences that a page states for itself or for an image: rel=license, Creative Commons links, RDFa, JSON-LD, metas.

In: a parsed page and its text. Out: the licence's URL (or words), for each figure and for the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_COMMONS = ("creativecommons.org/licenses/", "creativecommons.org/publicdomain/", "creativecommons.org/licences/")
_PROPERTIES = frozenset(
    {"license", "cc:license", "dct:license", "dcterms:license", "schema:license", "xhv:license", "dc:rights"}
)
_METAS = ("license", "licence", "dcterms.license", "dc.rights.license", "dcterms.rights", "dc.rights", "rights")
_STATED = '[rel~="license" i], [property*="icense" i], [itemprop~="license" i], [property="dc:rights" i]'
_LINKED = 'a[href*="creativecommons.org/"]'
_DESCRIBED = 'script[type="application/ld+json" i]'
_MARKS = ("icens", "ICENS", "creativecommons.org/", "dc:rights")
_LONGEST = 500
_LARGEST_SCRIPT = 1_000_000
_ANCESTORS = 24


@dataclass(frozen=True)
class Licences:
    """figures: by the figure's node id."""

    page: str | None = None
    figures: dict[int, str] = field(default_factory=dict)


def find_licences(tree: LexborHTMLParser, text: str, metas: Sequence[tuple[str, str]]) -> Licences:
    """What a page states; of its statements for itself the strongest kind wins, the first of its kind.

    Stated (rel, RDFa, microdata), described in JSON-LD, named in a meta, or only linked to Creative Commons.
    """
    named = next((value.strip()[:_LONGEST] for name, value in metas if name in _METAS and value.strip()), None)
    if not any(mark in text for mark in _MARKS):
        return Licences(named)
    figures: dict[int, str] = {}
    stated = _first(((node, _target(node)) for node in tree.css(_STATED) if _states(node)), figures)
    linked = _first(((node, _commons(node)) for node in tree.css(_LINKED)), figures)
    described = next((found for value in _descriptions(tree) for found in _licences_in(value)), None)
    return Licences(stated or described or named or linked, figures)


def _first(statements: Iterable[tuple[LexborNode, str]], figures: dict[int, str]) -> str | None:
    """The first statement of a kind for the page; those inside figures are noted for them."""
    first = None
    for node, target in statements:
        if not target:
            continue
        figure = enclosing(node, "figure")
        if figure is not None:
            figures.setdefault(figure.mem_id, target)
        first = first or target
    return first


def enclosing(node: LexborNode, tag: str) -> LexborNode | None:
    """The nearest ancestor of that tag."""
    above = node.parent
    for _ in range(_ANCESTORS):
        if above is None or above.tag == tag:
            return above
        above = above.parent
    return None


def _states(node: LexborNode) -> bool:
    given = node.attributes
    words = " ".join(given.get(name) or "" for name in ("rel", "property", "itemprop")).lower().split()
    return not _PROPERTIES.isdisjoint(words)


def _target(node: LexborNode) -> str:
    given = node.attributes
    return (given.get("href") or given.get("content") or given.get("resource") or "").strip()[:_LONGEST]


def _commons(node: LexborNode) -> str:
    target = _target(node)
    return target if any(place in target for place in _COMMONS) else ""


def _descriptions(tree: LexborHTMLParser) -> Iterator[Any]:
    """The page's JSON-LD documents that speak of licences."""
    for node in tree.css(_DESCRIBED):
        text = node.text()
        if "icense" in text and len(text) <= _LARGEST_SCRIPT:
            try:
                yield json.loads(text)
            except (ValueError, RecursionError):
                continue


def _licences_in(value: Any, depth: int = 0) -> Iterator[str]:
    """The `license` values of a JSON-LD document, outermost first."""
    if depth > 16:
        return
    if isinstance(value, dict):
        for name in ("license", "schema:license", "http://schema.org/license", "https://schema.org/license"):
            yield from _named(value.get(name))
        inner: Iterable[Any] = value.values()
    elif isinstance(value, list):
        inner = value
    else:
        return
    for part in inner:
        yield from _licences_in(part, depth + 1)


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url")
    if isinstance(value, str) and value.strip():
        yield value.strip()[:_LONGEST]
