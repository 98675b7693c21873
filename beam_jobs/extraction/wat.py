"""The images of a Common Crawl WAT file: links and alt-texts, without the pages.

In: an open WAT file. Out: record batches of PAIRS. Every pair that cc2dataset emits is here under the same uid; links
that it drops are rows with a reason, and images without an alt-text are counted. A record is searched for its image
links, and only those and what stands beside the links are parsed; a damaged record costs itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from beam_jobs.extraction.archives import iter_records
from beam_jobs.extraction.consent import directives_of, speaks_of_consent
from beam_jobs.extraction.joins import Joiner, join_as_cc2dataset
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.wat_columns import ALT, WatPage, WatRows

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_IMAGE = "IMG@/src"
# An image link up to its first brace, where `path` stands first and that brace ends the link; else nothing. A cut that
# is wrong after all ends inside a string and is no JSON.
_LINKS = re.compile(rb'IMG@/src"(?:(?:(?<=\{"path":"IMG@/src")|(?<=\{"path": "IMG@/src"))((?:, ?"[^}]*")?\})|)')
_LINKS_KEY = re.compile(rb'"Links": ?\[')
_MOST_BYTES = 67_108_864
_HEADERS_READ = frozenset({"x-robots-tag", "tdm-reservation", "content-language"})


def wat_batches(file: IO[bytes], options: ExtractOptions, counts: Counts, *, name: str) -> Iterator[pa.RecordBatch]:
    """The image links of a WAT file, in file order. `name`: the file as rows tell it."""
    from fastwarc.warc import WarcRecordType

    metadata = int(WarcRecordType.metadata)

    def wanted(record: WarcRecord) -> bool:
        return int(record.record_type) == metadata

    rows = WatRows(options, counts, name)
    records = iter_records(
        file, wanted=wanted, bad=lambda offset, message: counts.bad_record(name, offset), max_bytes=_MOST_BYTES
    )
    read = without_alt = 0
    for record in records:
        read += 1
        found = _LINKS.findall(record.content)
        if not found:
            continue
        regular = b"" not in found
        if regular and not options.wat_without_alt and not any(ALT in link for link in found):
            without_alt += len(found)
            continue
        try:
            if not regular:
                raise ValueError("an image link is spelled in another way")
            page, links = _page_beside(record.content, options), found
        except (ValueError, KeyError, TypeError, AttributeError):
            try:
                page, links = _whole(record.content, options)
            except (ValueError, KeyError, TypeError, AttributeError):
                counts.bad_record(name, record.offset)
                continue
        rows.add(page, record.offset, links, record.content)
        if rows.full:
            yield from rows.take(_links_of)
    yield from rows.take(_links_of)
    counts.add("records", "read", read)
    if without_alt:
        counts.add("references", "without_alt", without_alt)


def _page_beside(content: bytes, options: ExtractOptions) -> WatPage:
    """What a record says beside its links; an error where it is not laid out as expected."""
    opening = _LINKS_KEY.search(content)
    if opening is None:
        raise KeyError("Links")
    value = orjson.loads(content[: opening.end()] + content[content.rfind(b"]", opening.end()) :])
    return _page(value, options)


def _whole(content: bytes, options: ExtractOptions) -> tuple[WatPage, list[bytes]]:
    """A record parsed as a whole: the slow way, for any spelling."""
    value = orjson.loads(content)
    return _page(value, options), _image_links(value)


def _links_of(content: bytes) -> list[bytes]:
    return _image_links(orjson.loads(content))


def _image_links(value: Mapping[str, Any]) -> list[bytes]:
    """The image links, spelled as a search would have cut them out."""
    links = value["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]["Links"]
    told = [
        {key: link[key] for key in ("url", "alt") if isinstance(link.get(key), str)}
        for link in links
        if isinstance(link, dict) and link.get("path") == _IMAGE
    ]
    return [b"," + orjson.dumps(link)[1:] if link else b"}" for link in told]


def _page(value: Mapping[str, Any], options: ExtractOptions) -> WatPage:
    envelope = value["Envelope"]
    response = envelope["Payload-Metadata"]["HTTP-Response-Metadata"]
    head = response["HTML-Metadata"].get("Head") or {}
    page_url = envelope["WARC-Header-Metadata"]["WARC-Target-URI"]
    base = join_as_cc2dataset(page_url, head["Base"]) if head.get("Base") is not None else page_url
    metas = _metas(head.get("Metas") or (), options.agent)
    headers = _headers(response.get("Headers") or {})
    title = head.get("Title")
    return WatPage(
        url=page_url,
        joiner=Joiner(base),
        title=(" ".join(title.split()) or None) if isinstance(title, str) else None,
        language=_language(metas, headers) if metas or headers else None,
        licence=_licence(head.get("Link") or ()),
        directives=directives_of(metas, headers, agent=options.agent) if metas or headers else (),
    )


def _metas(given: Sequence[Mapping[str, Any]], agent: str) -> list[tuple[str, str]]:
    """The metas that are read: those of consent, and the language."""
    read = []
    for meta in given:
        spelled = meta.get("name") or meta.get("http-equiv")
        name = _meta_read(spelled, agent) if spelled else None
        if name is not None:
            read.append((name, str(meta.get("content") or "")))
    return read


@lru_cache(maxsize=16_384)
def _meta_read(spelled: str, agent: str) -> str | None:
    """A meta's name in lower case, if metas of that name are read."""
    name = spelled.strip().lower()
    return name if name == "content-language" or speaks_of_consent(name, agent) else None


def _headers(given: Mapping[str, Any]) -> dict[str, list[str]]:
    read: dict[str, list[str]] = {}
    for spelled, value in given.items():
        name = _header_read(spelled)
        if name is not None:
            read[name] = [str(part) for part in (value if isinstance(value, list) else [value])]
    return read


@lru_cache(maxsize=16_384)
def _header_read(spelled: str) -> str | None:
    """A header's name in lower case, if headers of that name are read."""
    name = spelled.lower()
    return name if name in _HEADERS_READ else None


def _language(metas: Sequence[tuple[str, str]], headers: Mapping[str, Sequence[str]]) -> str | None:
    for name, value in metas:
        if name == "content-language" and value.strip():
            return value.strip()
    return next((value.strip() for value in headers.get("content-language", ()) if value.strip()), None)


def _licence(links: Sequence[Mapping[str, Any]]) -> str | None:
    for link in links:
        words = link.get("rel")
        if words and "icense" in words and "license" in words.lower().split() and link.get("url"):
            return str(link["url"])
    return None
