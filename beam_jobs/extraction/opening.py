"""Source files opened wherever they are, for whoever reads and seeks in them.

In: a path or fsspec URL. Out: a binary file. A remote one is opened again where reading fails, after growing pauses;
Unreadable in the end, so that trouble of the network is never taken for damage of the file. A web server that sends no
ranges is read in one stream, kept in a temporary file for whoever seeks back.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

_WAITS = (0.5, 2.0, 8.0)
_CHUNK = 1_048_576
_SILENCE = 60.0


class Unreadable(RuntimeError):
    """A remote file could not be read, however often that was tried."""


@contextmanager
def open_source(url: str, *, waits: tuple[float, ...] = _WAITS) -> Iterator[IO[bytes]]:
    """A binary file opened for reading, seekable. waits: seconds before each further attempt at a remote one."""
    fs, path = fsspec.core.url_to_fs(url)
    if isinstance(fs, LocalFileSystem):
        with fs.open(path, "rb") as file:
            yield file
        return
    remote = _Remote(fs, path, url, waits)
    try:
        yield cast("IO[bytes]", remote)
    finally:
        remote.close()


class _Remote(io.RawIOBase):
    """A remote file; what is read of it is as much as was asked for, but for its end."""

    def __init__(self, fs: fsspec.AbstractFileSystem, path: str, url: str, waits: tuple[float, ...]) -> None:
        self._fs = fs
        self._path = path
        self._url = url
        self._waits = waits
        self._place = 0
        self._file: Any = None
        self._kept: IO[bytes] | None = None
        self._size: int | None = None
        self._ended = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = max(0, offset + (0, self._place, self._end() if whence == 2 else 0)[whence])
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._end() - self._place if size is None or size < 0 else size
        data = self._patiently(lambda: self._read(wanted)) if wanted > 0 else b""
        self._place += len(data)
        return cast("bytes", data)

    def close(self) -> None:
        self._let_go()
        if self._kept is not None:
            self._kept.close()
        super().close()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _patiently(self, step: Any) -> Any:
        """A step that reads, tried again on a file opened anew where it fails."""
        for wait in (*self._waits, None):
            try:
                return step()
            except FileNotFoundError:
                raise
            except Exception as error:
                self._let_go()
                if self._kept is None and "range" in str(error) and self._is_web():
                    self._kept = tempfile.TemporaryFile(prefix="pairmill-")  # noqa: SIM115 - closed in close()
                    return self._patiently(step)
                if wait is None:
                    raise Unreadable(f"{self._url} cannot be read at {self._place}: {error!r}") from error
                time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _is_web(self) -> bool:
        return self._url.startswith(("http://", "https://"))

    def _open(self) -> None:
        if self._kept is None:
            self._file = self._fs.open(self._path, "rb")
            if not (self._is_web() and self._file.size is None):
                return
            self._kept = tempfile.TemporaryFile(prefix="pairmill-")  # noqa: SIM115 - closed in close()
            self._file.close()
        import aiohttp

        patience = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
        web = fsspec.filesystem("http", client_kwargs={"timeout": patience}) if self._is_web() else self._fs
        self._file = web.open(self._path, "rb", block_size=0)
        left = self._kept.seek(0, 2)
        while left:  # what was kept before the stream broke off comes once more
            left -= len(self._file.read(min(left, _CHUNK)) or _gone(left))

    def _read(self, wanted: int) -> bytes:
        if self._file is None and not self._ended:
            self._open()
        if self._kept is not None:
            self._keep(self._place + wanted)
            self._kept.seek(self._place)
            return self._kept.read(wanted)
        self._file.seek(self._place)
        parts = []
        while wanted:
            part = self._file.read(wanted)
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _keep(self, end: int) -> None:
        """Reads the stream on until so much of the file is kept."""
        assert self._kept is not None
        held = self._kept.seek(0, 2)
        while held < end and not self._ended:
            part = self._file.read(_CHUNK)
            if not part:
                self._ended = True
                break
            self._kept.write(part)
            held += len(part)

    def _end(self) -> int:
        if self._size is None:
            self._size = self._patiently(self._measured)
        return self._size

    def _measured(self) -> int:
        size = self._fs.info(self._path).get("size")
        if size is not None:
            return int(size)
        if self._file is None and not self._ended:
            self._open()
        if self._kept is None:
            return int(self._file.seek(0, 2))
        while not self._ended:
            self._keep(self._kept.seek(0, 2) + _CHUNK)
        return self._kept.seek(0, 2)


def _gone(left: int) -> bytes:
    raise OSError(f"the stream ended {left} bytes before the place where it broke off")
