"""One WAT record: what it says of its page, and its image links, found without parsing the rest.

In: a record's JSON. Out: a WatPage, and the image links as pieces of JSON; ValueError where the record is damaged.
A record is searched for its image links; of what stands beside the links only the fields named here are decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from stringzilla import Str, count, find

from beam_jobs.extraction.consent import directives_of, speaks_of_consent
from beam_jobs.extraction.joins import Joiner, join_as_cc2dataset
from beam_jobs.extraction.rows import clean

IMAGE = b'IMG@/src"'
_IMAGE = "IMG@/src"
_OPENING = b'{"path":0'
# An image link from behind its path to its first brace, where `path` stands first and that brace ends the link; else
# nothing. A cut that is wrong after all ends inside a string and is no JSON.
_LINKS = re.compile(rb'IMG@/src"(?:(?:(?<=\{"path":"IMG@/src")|(?<=\{"path": "IMG@/src"))((?:, ?"[^}]*")?\})|)')
_ALT = b'"alt"'
# The key of all links and an image link's beginning: compact, and with spaces.
_SPELLINGS = ((b'"Links":[', b'{"path":"IMG@/src"'), (b'"Links": [', b'{"path": "IMG@/src"'))
_HEADERS_READ = frozenset({"x-robots-tag", "tdm-reservation", "content-language"})


Spelled: TypeAlias = bytes | bytearray
Fields: TypeAlias = tuple[tuple[str, str], ...]  # names and values


class WatPage(msgspec.Struct, gc=False):
    """What a record says of its page."""

    url: str
    joiner: Joiner
    title: str | None
    language: str | None
    licence: str | None
    directives: tuple[str, ...]


class Link(msgspec.Struct, gc=False):
    """An image link as its record spells it."""

    url: str | None = None
    alt: str | None = None
    title: Any = None
    width: Any = None
    height: Any = None


class _Meta(msgspec.Struct, gc=False):
    name: str | None = None
    http_equiv: str | None = msgspec.field(default=None, name="http-equiv")
    content: str | None = None


class _Head(msgspec.Struct, gc=False):
    title: Any = msgspec.field(default=None, name="Title")
    base: Any = msgspec.field(default=None, name="Base")
    metas: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Metas")
    links: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Link")


class _Html(msgspec.Struct, gc=False):
    links: msgspec.Raw = msgspec.field(name="Links")
    head: _Head | None = msgspec.field(default=None, name="Head")


class _Response(msgspec.Struct, gc=False):
    html: _Html = msgspec.field(name="HTML-Metadata")
    headers: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Headers")


class _Payload(msgspec.Struct, gc=False):
    response: _Response = msgspec.field(name="HTTP-Response-Metadata")


class _Header(msgspec.Struct, gc=False):
    target: str = msgspec.field(name="WARC-Target-URI")


class _Envelope(msgspec.Struct, gc=False):
    payload: _Payload = msgspec.field(name="Payload-Metadata")
    header: _Header = msgspec.field(name="WARC-Header-Metadata")


class _Record(msgspec.Struct, gc=False):
    envelope: _Envelope = msgspec.field(name="Envelope")


_decode_record = msgspec.json.Decoder(_Record).decode
_decode_links = msgspec.json.Decoder(list[Link]).decode
_decode_metas = msgspec.json.Decoder(list[_Meta]).decode


def links_of(data: Spelled, begin: int, end: int) -> tuple[int, bytes]:
    """Where a record's links begin, and what an image link begins with there; ValueError where that is not found."""
    for key, mark in _SPELLINGS:
        start = find(data, key, begin, end)
        if start >= 0:
            return start + len(key), mark
    raise ValueError("the record has no links")


def image_links(data: Spelled, begin: int, end: int) -> list[Spelled]:
    """All image links as their record spells them, from behind the path to the brace; ValueError where one is
    spelled in another way."""
    links: list[Spelled] = _LINKS.findall(data, begin, end)
    if b"" in links:
        raise ValueError("an image link does not begin with its path")
    return links


def told_links(data: Spelled, begin: int, end: int, *, mark: bytes) -> tuple[list[Spelled], list[int], int]:
    """The image links that have an alt-text, and maybe some others, as image_links cuts them; their places among all
    images; how many images there are. ValueError where one is spelled in another way.

    mark: what an image link begins with.
    """
    pieces = Str(data)[begin:end].split_iter(mark)
    next(pieces)
    links: list[Spelled] = []
    places: list[int] = []
    place = -1
    for place, piece in enumerate(pieces):
        if _ALT in piece:
            links.append(bytes(piece[: find(piece, b"}") + 1]))
            places.append(place)
    if count(data, IMAGE, begin, end) != place + 1:
        raise ValueError("an image link does not begin with its path")
    return links, places, place + 1


