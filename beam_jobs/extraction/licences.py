"""Licences that a page states for itself or for an image: rel=license, Creative Commons links, RDFa, JSON-LD, metas.

In: elements as a page's reader meets them. Out: the licence's URL (or words), for a figure and for the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_COMMONS = ("creativecommons.org/licenses/", "creativecommons.org/publicdomain/", "creativecommons.org/licences/")
_PROPERTIES = frozenset(
    {"license", "cc:license", "dct:license", "dcterms:license", "schema:license", "xhv:license", "dc:rights"}
)
_METAS = ("license", "licence", "dcterms.license", "dc.rights.license", "dcterms.rights", "dc.rights", "rights")
_LONGEST = 500
_LARGEST_SCRIPT = 1_000_000
_IN_FIGURE = 'a[rel~="license"], link[rel~="license"], a[href*="creativecommons.org/"], [property="cc:license"]'


class LicenceFinder:
    """Gathers a page's statements; the strongest kind wins, the first of its kind."""

    def __init__(self) -> None:
        self._stated: str | None = None
        self._linked: str | None = None
        self._described: list[Any] = []
        self._figures: dict[int, str | None] = {}

    def link(self, node: LexborNode) -> None:
        """An `<a>`, `<link>` or `<meta>`: rel=license, an RDFa or microdata property, or a Creative Commons link."""
        given = node.attributes
        target = (given.get("href") or given.get("content") or given.get("resource") or "").strip()
        if not target:
            return
        words = " ".join(given.get(name) or "" for name in ("rel", "property", "itemprop")).lower().split()
        if self._stated is None and _PROPERTIES.intersection(words):
            self._stated = target[:_LONGEST]
        elif self._linked is None and is_commons(target):
            self._linked = target[:_LONGEST]

    def script(self, node: LexborNode) -> None:
        """A `<script>`; JSON-LD is kept until someone asks."""
        if (node.attributes.get("type") or "").strip().lower() != "application/ld+json":
            return
        text = node.text()
        if "icense" in text and len(text) <= _LARGEST_SCRIPT:
            try:
                self._described.append(json.loads(text))
            except (ValueError, RecursionError):
                return

    def of_figure(self, figure: LexborNode | None) -> str | None:
        """The licence stated inside a `<figure>`, for its image."""
        if figure is None:
            return None
        key = figure.mem_id
        if key not in self._figures:
            node = figure.css_first(_IN_FIGURE)
            given = {} if node is None else node.attributes
            target = given.get("href") or given.get("content") or given.get("resource")
            self._figures[key] = target[:_LONGEST] if target else None
        return self._figures[key]

    def of_page(self, metas: Sequence[tuple[str, str]]) -> str | None:
        """The page's licence: as stated, as described in JSON-LD, as a meta, or as a Creative Commons link."""
        described = next((found for value in self._described for found in _licences_in(value)), None)
        named = next((value.strip()[:_LONGEST] for name, value in metas if name in _METAS and value.strip()), None)
        return self._stated or described or named or self._linked


def is_commons(target: str) -> bool:
    """Whether a link is to a Creative Commons licence or public-domain deed."""
    return "creativecommons.org/" in target and any(place in target for place in _COMMONS)


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
