"""Pages nested so deep that parsing them takes quadratic time, made shallow before they are parsed.

In: a page's text. Out: the same text, or, where elements are nested deeper than browsers build, without the tags that
nest deeper; no image is lost. Browsers stop at 512 too. Unclosed formatting is opened again in every paragraph, so a
page with much of it loses its formatting.
"""

from __future__ import annotations

import re

DEEPEST = 512
_MOST_FORMATTING = 64
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)[^>]*>")
_VOID = frozenset(
    [
        "area",
        "base",
        "basefont",
        "bgsound",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "keygen",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    ]
)
# elements that a sibling closes: they nest no deeper than what holds them
_CLOSED_BY_NEXT = frozenset(
    [
        "p",
        "li",
        "dt",
        "dd",
        "option",
        "optgroup",
        "tr",
        "td",
        "th",
        "tbody",
        "thead",
        "tfoot",
        "colgroup",
        "rp",
        "rt",
        "html",
        "head",
        "body",
    ]
)
_FORMATTING = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)


def shallow(page: str) -> str:
    """The page as it is, unless its elements are nested too deep."""
    if page.count("<") - 2 * page.count("</") <= _MOST_FORMATTING:
        return page
    depth = formatting = deepest = most = 0
    for tag in _TAG.finditer(page):
        name = tag[2].lower()
        if name in _VOID or name in _CLOSED_BY_NEXT:
            continue
        step = -1 if tag[1] else 1
        depth = max(0, depth + step)
        deepest = max(deepest, depth)
        if name in _FORMATTING:
            formatting = max(0, formatting + step)
            most = max(most, formatting)
    if deepest <= DEEPEST and most <= _MOST_FORMATTING:
        return page
    return _flattened(page, drop_formatting=most > _MOST_FORMATTING)


def _flattened(page: str, *, drop_formatting: bool) -> str:
    depth = 0

    def kept(tag: re.Match[str]) -> str:
        nonlocal depth
        name = tag[2].lower()
        if name in _VOID or name in _CLOSED_BY_NEXT:
            return tag[0]
        if drop_formatting and name in _FORMATTING:
            return ""
        if tag[1]:
            depth = max(0, depth - 1)
            return tag[0] if depth < DEEPEST else ""
        depth += 1
        return tag[0] if depth <= DEEPEST else ""

    return _TAG.sub(kept, page)
