"""Whole files on any fsspec URL: read, list, and write so that a reader sees all of a file or none of it.

In: local paths or fsspec URLs (`s3://`, `gs://`, `memory://` ...). Out: bytes, JSON, names; files that appear
at once, by rename on a local disk and by a single put elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

_TEMPORARY = ".unfinished-"


class HashingFile:
    """A binary file opened for writing that knows the SHA-256 of what was written; sequential writes only."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._written = 0
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        self._file.write(data)
        self._sha256.update(data)
        size = memoryview(data).nbytes
        self._written += size
        return size

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Nothing: who opened the file closes it."""

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def join(folder: str, *names: str) -> str:
    """A path below a folder, with single slashes."""
    return "/".join([folder.rstrip("/"), *(name.strip("/") for name in names)])


def _split(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    fs, path = fsspec.core.url_to_fs(url)
    return fs, cast(str, path)


@contextmanager
def atomic_write(url: str) -> Iterator[HashingFile]:
    """A file that exists under its name only after the block has ended without an exception."""
    fs, path = _split(url)
    local = isinstance(fs, LocalFileSystem)
    if local:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = os.path.join(os.path.dirname(path), f"{_TEMPORARY}{uuid.uuid4().hex}")
    else:
        handle, temporary = tempfile.mkstemp(prefix="pairmill-")
        os.close(handle)
    try:
        with open(temporary, "wb") as file:
            yield HashingFile(file)
        if local:
            os.replace(temporary, path)
        else:
            fs.put_file(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


@contextmanager
def open_read(url: str) -> Iterator[IO[bytes]]:
    """A binary file opened for reading, seekable."""
    fs, path = _split(url)
    with fs.open(path, "rb") as file:
        yield file


def read_bytes(url: str) -> bytes:
    with open_read(url) as file:
        return file.read()


def read_pinned(url: str, sha256: str) -> bytes:
    """A whole file that must be as it was at launch, when its SHA-256 was taken; ValueError where it is not.

    An empty sha256 takes the file as it is.
    """
    data = read_bytes(url)
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{url} has changed since the run was launched")
    return data


def write_bytes(url: str, data: bytes) -> str:
    """Writes a whole file atomically; its SHA-256 in hex."""
    with atomic_write(url) as file:
        file.write(data)
    return file.hexdigest()


def read_json(url: str) -> Any:
    return json.loads(read_bytes(url))


def write_json(url: str, value: Any) -> None:
    write_bytes(url, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def exists(url: str) -> bool:
    fs, path = _split(url)
    return bool(fs.exists(path))


def size(url: str) -> int:
    fs, path = _split(url)
    return int(fs.size(path))


def list_files(folder: str, suffix: str = "") -> list[str]:
    """The names (not paths) of the files in a folder that end so, sorted; none where the folder is absent."""
    fs, path = _split(folder)
    try:
        fs.invalidate_cache(path)
        entries = fs.ls(path, detail=True)
    except FileNotFoundError:
        return []
    names = [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "file"]
    return sorted(name for name in names if name.endswith(suffix) and not name.startswith(_TEMPORARY))


def list_folders(folder: str) -> list[str]:
    """The names of the folders directly in a folder, sorted; none where it is absent."""
    fs, path = _split(folder)
    try:
        fs.invalidate_cache(path)
        entries = fs.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "directory")


def remove_tree(folder: str) -> None:
    """Deletes a folder with all that is in it; nothing where it is absent."""
    fs, path = _split(folder)
    if isinstance(fs, LocalFileSystem):
        if Path(path).is_dir():
            shutil.rmtree(path)
    elif fs.exists(path):
        fs.rm(path, recursive=True)


def move_tree(folder: str, to: str) -> None:
    """Renames a folder with all that is in it; nothing where it is absent. An object store copies and deletes."""
    fs, path = _split(folder)
    target = _split(to)[1]
    if not fs.exists(path):
        return
    if isinstance(fs, LocalFileSystem):
        os.replace(path, target)
    else:
        fs.mv(path, target, recursive=True)


def remove_unfinished(folder: str) -> None:
    """Deletes what writers that were killed left below a local folder; other stores show no part of a file."""
    fs, path = _split(folder)
    if isinstance(fs, LocalFileSystem):
        for leftover in Path(path).rglob(f"{_TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def remove_file(url: str) -> None:
    """Deletes a file; nothing where it is absent."""
    fs, path = _split(url)
    if fs.exists(path):
        fs.rm_file(path)
