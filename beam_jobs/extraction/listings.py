"""What a source's URL names: a file, a folder, a glob, or a list of files or pages.

In: a Source. Out: sorted paths; what is missing or of another ending is a Refusal.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from typing import IO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from beam_jobs.extraction.opening import open_source
from schemas.refusal import Refusal
from schemas.sources import Source

PAGE_ENDINGS = (".html", ".htm", ".xhtml", ".shtml")
LIST_ENDINGS = (".paths", ".paths.gz", ".txt", ".txt.gz")
_GLOB = "*?["


def source_files(source: Source, endings: Sequence[str]) -> list[str]:
    """The files of a file, folder or glob, sorted; a Refusal where there are none of these endings."""
    fs, path = fsspec.core.url_to_fs(source.url)
    if any(letter in path for letter in _GLOB) and not fs.exists(path):
        found = [name for name in fs.glob(path) if name.lower().endswith(tuple(endings))]
        if not found:
            raise Refusal(f"source {source.spelling} matches no file that ends in {' '.join(endings)}")
    elif _is_folder(fs, path, endings):
        names = [entry["name"] for entry in fs.ls(path, detail=True) if entry["type"] == "file"]
        found = [name for name in names if name.lower().endswith(tuple(endings))]
        if not found:
            held = ", ".join(sorted(name.rsplit("/", 1)[-1] for name in names)[:3]) or "no file"
            raise Refusal(f"folder {source.url} has no file that ends in {' '.join(endings)}; it holds {held}")
    elif not fs.exists(path):
        raise Refusal(f"source {source.spelling} does not exist")
    elif not path.lower().endswith(tuple(endings)):
        raise Refusal(f"source {source.spelling}: expected a file that ends in {' '.join(endings)}")
    else:
        found = [path]
    return sorted(_named(fs, name) for name in found)


def told(source: Source, file: str) -> str:
    """How rows name a file of a source: as the source is spelled, whatever machine reads it."""
    _, path = fsspec.core.url_to_fs(source.url)
    return source.url.rstrip("/") + file[len(path.rstrip("/")) :] if file.startswith(path) else file.rsplit("/", 1)[-1]


def archive_files(source: Source, endings: Sequence[str]) -> list[str]:
    """As source_files, or the files of a list: one a line, as Common Crawl's `wat.paths.gz`."""
    if not source.url.lower().endswith(LIST_ENDINGS):
        return source_files(source, endings)
    if not _exists(source.url):
        raise Refusal(f"source {source.spelling} does not exist")
    files = [_beside(source.url, line) for line in _lines(source.url)]
    for file in files:
        if not file.lower().endswith(tuple(endings)):
            raise Refusal(f"list {source.url} names {file}: expected files that end in {' '.join(endings)}")
    for file in files if _is_local(source.url) else files[:1]:
        if not _exists(file):
            raise Refusal(f"list {source.url} names {file}, which does not exist")
    return files


def page_files(source: Source) -> list[str] | None:
    """The pages of a folder, as sorted paths below it; None where the source is a list of page URLs."""
    fs, path = fsspec.core.url_to_fs(source.url)
    if not fs.exists(path):
        raise Refusal(f"source {source.spelling} does not exist; expected a folder of pages, or a list of page URLs")
    if not fs.isdir(path):
        if path.lower().endswith(PAGE_ENDINGS):
            raise Refusal(
                f"source {source.spelling} is one page; expected the folder above its host, or a list of URLs"
            )
        return None
    root = path.rstrip("/") + "/"
    below = sorted(name[len(root) :] for name in fs.find(path) if name.startswith(root))
    pages = [name for name in below if "/" in name and _is_page(name)]
    if not pages:
        raise Refusal(f"folder {source.url} has no page <host>/<path> that ends in {' '.join(PAGE_ENDINGS)}")
    return pages


def list_spans(url: str, lines_per_span: int) -> Iterator[tuple[int, int]]:
    """A list of page URLs as byte spans of so many pages each; a Refusal where a line is no http(s) URL."""
    start = place = pages = 0
    with open_source(url) as file:
        for number, line in enumerate(file, start=1):
            place += len(line)
            page = page_of_line(line)
            if page is None:
                continue
            if not page.lower().startswith(("http://", "https://")):
                raise Refusal(f"list {url}, line {number}: expected a page URL, got {page[:200]!r}")
            pages += 1
            if pages == lines_per_span:
                yield start, place
                start, pages = place, 0
    if pages:
        yield start, place


def page_of_line(line: bytes) -> str | None:
    """The page URL of a list's line; None for an empty line and a comment."""
    text = line.decode("utf-8", "replace").strip().removeprefix("\ufeff")
    return None if not text or text.startswith("#") else text


def _is_folder(fs: fsspec.AbstractFileSystem, path: str, endings: Sequence[str]) -> bool:
    """A web server would send a whole file to say that it is no folder: a file's ending is believed there."""
    if not isinstance(fs, LocalFileSystem) and path.lower().endswith(tuple(endings)):
        return False
    return bool(fs.isdir(path))


def _is_page(name: str) -> bool:
    file = name.rsplit("/", 1)[-1]
    return file.lower().endswith(PAGE_ENDINGS) or "." not in file


def _lines(url: str) -> list[str]:
    with open_source(url) as file:
        whole = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if url.lower().endswith(".gz") else file
        return [page for page in map(page_of_line, whole) if page is not None]


def _beside(list_url: str, line: str) -> str:
    """A list's line as a URL. A relative one starts at the folder above its first name in the list's own URL (as
    `crawl-data/...` does), or else beside the list."""
    if "://" in line or line.startswith("/"):
        return line
    root, found, _ = list_url.rpartition(f"/{line.split('/', 1)[0]}/")
    return f"{root}/{line}" if found else f"{list_url.rpartition('/')[0] or '.'}/{line}"


def _exists(url: str) -> bool:
    fs, path = fsspec.core.url_to_fs(url)
    return bool(fs.exists(path))


def _is_local(url: str) -> bool:
    return isinstance(fsspec.core.url_to_fs(url)[0], LocalFileSystem)


def _named(fs: fsspec.AbstractFileSystem, path: str) -> str:
    """A path of a file system as a URL that names it from anywhere."""
    return path if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))
