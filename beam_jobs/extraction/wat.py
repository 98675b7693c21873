"""The images of a Common Crawl WAT file: links and alt-texts, without the pages.

In: an open WAT file. Out: record batches of PAIRS. Every pair that cc2dataset emits is here under the same uid; links
that it drops are rows with a reason, and images without an alt-text are counted. A record is searched for its image
links, and only those and what stands beside the links are parsed; a damaged record costs itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from beam_jobs.extraction.archives import iter_records
from beam_jobs.extraction.consent import directives_of, speaks_of_consent
from beam_jobs.extraction.joins import Joiner, join_as_cc2dataset
from beam_jobs.extraction.options import ExtractOptions
from beam_jobs.extraction.rows import Counts
from beam_jobs.extraction.wat_columns import WatPage, WatRows

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_IMAGE = "IMG@/src"
_MARK = b'"IMG@/src"'
# An image link up to its first brace, where `path` stands first and that brace ends the link; else nothing. A cut that
# is wrong after all ends inside a string and is no JSON.
_LINKS = re.compile(rb'"IMG@/src"(?:(?:(?<=\{"path":"IMG@/src")|(?<=\{"path": "IMG@/src"))((?:, ?"[^}]*")?\})|)')
_LINKS_KEY = re.compile(rb'"Links": ?\[')
_OPENING = b'{"path":"IMG@/src"'
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
    read = 0
    for record in records:
        read += 1
        found = _LINKS.findall(record.content)
        if not found:
            continue
        try:
            if b"" in found:
                raise ValueError("an image link is spelled in another way")
            page = _page_beside(record.content, options)
            links = [_OPENING + link for link in found]
        except (ValueError, KeyError, TypeError, AttributeError):
            try:
                page, links = _whole(record.content, options)
            except (ValueError, KeyError, TypeError, AttributeError):
                counts.bad_record(name, record.offset)
                continue
        rows.add(page, record.offset, links, record.content)
        if rows.full:
            yield from rows.take(_links_of)
    counts.add("records", "read", read)
    yield from rows.take(_links_of)


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
    return _page(value, options), [orjson.dumps(link) for link in _image_links(value)]


def _links_of(content: bytes) -> list[bytes]:
    return [orjson.dumps(link) for link in _image_links(orjson.loads(content))]


def _image_links(value: Mapping[str, Any]) -> list[dict[str, str]]:
    links = value["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]["Links"]
    return [
        {"path": _IMAGE, **{key: link[key] for key in ("url", "alt") if isinstance(link.get(key), str)}}
        for link in links
        if isinstance(link, dict) and link.get("path") == _IMAGE
    ]


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
        language=_language(metas, headers),
        licence=_licence(head.get("Link") or ()),
        directives=directives_of(metas, headers, agent=options.agent) if metas or headers else (),
    )


def _metas(given: Sequence[Mapping[str, Any]], agent: str) -> list[tuple[str, str]]:
    """The metas that are read: those of consent, and the language."""
    read = []
    for meta in given:
        name = meta.get("name") or meta.get("http-equiv")
        if name:
            name = name.strip().lower()
            if name == "content-language" or speaks_of_consent(name, agent):
                read.append((name, str(meta.get("content") or "")))
    return read


def _headers(given: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        name.lower(): [str(part) for part in (value if isinstance(value, list) else [value])]
        for name, value in given.items()
        if name.lower() in _HEADERS_READ
    }


def _language(metas: Sequence[tuple[str, str]], headers: Mapping[str, Sequence[str]]) -> str | None:
    declared = [value for name, value in metas if name == "content-language"]
    return next((value.strip() for value in (*declared, *headers.get("content-language", ())) if value.strip()), None)


def _licence(links: Sequence[Mapping[str, Any]]) -> str | None:
    for link in links:
        words = link.get("rel")
        if words and "license" in words.lower().split() and link.get("url"):
            return str(link["url"])
    return None
