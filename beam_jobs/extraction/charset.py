"""The encoding of a page, determined as the HTML standard says.

In: the page's bytes and what the transport declares. Out: the encoding's name, and whether it is certain. Order:
byte-order mark, transport, a prescan of the first 1,024 bytes, UTF-8 where the bytes are UTF-8 beyond ASCII, and
windows-1252. A `<meta>` behind the prescan is the parser's business (see page.py).
"""

from __future__ import annotations

import re

from beam_jobs.extraction.encodings import FALLBACK, UTF_8, encoding_of

PRESCAN = 1_024
_SPACES = b" \t\n\f\r"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_META = re.compile(rb"<meta[\s/]", re.IGNORECASE)
_TAG = re.compile(rb"</?[a-zA-Z]")
_TAG_NAME_END = re.compile(rb"[\t\n\f\r >]")
_CHARSET = re.compile(r"charset[ \t\n\f\r]*=[ \t\n\f\r]*", re.IGNORECASE)
_XML = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([!-~]+?)["']""")


def sniff(data: bytes, declared: str | None = None) -> tuple[str, bool]:
    """The page's encoding, and whether the standard holds it for certain (no `<meta>` may change it)."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding, True
    if declared is not None:
        transported = encoding_of(declared)
        if transported is not None:
            return transported, True
    scanned = prescan(data[:PRESCAN])
    if scanned is not None:
        return scanned, False
    return (UTF_8 if _is_utf_8_beyond_ascii(data) else FALLBACK), False


def prescan(head: bytes) -> str | None:
    """The standard's prescan of a byte stream for a `<meta>` that names its encoding, or an XML declaration."""
    place = 0
    while True:
        place = head.find(b"<", place)
        if place < 0:
            break
        if head.startswith(b"<!--", place):
            end = head.find(b"-->", place + 2)
            if end < 0:
                break
            place = end + 3
        elif _META.match(head, place):
            found, place = _meta(head, place + 5)
            if found is not None:
                return found
        elif _TAG.match(head, place):
            stop = _TAG_NAME_END.search(head, place)
            if stop is None:
                break
            place = stop.start()
            while True:
                attribute, place = _attribute(head, place)
                if attribute is None:
                    break
        elif head[place + 1 : place + 2] in (b"!", b"/", b"?"):
            place = head.find(b">", place)
            if place < 0:
                break
        else:
            place += 1
    declaration = _XML.match(head)
    return _of_meta(declaration[1].decode("latin-1")) if declaration else None


def charset_of_content(content: str) -> str | None:
    """The label in a `content` attribute such as `text/html; charset=utf-8`, or None."""
    for match in _CHARSET.finditer(content):
        rest = content[match.end() :]
        if rest[:1] in ("'", '"') and rest:
            end = rest.find(rest[0], 1)
            return rest[1:end] if end > 0 else None
        return re.split(r"[ \t\n\f\r;]", rest, maxsplit=1)[0]
    return None


def of_declaration(charset: str | None, http_equiv: str | None, content: str | None) -> str | None:
    """The encoding that a `<meta>` element of these attributes declares, or None."""
    if charset is not None:
        return _of_meta(charset)
    if http_equiv is not None and http_equiv.lower() == "content-type" and content is not None:
        label = charset_of_content(content)
        return None if label is None else _of_meta(label)
    return None


def _of_meta(label: str) -> str | None:
    """A page that could say so in ASCII is not UTF-16."""
    encoding = encoding_of(label)
    if encoding in ("utf-16be", "utf-16le"):
        return UTF_8
    return FALLBACK if encoding == "x-user-defined" else encoding


def _meta(head: bytes, place: int) -> tuple[str | None, int]:
    seen: dict[str, str] = {}
    while True:
        attribute, place = _attribute(head, place)
        if attribute is None:
            break
        name, value = attribute
        seen.setdefault(name, value)
    return of_declaration(seen.get("charset"), seen.get("http-equiv"), seen.get("content")), place


def _attribute(head: bytes, place: int) -> tuple[tuple[str, str] | None, int]:
    """The standard's "get an attribute"; None at the end of the tag or of the bytes."""
    end = len(head)
    while place < end and head[place] in b" \t\n\f\r/":
        place += 1
    if place >= end or head[place] == 0x3E:
        return None, min(place + 1, end)
    start = place
    while place < end and (head[place] not in b"= \t\n\f\r/>" or (place == start and head[place] == 0x3D)):
        place += 1
    name = head[start:place].decode("latin-1").lower()
    while place < end and head[place] in _SPACES:
        place += 1
    if place >= end:
        return None, end
    if head[place] != 0x3D:
        return (name, ""), place
    place += 1
    while place < end and head[place] in _SPACES:
        place += 1
    if place >= end:
        return None, end
    if head[place] in b"\"'":
        close = head.find(head[place : place + 1], place + 1)
        if close < 0:
            return None, end
        return (name, head[place + 1 : close].decode("latin-1")), close + 1
    start = place
    while place < end and head[place] not in b" \t\n\f\r>":
        place += 1
    if place >= end:
        return None, end
    return (name, head[start:place].decode("latin-1")), place


def _is_utf_8_beyond_ascii(data: bytes) -> bool:
    if data.isascii():
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        # a page cut off in the middle of a letter
        return error.end == len(data) and error.reason == "unexpected end of data"
    return True
