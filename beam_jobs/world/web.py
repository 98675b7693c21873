"""The embedded web: which page holds which rows, under which URLs, and the HTML of it.

In: a seed and a number of rows. Out: `Page`s with their `Reference`s, one at a time. References are written in the
ways pages write them: relative, from the root, without a scheme, against a `<base>`, with a query, with spaces and
accents; `Reference.url` is what they mean.
"""

from __future__ import annotations

import posixpath
import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from beam_jobs.world.encoding import DATA_URL, EXTENSIONS
from beam_jobs.world.rows import Row, quiet_row, row
from beam_jobs.world.scenes import seed_of

ROWS_PER_PAGE = 16
QUIET_EVERY, QUIET_PLACE = 24, 3  # every 24th page opted out, the first of them being the fourth page
QUIET_HOST = "quiet.test"
HOSTS = ("shapes.test", "gallery.test", "blog.test", "atelier.test", "photos.test")
STYLES = {  # how a host's pages lie and how they write references
    "shapes.test": ("/collections/{:04d}.html", "relative"),
    "gallery.test": ("/prints/{:04d}/", "root"),
    "blog.test": ("/2024/05/post-{:04d}.html", "base"),
    "atelier.test": ("/fr/travaux/{:04d}/", "no_scheme"),
    "photos.test": ("/albums/{:04d}.html", "query"),
    QUIET_HOST: ("/sketches/{:04d}.html", "absolute"),
}
OPT_OUTS = ("noai, noimageai", "noimageai", "noai")


@dataclass(frozen=True)
class Reference:
    """One `<img>`: its row, its `src` as written (None: no attribute), and the URL that it means ('' when none)."""

    row: Row
    src: str | None
    url: str
    host: str
    file: str  # path below the host's folder, decoded; '' when no file is meant


@dataclass(frozen=True)
class Page:
    """A page of the web. `opt_out` holds the robots directives that reserve its images, or ''."""

    number: int
    host: str
    path: str
    opt_out: str
    references: tuple[Reference, ...]

    @property
    def url(self) -> str:
        """Where the page is served."""
        return f"http://{self.host}{self.path}"

    @property
    def file(self) -> str:
        """The page's file below the host's folder."""
        return self.path.lstrip("/") + ("index.html" if self.path.endswith("/") else "")


def pages(*, rows: int, seed: int, small: bool = False) -> Iterator[Page]:
    """The pages of a web of exactly `rows` references, in order."""
    number = taken = quiet = loud = 0
    while taken < rows:
        size = min(ROWS_PER_PAGE, rows - taken)
        if number % QUIET_EVERY == QUIET_PLACE:
            found = [quiet_row(seed, quiet + step, small=small) for step in range(size)]
            yield _page(number, QUIET_HOST, found, OPT_OUTS[quiet // ROWS_PER_PAGE % len(OPT_OUTS)])
            quiet += size
        else:
            found = [row(seed, loud + step, small=small) for step in range(size)]
            yield _page(number, host_of(loud), found, "")
            loud += size
        taken += size
        number += 1


def host_of(number: int) -> str:
    """The host of the page that a row's number falls on."""
    return HOSTS[number // ROWS_PER_PAGE % len(HOSTS)]


def _page(number: int, host: str, found: list[Row], opt_out: str) -> Page:
    path = STYLES[host][0].format(number)
    references = tuple(_reference(each, QUIET_HOST if opt_out else host_of(each.place), host, path) for each in found)
    return Page(number=number, host=host, path=path, opt_out=opt_out, references=references)


def _reference(shown: Row, host: str, page_host: str, page_path: str) -> Reference:
    if shown.fate == "data_url":
        return Reference(shown, DATA_URL, DATA_URL, host, "")
    if shown.fate == "javascript":
        return Reference(shown, "javascript:void(0)", "javascript:void(0)", host, "")
    if shown.fate == "no_source":
        return Reference(shown, "" if shown.number % 2 else None, "", host, "")
    if shown.fate == "broken_url":
        return Reference(shown, "http://[not-a-host/a.jpg", "http://[not-a-host/a.jpg", host, "")
    file = _file(shown, host)
    form = STYLES[host][1]
    served = "/" + quote(file)
    url = f"http://{host}{served}" + (f"?w={shown.stored.longer}" if form == "query" else "")
    return Reference(shown, _written(file, url, form, host == page_host, page_path, shown.place), url, host, file)


def _file(shown: Row, host: str) -> str:
    """The file that a row's URL names. It depends on the row that the URL was made for, so rows can share it."""
    special = {"svg": "svg", "pixel": "gif", "html": "jpg", "bomb": "png", "no_bytes": "png", "missing_file": "jpg"}
    extension = special.get(shown.fate) or EXTENSIONS[shown.stored.format]
    folder = {"gallery.test": "media", "blog.test": "static/uploads", "atelier.test": "œuvres"}.get(host, "img")
    stem = random.Random(seed_of("name", host, shown.place)).choice(("picture", "item", "my drawing", "p", "été"))
    return f"{folder}/{shown.place // 1000:03d}/{stem}-{shown.place:06d}.{extension}"


def _written(file: str, url: str, form: str, same_host: bool, page_path: str, place: int) -> str:
    """The `src` as a page's author would write it. Raw spaces and accents are for the reader to encode."""
    if not same_host or form == "absolute":
        return url
    raw = file if place % 2 else quote(file)
    if form == "relative":
        return posixpath.relpath("/" + raw, posixpath.dirname(page_path))
    if form == "base":
        return raw.removeprefix("static/")
    if form == "no_scheme":
        return url.removeprefix("http:")
    if form == "query":
        return f"/{raw}?{url.partition('?')[2]}"
    return f"/{raw}"