def page_beside(data: Spelled, begin: int, links: int, end: int, *, agent: str) -> WatPage:
    """What a record says beside its links, which begin at `links`; ValueError where it is no record."""
    return _page(_record(data[begin:links] + data[data.rfind(b"]", links, end) : end]), agent)


def whole_record(content: bytes, *, agent: str) -> tuple[WatPage, list[Spelled]]:
    """A record decoded as a whole, the slow way for any spelling; the links as image_links cuts them."""
    record = _record(content)
    return _page(record, agent), _links(bytes(record.envelope.payload.response.html.links))


def parse_links(links: Sequence[Spelled]) -> list[Link]:
    """Links as image_links cuts them; ValueError where one is no JSON."""
    if not links:
        return []
    try:
        parsed = _decode_links(b"[" + _OPENING + (b"," + _OPENING).join(links) + b"]")
    except msgspec.MsgspecError as error:
        raise ValueError(f"no links: {error}") from error
    if len(parsed) != len(links):
        raise ValueError("a link is several")
    return parsed


def _record(content: Spelled) -> _Record:
    try:
        return _decode_record(content)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no WAT record: {error}") from error


def _links(spelled: bytes) -> list[Spelled]:
    links = json.loads(spelled)
    told = [
        {
            key: clean(link[key]) if isinstance(link[key], str) else link[key]
            for key in Link.__struct_fields__
            if _is_told(link, key)
        }
        for link in links
        if isinstance(link, dict) and link.get("path") == _IMAGE
    ]
    return [b"," + msgspec.json.encode(link)[1:] if link else b"}" for link in told]


def _is_told(link: dict[str, Any], key: str) -> bool:
    return isinstance(link.get(key), str) or (key not in ("url", "alt") and isinstance(link.get(key), int))


def _page(record: _Record, agent: str) -> WatPage:
    response = record.envelope.payload.response
    target = record.envelope.header.target
    head = response.html.head or _Head()
    base = join_as_cc2dataset(target, head.base) if isinstance(head.base, str) else target
    metas = _metas(head.metas, agent) if head.metas else ()
    headers = _headers(bytes(response.headers))
    language, directives = _declared(metas, headers, agent) if metas or headers else (None, ())
    title = head.title
    return WatPage(
        url=target,
        joiner=Joiner(base),
        title=(" ".join(title.split()) or None) if isinstance(title, str) else None,
        language=language,
        licence=_licence(bytes(head.links)) if head.links else None,
        directives=directives,
    )


def _metas(spelled: msgspec.Raw, agent: str) -> Fields:
    """The metas that are read: those of consent, and the language."""
    try:
        metas = _decode_metas(spelled)
    except msgspec.MsgspecError:
        metas = _metas_of_any_kind(bytes(spelled))
    read = [
        (name, meta.content or "")
        for meta in metas
        if (given := meta.name or meta.http_equiv) and (name := _meta_read(given, agent)) is not None
    ]
    return tuple(read)


def _metas_of_any_kind(spelled: bytes) -> list[_Meta]:
    found = json.loads(spelled)
    metas = [meta for meta in found if isinstance(meta, dict)] if isinstance(found, list) else []
    return [_Meta(_told(meta, "name"), _told(meta, "http-equiv"), _told(meta, "content")) for meta in metas]


def _told(meta: dict[str, Any], key: str) -> str | None:
    return None if meta.get(key) is None else clean(str(meta[key]))


@lru_cache(maxsize=16_384)
def _meta_read(spelled: str, agent: str) -> str | None:
    """A meta's name in lower case, if metas of that name are read."""
    name = spelled.strip().lower()
    return name if name == "content-language" or speaks_of_consent(name, agent) else None


def _headers(spelled: bytes) -> Fields:
    """The response headers that are read, by lower-case name, line by line."""
    lower = spelled.lower()
    if find(lower, b"robots") < 0 and find(lower, b"tdm-res") < 0 and find(lower, b"language") < 0:
        return ()
    found = json.loads(spelled)
    return tuple(
        (name.lower(), clean(str(part)))
        for name, value in found.items()
        if name.lower() in _HEADERS_READ
        for part in (value if isinstance(value, list) else [value])
    )


@lru_cache(maxsize=16_384)
def _declared(metas: Fields, headers: Fields, agent: str) -> tuple[str | None, tuple[str, ...]]:
    """The language and the directives that a page declares; most pages declare what others do."""
    languages = [value.strip() for name, value in (*metas, *headers) if name == "content-language"]
    lines: dict[str, list[str]] = {}
    for name, value in headers:
        lines.setdefault(name, []).append(value)
    return next(filter(None, languages), None), directives_of(metas, lines, agent=agent)


def _licence(spelled: bytes) -> str | None:
    """The URL of a `<link rel=license>`."""
    if find(spelled, b"icense") < 0:
        return None
    for link in json.loads(spelled):
        if "license" in str(link.get("rel") or "").lower().split() and isinstance(link.get("url"), str):
            return clean(link["url"])
    return None
