"""One HTML page, parsed as the HTML standard says.

In: the page's bytes and the charset that its transport declares. Out: a Page: its title, language, base and
metadata, and its images in document order with the text around them. References stay as the page writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beam_jobs.extraction.charset import of_declaration, sniff
from beam_jobs.extraction.encodings import decode
from beam_jobs.extraction.image_attributes import Reference, pixels, references_of
from beam_jobs.extraction.licences import Licences, find_licences
from beam_jobs.extraction.nesting import shallow

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_UNREAD = frozenset({"script", "style", "template", "textarea", "title"})
_ANCESTORS = 24
_HEADING_CHARACTERS = 300
_NEIGHBOURS = 200
_SAMPLE = 400
_LONGER = 60


@dataclass(slots=True)
class Image:
    """An `<img>` with its context. alt is None where the attribute is missing."""

    alt: str | None
    title: str | None
    label: str | None
    heading: str | None
    position: int
    width: int | None
    height: int | None
    licence: str | None
    references: tuple[Reference, ...]
    figcaption: str | None = None
    before: str | None = None
    after: str | None = None


@dataclass(slots=True)
class Page:
    """What a page says of itself and of its images.

    metas: (name or property, content), names in lower case. licences: of images, by reference. words: a sample of its
    text, where it has images.
    """

    title: str | None = None
    language: str | None = None
    base: str | None = None
    metas: list[tuple[str, str]] = field(default_factory=list)
    licence: str | None = None
    licences: Mapping[str, str] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    words: str = ""
    encoding: str = ""


def read_page(data: bytes, *, charset: str | None = None, context_characters: int = 200) -> Page:
    """Reads a page. Whatever the bytes are, there is a page: browsers find one too."""
    from selectolax.lexbor import LexborHTMLParser

    encoding, certain = sniff(data, charset)
    text = shallow(decode(data, encoding))
    tree = LexborHTMLParser(text)
    if not certain:
        declared = _declared(tree)
        if declared is not None and declared != encoding:
            encoding = declared
            text = shallow(decode(data, encoding))
            tree = LexborHTMLParser(text)
    page = Page(encoding=encoding)
    _read_head(tree, page)
    licences = find_licences(tree, text, page.metas)
    page.licence, page.licences = licences.page, licences.images
    root = tree.root
    if root is not None and tree.css_first("img") is not None:
        reader = _BodyReader(licences, context_characters)
        reader.read(root)
        page.images, page.words = reader.images, reader.words()
    return page


def _declared(tree: LexborHTMLParser) -> str | None:
    """The first encoding that a `<meta>` declares, wherever in the page the parser met it."""
    for meta in tree.css("meta[charset], meta[http-equiv][content]"):
        given = meta.attributes
        found = of_declaration(given.get("charset"), given.get("http-equiv"), given.get("content"))
        if found is not None:
            return found
    return None


def _read_head(tree: LexborHTMLParser, page: Page) -> None:
    """What a page says of itself; parsers move such elements about, so they are read wherever they stand."""
    for node in tree.css("html, title, base[href], meta"):
        tag = node.tag
        if tag == "meta":
            given = node.attributes
            name = given.get("name") or given.get("property") or given.get("http-equiv")
            if name:
                page.metas.append((name.strip().lower(), given.get("content") or ""))
        elif tag == "base":
            page.base = node.attributes["href"] or "" if page.base is None else page.base
        elif tag == "title":
            if page.title is None and (node.parent is None or node.parent.tag != "svg"):
                page.title = " ".join(node.text().split()) or None
        elif page.language is None:
            page.language = (node.attributes.get("lang") or "").strip() or None
    if page.language is None:
        page.language = next((value.strip() for name, value in page.metas if name == "content-language"), "") or None


class _BodyReader:
    """Walks a tree once. Texts are gathered as they pass, so that each image knows its place among them."""

    def __init__(self, licences: Licences, context_characters: int) -> None:
        self.images: list[Image] = []
        self._licences = licences
        self._context = context_characters
        self._texts: list[str] = []
        self._clean: list[bool] = []
        self._places: list[int] = []
        self._heading: LexborNode | None = None
        self._heading_text: str | None = None
        self._captions: dict[int, str] = {}
        self._captioned: list[tuple[int, Image]] = []

    def read(self, root: LexborNode) -> None:
        unread: int | None = None
        for node in root.traverse(include_text=True):
            tag = node.tag
            if tag == "-text":
                if unread is not None and node.mem_id == unread:
                    unread = None
                    continue
                self._texts.append(node.text_content or "")
            elif tag == "img":
                self._image(node)
            elif tag in _HEADINGS:
                self._heading, self._heading_text = node, None
            elif tag in _UNREAD:
                child = node.first_child
                unread = None if child is None else child.mem_id
            elif tag == "figcaption":
                self._caption(node)
        self._clean = [False] * len(self._texts)
        for image, place in zip(self.images, self._places, strict=True):
            image.before = _last_words(self._before(place), self._context)
            image.after = _first_words(self._after(place), self._context)
        for figure, image in self._captioned:
            image.figcaption = self._captions.get(figure)

    def _image(self, node: LexborNode) -> None:
        given = node.attributes
        around = _Around(node, self._licences)
        figure = around.figure
        image = Image(
            alt=(given["alt"] or "") if "alt" in given else None,
            title=given.get("title"),
            label=given.get("aria-label"),
            heading=self._heading_words(),
            position=len(self.images),
            width=pixels(given.get("width")),
            height=pixels(given.get("height")),
            licence=around.licence,
            references=references_of(given, around.picture, origin="noscript" if around.unscripted else "src"),
        )
        if figure is not None:
            self._captioned.append((figure, image))
        self.images.append(image)
        self._places.append(len(self._texts))

    def _caption(self, node: LexborNode) -> None:
        figure = _Around(node, self._licences).figure
        if figure is not None and figure not in self._captions:
            words = " ".join(node.text(separator=" ").split())
            if words:
                self._captions[figure] = words

    def words(self) -> str:
        """A sample of the page's text: its first longer pieces, else its first ones; menus come first on many pages."""
        longer = [place for place, text in enumerate(self._texts) if len(text) >= _LONGER]
        parts: list[str] = []
        length = 0
        for place in longer or range(len(self._texts)):
            words = self._words(place)
            if words:
                parts.append(words)
                length += len(words) + 1
                if length > _SAMPLE:
                    break
        return " ".join(parts)[:_SAMPLE]

    def _heading_words(self) -> str | None:
        if self._heading_text is None and self._heading is not None:
            self._heading_text = " ".join(self._heading.text(separator=" ").split())[:_HEADING_CHARACTERS]
        return self._heading_text or None

    def _words(self, place: int) -> str:
        if not self._clean[place]:
            self._texts[place] = " ".join(self._texts[place].split())
            self._clean[place] = True
        return self._texts[place]

    def _before(self, place: int) -> str:
        """At least the characters asked for from the texts before a place, as far as there are any."""
        parts: list[str] = []
        length = 0
        for index in range(place - 1, max(-1, place - 1 - _NEIGHBOURS), -1):
            words = self._words(index)
            if words:
                parts.append(words)
                length += len(words) + 1
                if length > self._context + 1:
                    break
        return " ".join(reversed(parts))

    def _after(self, place: int) -> str:
        parts: list[str] = []
        length = 0
        for index in range(place, min(len(self._texts), place + _NEIGHBOURS)):
            words = self._words(index)
            if words:
                parts.append(words)
                length += len(words) + 1
                if length > self._context + 1:
                    break
        return " ".join(parts)


