"""A page's references as absolute URLs, resolved and serialised as the WHATWG URL standard says.

In: a reference as the page writes it, and the page's base. Out: an http(s) URL, or Failed with its class.
"""

from __future__ import annotations

import ada_url

from schemas.reasons import Failed

_FETCHED = ("http://", "https://")
_SHOWN = 200


def resolve(reference: str, base: str) -> str:
    """The absolute URL of a reference.

    Raises Failed: no_image_url (empty), unsupported_scheme (data:, javascript: ...), invalid_url.
    """
    if not reference.strip(" \t\n\r\f"):
        raise Failed("no_image_url", "the reference is empty")
    joined = join(reference, base)
    if joined is None:
        raise Failed("invalid_url", f"not a URL on {base[:_SHOWN]}: {reference[:_SHOWN]}")
    if not joined.startswith(_FETCHED):
        raise Failed("unsupported_scheme", f"{joined.partition(':')[0][:_SHOWN]}: is neither http nor https")
    return joined


def join(reference: str, base: str) -> str | None:
    """The standard's URL of a reference on a base, or None where there is none."""
    try:
        joined = ada_url.join_url(base, reference)
    except (ValueError, UnicodeError):
        joined = _alone(reference)
    return joined if joined is not None and _labels_valid(joined) else None


def _alone(reference: str) -> str | None:
    """A reference that needs no base, where the base is no URL."""
    try:
        return str(ada_url.normalize_url(reference))
    except (ValueError, UnicodeError):
        return None


def document_base(href: str | None, page_url: str) -> str:
    """The base of a page: its first `<base href>` where that is a URL fit for it, else the page's own URL."""
    if href is None:
        return page_url
    joined = join(href.strip(" \t\n\r\f"), page_url)
    if joined is None or joined.startswith(("data:", "javascript:")):
        return page_url
    return joined


def _labels_valid(url: str) -> bool:
    """Whether the host's `xn--` labels are valid Punycode, which the parser does not check."""
    if "xn--" not in url:
        return True
    labels = ada_url.URL(url).hostname.split(".")
    return not any(ada_url.idna_to_unicode(label).startswith("xn--") for label in labels if label.startswith("xn--"))
