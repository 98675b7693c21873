"""From a page to its rows: every reference of every image, resolved, with context, licence and consent.

In: the bytes of a page, where it came from and its headers. Out: rows of PAIRS as dicts, in page order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beam_jobs.extraction.consent import directives_of, forbidding
from beam_jobs.extraction.image_attributes import Reference
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.page import Image, Page, read_page
from beam_jobs.extraction.references import document_base, join, resolve
from beam_jobs.extraction.rows import clean, pair_values, shown
from filters.language import detect
from schemas.reasons import Failed

_OG_IMAGES = ("og:image", "og:image:url", "og:image:secure_url")
_OG_TEXTS = ("og:image:alt", "og:title")
_LEAST_WORDS = 20  # characters
_SURE = 0.5


@dataclass(frozen=True)
class FoundPage:
    """A page as a source gives it. headers: lower-case names to values, as far as the source knows them."""

    url: str
    data: bytes
    source: str
    offset: int | None
    charset: str | None = None
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)


def page_rows(found: FoundPage, options: ExtractOptions) -> Iterator[dict[str, Any]]:
    """The rows of a page; a reference that leads nowhere is a row with its reason."""
    page = read_page(found.data, charset=found.charset, context_characters=options.context_characters)
    base = document_base(page.base, found.url)
    directives = directives_of(page.metas, found.headers, agent=options.agent)
    forbidden = forbidding(directives, options) if options.honour_opt_out else None
    licences = _resolved(page.licences, base)
    page.licence = page.licence or licences.get(found.url)
    shared = {
        "page_url": found.url,
        "page_title": page.title,
        "page_language": page.language or _content_language(found.headers),
        "detected_language": _detected(page),
        "page_licence": page.licence,
        "opt_out": ",".join(directives) or None,
        "source": found.source,
        "source_offset": found.offset,
    }
    for image in page.images:
        context = {**shared, **_context(image, page.licence)}
        for text_source, text, alt_state in _texts(image):
            told = {**context, "text_source": text_source, "alt_state": alt_state}
            yield from _reference_rows(image.references, text, base, told, licences, options, forbidden)
    if "og" in options.references:
        yield from _og_rows(page, base, {**shared, "licence": page.licence}, licences, options, forbidden)


def _context(image: Image, page_licence: str | None) -> dict[str, Any]:
    return {
        "title": image.title,
        "figcaption": image.figcaption,
        "heading": image.heading,
        "text_before": image.before,
        "text_after": image.after,
        "position": image.position,
        "declared_width": image.width,
        "declared_height": image.height,
        "licence": image.licence or page_licence,
    }


def _texts(image: Image) -> Iterator[tuple[str, str, str]]:
    """The texts of an image: its raw alt always, and its aria-label where that says something else."""
    alt_state = "missing" if image.alt is None else "text" if image.alt else "empty"
    yield "alt", image.alt or "", alt_state
    if image.label and image.label.strip() and image.label != image.alt:
        yield "aria_label", image.label, alt_state


def _reference_rows(
    references: Sequence[Reference],
    text: str,
    base: str,
    told: dict[str, Any],
    licences: Mapping[str, str],
    options: ExtractOptions,
    forbidden: str | None,
) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    text = clean(text)
    for reference in references:
        if reference.origin not in options.references:
            continue
        reason = message = None
        try:
            url = resolve(reference.src, base)
        except Failed as failed:
            url, reason, message = shown(clean(reference.src)), failed.reason, failed.message
        if url in seen:
            continue
        seen.add(url)
        if reason is None and forbidden is not None:
            reason, message = "opted_out", f"the page says {forbidden}"
        yield {
            **told,
            **pair_values(text, url),
            "src": shown(clean(reference.src)),
            "reference": reference.origin,
            "licence": licences.get(url, told["licence"]),
            "reason": reason,
            "message": message,
        }


def _og_rows(
    page: Page,
    base: str,
    shared: dict[str, Any],
    licences: Mapping[str, str],
    options: ExtractOptions,
    forbidden: str | None,
) -> Iterator[dict[str, Any]]:
    """The images that a page shows to others (Open Graph), each with the text given for it, or the title."""
    named = [(name, content) for name, content in page.metas if name.startswith("og:") and content.strip()]
    title = next((content for name, content in named if name == _OG_TEXTS[1]), "")
    for place, (name, content) in enumerate(named):
        if name not in _OG_IMAGES:
            continue
        text = title
        for following, value in named[place + 1 :]:
            if following == _OG_IMAGES[0] or not following.startswith("og:image"):
                break
            if following == _OG_TEXTS[0]:
                text = value
        told = {**shared, "text_source": "og", "alt_state": "text" if text else "missing"}
        yield from _reference_rows((Reference("og", content.strip()),), text, base, told, licences, options, forbidden)


def _content_language(headers: Mapping[str, Sequence[str]]) -> str | None:
    return next((value.strip() for value in headers.get("content-language", ()) if value.strip()), None)


def _resolved(licences: Mapping[str, str], base: str) -> dict[str, str]:
    """Licences of images by URL."""
    joined = ((join(reference, base), licence) for reference, licence in licences.items())
    return {url: licence for url, licence in joined if url is not None}


def _detected(page: Page) -> str | None:
    """The language of the page's text, where that is clear."""
    words = page.words or page.title or ""
    if len(words) < _LEAST_WORDS:
        return None
    ((language, score),) = detect([words])
    return language if score >= _SURE else None
