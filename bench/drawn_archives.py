"""WAT and WARC files as Common Crawl lays them out, drawn with a fixed seed.

In: a folder and a size. Out: `a.warc.wat.gz`, a record a request, a response and its metadata, gzip each, and
`a.warc.gz`, a response a page. Sites have menus that repeat on each page, sections that links share, and templates of
texts: what makes a WAT as repetitive as it is.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 2024
VOCABULARY = 5_000
SITES = 600
_TEXTS = ("Read more", "Add to cart", "Home", "Contact us", "Share", "Next", "Log in", "Privacy Policy", "Reply")
_HEADERS = {
    "Content-Type": "text/html; charset=UTF-8",
    "Transfer-Encoding": "chunked",
    "Connection": "keep-alive",
    "Cache-Control": "max-age=300, must-revalidate",
    "Vary": "Accept-Encoding, Cookie",
    "X-Powered-By": "PHP/8.1.28",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "CF-Cache-Status": "DYNAMIC",
    "Server": "nginx",
}


@dataclass(frozen=True)
class Site:
    """What the pages of a site share."""

    host: str
    sections: tuple[str, ...]
    menu: tuple[dict[str, str], ...]


class Writer:
    """Draws words as frequent as in texts, and records of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        self._words = ["".join(self.random.choices(letters, k=self.random.randrange(2, 10))) for _ in range(VOCABULARY)]
        self._weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
        self._sites = [self._site(number) for number in range(SITES)]

    def words(self, least: int, most: int) -> str:
        chosen = self.random.choices(self._words, cum_weights=self._weights, k=self.random.randrange(least, most))
        return " ".join(chosen)

    def slug(self, least: int, most: int) -> str:
        return self.words(least, most).replace(" ", "-")

    def _site(self, number: int) -> Site:
        sections = tuple(f"/{self.slug(1, 3)}/" for _ in range(6))
        host = f"www.{self.slug(1, 3)}{number}.example"
        menu = []
        for _ in range(self.random.randrange(8, 50)):
            text = self.words(1, 4)
            url = f"https://{host}{self.random.choice(sections)}{text.replace(' ', '-')}/"
            menu.append({"path": "A@/href", "url": url, "text": text})
        return Site(host, sections, tuple(menu))

    def image_url(self, site: Site) -> str:
        number = self.random.randrange(10**6)
        kind = self.random.random()
        if kind < 0.55:
            return f"https://{site.host}/wp-content/uploads/2023/{number % 12 + 1:02d}/{self.slug(1, 4)}-300x200.jpg"
        return f"/media/catalog/{number}.png" if kind < 0.85 else f"../images/{self.slug(1, 3)}.jpg"

    def links(self, site: Site) -> Iterator[dict[str, str]]:
        """A link, or a card: an image, a headline, and what else leads to the same page."""
        text = self.words(1, 8)
        url = f"{self.random.choice(site.sections)}{text.replace(' ', '-')}/"
        if self.random.random() < 0.6:
            url = f"https://{site.host}{url}"
        if self.random.random() < 0.3:
            image = {"path": "IMG@/src", "url": self.image_url(site)}
            yield {**image, "alt": text} if self.random.random() < 0.4 else image
            yield {"path": "A@/href", "url": url}
        yield {"path": "A@/href", "url": url, "text": text}
        if self.random.random() < 0.4:
            yield {"path": "A@/href", "url": url, "title": text, "text": self.random.choice(_TEXTS)}
            yield {"path": "A@/href", "url": f"{url}#comments", "text": f"{self.random.randrange(20)} Comments"}

    def wat_page(self) -> Iterator[bytes]:
        site = self.random.choice(self._sites)
        page = f"https://{site.host}{self.random.choice(site.sections)}{self.slug(1, 6)}/"
        links = list(site.menu)
        for _ in range(int(self.random.paretovariate(1.2) * 20) % 600):
            links.extend(self.links(site))
        title = self.words(3, 9)
        metas: list[dict[str, str]] = [{"name": "viewport", "content": "width=device-width, initial-scale=1"}]
        metas += [{"property": f"og:{name}", "content": self.words(2, 9)} for name in ("title", "type", "url", "image")]
        metas += [{"name": "description", "content": self.words(8, 25)}, {"name": "generator", "content": "WordPress"}]
        if self.random.random() < 0.4:
            metas.append({"name": "robots", "content": "index, follow, max-image-preview:large"})
        scripts = [
            {"path": "SCRIPT@/src", "url": f"/wp-includes/js/{name}.min.js?ver=6.5", "type": "text/javascript"}
            for name in ("jquery", "migrate", "theme", "menu", "slick", "forms")
        ]
        styles = [
            {"path": "LINK@/href", "url": f"/wp-content/plugins/{self.slug(1, 3)}/style.css", "rel": "stylesheet"}
            for _ in range(8)
        ]
        head = {"Metas": metas, "Title": title, "Scripts": scripts, "Link": styles}
        message = {"Status": "200", "Version": "HTTP/1.1", "Reason": "OK"}
        answer = {"Headers": {"Date": "Sat, 18 May 2024 01:58:10 GMT", **_HEADERS}, "Headers-Length": "611"}
        html = {"Head": head, "Links": links}
        asked = {"Method": "GET", "Path": page, "Version": "HTTP/1.1"}
        agent = {"User-Agent": "CCBot/2.0 (https://commoncrawl.org/faq/)", "Accept-Encoding": "br,gzip"}
        yield _wat_record(page, {"HTTP-Request-Metadata": {"Request-Message": asked, "Headers": agent}})
        yield _wat_record(
            page, {"HTTP-Response-Metadata": {"Response-Message": message, **answer, "HTML-Metadata": html}}
        )
        yield _wat_record(
            page, {"WARC-Metadata-Metadata": {"Metadata-Records": [{"Name": "fetchTimeMs", "Value": "77"}]}}
        )

    def html_page(self) -> tuple[str, bytes]:
        site = self.random.choice(self._sites)
        blocks = []
        for _ in range(self.random.randrange(20, 120)):
            kind = self.random.random()
            if kind < 0.2:
                blocks.append(f'<figure><img src="{self.image_url(site)}" alt="{self.words(1, 9)}" width=640></figure>')
            elif kind < 0.3:
                blocks.append(f"<h2>{self.words(2, 6)}</h2>")
            else:
                anchor = f'<a href="/{self.words(1, 2)}" class="{self.words(1, 3)}">{self.words(1, 4)}</a>'
                blocks.append(
                    f'<div class="{self.words(1, 3)}"><p>{self.words(20, 80)} {anchor} {self.words(5, 30)}</p></div>'
                )
        body = f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{self.words(3, 9)}</title></head><body>"
        return f"https://{site.host}/{self.random.randrange(10**6)}", (body + "\n".join(blocks)).encode()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _record(kind: str, page: str, block: bytes, content_type: str) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {page}\r\nWARC-Date: 2024-05-31T01:17:49Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{_md5(block)}>\r\nWARC-Refers-To: <urn:uuid:{_md5(page.encode())}>\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    member = zlib.compressobj(6, zlib.DEFLATED, 31)
    return member.compress(head.encode() + block + b"\r\n\r\n") + member.flush()