class _Around:
    """What encloses an element.

    figure: the id of the nearest `<figure>`. picture: the `<picture>` whose image it is. unscripted: whether it is for
    those who run no scripts. licence: of the nearest block that states one.
    """

    __slots__ = ("figure", "licence", "picture", "unscripted")

    def __init__(self, node: LexborNode, licences: Licences) -> None:
        self.figure: int | None = None
        self.picture: LexborNode | None = None
        self.licence: str | None = None
        self.unscripted = False
        above = node.parent
        for step in range(_ANCESTORS):
            if above is None:
                break
            tag = above.tag
            if step == 0 and tag == "picture":
                self.picture = above
            elif tag == "noscript":
                self.unscripted = True
            elif tag == "figure" and self.figure is None:
                self.figure = above.mem_id
            if licences.blocks and self.licence is None:
                self.licence = licences.blocks.get(above.mem_id)
            above = above.parent


def _last_words(text: str, characters: int) -> str | None:
    if len(text) > characters:
        text = text[-characters:] if text[-characters - 1] == " " else text[-characters:].partition(" ")[2]
    return text or None


def _first_words(text: str, characters: int) -> str | None:
    if len(text) > characters:
        text = text[:characters] if text[characters] == " " else text[:characters].rpartition(" ")[0]
    return text or None
