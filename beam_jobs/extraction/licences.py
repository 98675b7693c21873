"""Licences that a page states for itself or for an image: rel=license, links to Creative Commons, RDFa, JSON-LD ...

In: a parsed page and its text. Out: the licence's URL (or words) for the page, for what a block of it holds (a figure,
or an element that describes an image), and for images named by their references.
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
_STATED = '[rel*="license" i], [property*="icense" i], [itemprop~="license" i], [property="dc:rights" i]'
_LINKED = 'a[href*="creativecommons.org/"]'
_DESCRIBED = 'script[type="application/ld+json" i]'
_MARKS = ("icens", "ICENS", "creativecommons.org/", "dc:rights")
_NAMES = ("license", "schema:license", "http://schema.org/license", "https://schema.org/license", "cc:license")
_IMAGES = ("ImageObject", "Photograph")
_REFERENCES = ("contentUrl", "url", "@id", "thumbnailUrl")
_LONGEST = 500
_LARGEST_SCRIPT = 1_000_000
_ANCESTORS = 24
_MOST_IMAGES = 10_000


@dataclass(frozen=True)
class Licences:
    """blocks: by the element's node id. images: by reference, as the page writes it."""

    page: str | None = None
    blocks: dict[int, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)


def find_licences(tree: LexborHTMLParser, text: str, metas: Sequence[tuple[str, str]]) -> Licences:
    """What a page states; of its statements for itself the strongest kind wins, the first of its kind.

    Stated (rel, RDFa, microdata), described in JSON-LD, named in a meta, or only linked to Creative Commons. What is
    said of an image, or inside a figure, is said of no page.
    """
    named = next((value.strip()[:_LONGEST] for name, value in metas if name in _METAS and value.strip()), None)
    if not any(mark in text for mark in _MARKS):
        return Licences(named)
    found = Licences()
    stated = _first(((node, _target(node)) for node in tree.css(_STATED) if _states(node)), found)
    linked = _first(((node, _commons(node)) for node in tree.css(_LINKED)), found)
    described = _first_described(tree, found)
    return Licences(stated or described or named or linked, found.blocks, found.images)


def _first(statements: Iterable[tuple[LexborNode, str]], found: Licences) -> str | None:
    """The first statement of a kind for the page; those for an image or a block are noted for them."""
    first = None
    for node, target in statements:
        if not target:
            continue
        block, subject = _subject(node)
        if subject is not None:
            found.images.setdefault(subject, target)
        elif block is not None:
            found.blocks.setdefault(block, target)
        else:
            first = first or target
    return first


def _subject(node: LexborNode) -> tuple[int | None, str | None]:
    """What a statement is about: the block that it stands in, or what an RDFa `about` names; else the page."""
    block = None
    above: LexborNode | None = node
    for _ in range(_ANCESTORS):
        if above is None:
            break
        given = above.attributes
        about = (given.get("about") or "").strip()
        if about and not about.startswith("#"):
            return None, about
        if block is None and describes_image(above.tag, given):
            block = above.mem_id
        above = above.parent
    return block, None


def describes_image(tag: str | None, given: Any) -> bool:
    """Whether what an element states is of the image in it: a figure, or a microdata item that is an image."""
    return tag == "figure" or any(kind in (given.get("itemtype") or given.get("typeof") or "") for kind in _IMAGES)


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


def _first_described(tree: LexborHTMLParser, found: Licences) -> str | None:
    first = None
    for value in _descriptions(tree):
        for licence, references in _licences_in(value):
            if references is None:
                first = first or licence
                continue
            for reference in references:
                if len(found.images) < _MOST_IMAGES:
                    found.images.setdefault(reference, licence)
    return first


def _licences_in(value: Any, depth: int = 0) -> Iterator[tuple[str, list[str] | None]]:
    """The licences of a JSON-LD document, outermost first, each with its image's references if it is an image's."""
    if depth > 16:
        return
    if isinstance(value, dict):
        kinds = value.get("@type")
        is_image = any(str(kind).endswith(_IMAGES) for kind in (kinds if isinstance(kinds, list) else [kinds]))
        references = [part for name in _REFERENCES for part in _named(value.get(name))] if is_image else None
        for name in _NAMES:
            yield from ((licence, references) for licence in _named(value.get(name)))
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