def _wat_record(page: str, payload: dict[str, Any]) -> bytes:
    seen = _md5(page.encode())
    gzip_metadata = {"Deflate-Length": "423", "Header-Length": "10", "Footer-Length": "8", "Inflated-CRC": seen[:10]}
    value = {
        "Container": {
            "Filename": "CC-MAIN-20240517233122-20240518023122-00000.warc.gz",
            "Compressed": True,
            "Offset": str(int(seen[:7], 16)),
            "Gzip-Metadata": {**gzip_metadata, "Inflated-Length": "626"},
        },
        "Envelope": {
            "Payload-Metadata": {"Actual-Content-Type": "application/http; msgtype=response", **payload},
            "Actual-Content-Length": "265",
            "Block-Digest": f"sha1:{seen}",
            "Format": "WARC/1.0",
            "WARC-Header-Length": "357",
            "WARC-Header-Metadata": {
                "WARC-Type": "response",
                "WARC-Date": "2024-05-18T01:58:10Z",
                "WARC-Record-ID": f"<urn:uuid:{seen}>",
                "Content-Type": "application/http; msgtype=response",
                "WARC-IP-Address": "208.80.154.224",
                "WARC-Target-URI": page,
            },
        },
    }
    block = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return _record("metadata", page, block, "application/json")


def write_wat(file: Path, size: int) -> None:
    """A WAT file of about so many bytes, decompressed."""
    writer = Writer(SEED)
    with file.open("wb") as opened:
        while opened.tell() < size / 5:
            opened.writelines(writer.wat_page())


def write_warc(file: Path, size: int) -> None:
    """A WARC file of pages, of about so many bytes, decompressed."""
    writer = Writer(SEED)
    with file.open("wb") as opened:
        while opened.tell() < size / 3:
            url, page = writer.html_page()
            block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page
            opened.write(_record("response", url, block, "application/http; msgtype=response"))
