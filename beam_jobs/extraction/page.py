"""One HTML page, parsed as the HTML standard says, in one pass over its tree.

In: the page's bytes and the charset that its transport declares. Out: a Page: its title, language, base and
metadata, and its images in document order with the text around them. References stay as the page writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beam_jobs.extraction.charset import of_declaration, sniff
from beam_jobs.extraction.encodings import decode
from beam_jobs.extraction.licences import LicenceFinder
from beam_jobs.extraction.nesting import shallow
from beam_jobs.extraction.srcset import best_candidate, parse_srcset

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

Attributes = Mapping[str, str | None]

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_UNREAD = frozenset({"script", "style", "template", "textarea", "title"})
_LAZY_SOURCES = ("data-src", "data-lazy-src", "data-original", "data-lazy", "data-original-src")
_LAZY_SRCSETS = ("data-srcset", "data-lazy-srcset")
_ANCESTORS = 24
_HEADING_CHARACTERS = 300
_ATTRIBUTE_REFERENCES = ("src", "srcset", "picture", "lazy")


@dataclass(frozen=True)
class Reference:
    """One way in which an element names its image. `origin`: src, srcset, picture, lazy or og."""

    origin: str
    src: str


@dataclass(slots=True)
class Image:
    """An `<img>` with its context. alt is None where the attribute is missing."""

    alt: str | None
    title: str | None
    label: str | None
    figcaption: str | None
    heading: str | None
    position: int
    width: int | None
    height: int | None
    licence: str | None
    references: tuple[Reference, ...]
    place: int
    before: str | None = None
    after: str | None = None


@dataclass(slots=True)
class Page:
    """What a page says of itself and of its images. metas: (name or property, content), names in lower case."""

    title: str | None = None
    language: str | None = None
    base: str | None = None
    metas: list[tuple[str, str]] = field(default_factory=list)
    licence: str | None = None
    images: list[Image] = field(default_factory=list)
    encoding: str = ""


def read_page(data: bytes, *, charset: str | None = None, context_characters: int = 200) -> Page:
    """Reads a page. Whatever the bytes are, there is a page: browsers find one too."""
    from selectolax.lexbor import LexborHTMLParser

    encoding, certain = sniff(data, charset)
    tree = LexborHTMLParser(shallow(decode(data, encoding)))
    if not certain:
        declared = _declared(tree)
        if declared is not None and declared != encoding:
            encoding = declared
            tree = LexborHTMLParser(shallow(decode(data, encoding)))
    reader = _Reader(context_characters)
    root = tree.root
    if root is not None:
        reader.read(root)
    reader.page.encoding = encoding
    return reader.page


def _declared(tree: LexborHTMLParser) -> str | None:
    """The first encoding that a `<meta>` declares, wherever in the page the parser met it."""
    for meta in tree.css("meta[charset], meta[http-equiv][content]"):
        given = meta.attributes
        found = of_declaration(given.get("charset"), given.get("http-equiv"), given.get("content"))
        if found is not None:
            return found
    return None


class _Reader:
    """Walks a tree once. Texts are gathered as they pass, so that each image knows its place among them."""

    def __init__(self, context_characters: int) -> None:
        self.page = Page()
        self._context = context_characters
        self._texts: list[str] = []
        self._length = 0
        self._heading: LexborNode | None = None
        self._heading_text: str | None = None
        self._captions: dict[int, str | None] = {}
        self._licences = LicenceFinder()
        self._unread: int | None = None
        self._handlers: dict[str, Callable[[LexborNode], None]] = {
            "img": self._image,
            "meta": self._meta,
            "base": self._base,
            "html": self._html,
            "title": self._title,
            "script": self._licences.script,
            "link": self._licences.link,
            "a": self._licences.link,
        }

    def read(self, root: LexborNode) -> None:
        handlers = self._handlers
        for node in root.traverse(include_text=True):
            tag = node.tag
            if tag == "-text":
                self._text(node)
                continue
            if tag is None:
                continue
            handler = handlers.get(tag)
            if handler is not None:
                handler(node)
            if tag in _HEADINGS:
                self._heading, self._heading_text = node, None
            if tag in _UNREAD:
                child = node.first_child
                self._unread = None if child is None else child.mem_id
        self._finish()

    def _text(self, node: LexborNode) -> None:
        if self._unread is not None and node.mem_id == self._unread:
            self._unread = None
            return
        words = " ".join((node.text_content or "").split())
        if words:
            self._texts.append(words)
            self._length += len(words) + 1

    def _image(self, node: LexborNode) -> None:
        given = node.attributes
        figure, picture = _surroundings(node)
        self.page.images.append(
            Image(
                alt=(given["alt"] or "") if "alt" in given else None,
                title=given.get("title"),
                label=given.get("aria-label"),
                figcaption=self._caption(figure),
                heading=self._heading_words(),
                position=len(self.page.images),
                width=pixels(given.get("width")),
                height=pixels(given.get("height")),
                licence=self._licences.of_figure(figure),
                references=references_of(given, picture),
                place=self._length,
            )
        )

    def _caption(self, figure: LexborNode | None) -> str | None:
        if figure is None:
            return None
        key = figure.mem_id
        if key not in self._captions:
            caption = figure.css_first("figcaption")
            words = "" if caption is None else " ".join(caption.text(separator=" ").split())
            self._captions[key] = words or None
        return self._captions[key]

    def _heading_words(self) -> str | None:
        if self._heading_text is None and self._heading is not None:
            self._heading_text = " ".join(self._heading.text(separator=" ").split())[:_HEADING_CHARACTERS]
        return self._heading_text or None

    def _meta(self, node: LexborNode) -> None:
        given = node.attributes
        name = given.get("name") or given.get("property") or given.get("http-equiv")
        if name:
            self.page.metas.append((name.strip().lower(), given.get("content") or ""))
        self._licences.link(node)

    def _base(self, node: LexborNode) -> None:
        href = node.attributes
        if self.page.base is None and "href" in href:
            self.page.base = href["href"] or ""

    def _html(self, node: LexborNode) -> None:
        if self.page.language is None:
            self.page.language = (node.attributes.get("lang") or "").strip() or None

    def _title(self, node: LexborNode) -> None:
        if self.page.title is None and node.parent is not None and node.parent.tag != "svg":
            self.page.title = " ".join(node.text().split()) or None

    def _finish(self) -> None:
        page = self.page
        page.licence = self._licences.of_page(page.metas)
        if page.language is None:
            declared = next((value for name, value in page.metas if name == "content-language"), "")
            page.language = declared.strip() or None
        whole = " ".join(self._texts)
        for image in page.images:
            image.before = _last_words(whole[max(0, image.place - 2 * self._context) : image.place], self._context)
            image.after = _first_words(whole[image.place : image.place + 2 * self._context], self._context)


def references_of(given: Attributes, picture: LexborNode | None = None) -> tuple[Reference, ...]:
    """How an `<img>` names its image: src first, then the best of each other way; equal references once."""
    found = [Reference("src", given["src"] or "")] if "src" in given else []
    if given.get("srcset"):
        found.extend(_best("srcset", [given["srcset"] or ""]))
    if picture is not None:
        sources = [child.attributes for child in picture.iter() if child.tag == "source"]
        taken = [source for source in sources if "svg" not in (source.get("type") or "")]
        found.extend(_best("picture", [source.get("srcset") or source.get("data-srcset") or "" for source in taken]))
    lazy = (given.get(name) for name in _LAZY_SOURCES)
    found.extend(Reference("lazy", value) for value in lazy if value is not None and _names_file(value))
    found.extend(_best("lazy", [given.get(name) or "" for name in _LAZY_SRCSETS]))
    if not found:
        return (Reference("src", ""),)
    distinct: dict[str, Reference] = {}
    for reference in found:
        distinct.setdefault(reference.src, reference)
    return tuple(distinct.values())


def _best(origin: str, srcsets: list[str]) -> list[Reference]:
    best = best_candidate([candidate for srcset in srcsets if srcset for candidate in parse_srcset(srcset)])
    return [] if best is None else [Reference(origin, best.url)]


def _names_file(value: str) -> bool:
    """Whether a script's attribute holds a reference rather than a flag or an object."""
    return ("/" in value or "." in value) and not value.lstrip().startswith(("{", "[", "#", "."))


def pixels(value: str | None) -> int | None:
    """A width or height attribute in pixels, by the standard's rules for dimensions; None for percentages."""
    digits = (value or "").strip(" \t\n\f\r")
    end = next((place for place, letter in enumerate(digits) if letter not in "0123456789"), len(digits))
    if end == 0 or "%" in digits[end:]:
        return None
    number = int(digits[: min(end, 10)])
    return number if number < 2**31 else None


def _surroundings(node: LexborNode) -> tuple[LexborNode | None, LexborNode | None]:
    """The nearest enclosing `<figure>`, and the `<picture>` whose image this is."""
    picture = None
    above = node.parent
    for step in range(_ANCESTORS):
        if above is None:
            break
        tag = above.tag
        if tag == "figure":
            return above, picture
        if tag == "picture" and step == 0:
            picture = above
        above = above.parent
    return None, picture


def _last_words(text: str, characters: int) -> str | None:
    text = text.rstrip()
    if len(text) > characters:
        text = text[-characters:].partition(" ")[2] or text[-characters:]
    return text or None


def _first_words(text: str, characters: int) -> str | None:
    text = text.lstrip()
    if len(text) > characters:
        text = text[:characters].rpartition(" ")[0] or text[:characters]
    return text or None
