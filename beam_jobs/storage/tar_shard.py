"""WebDataset shards: USTAR archives whose bytes depend on their members alone.

In: member names `<key>.<extension>` and their bytes. Out: a tar with fixed owner, mode and time, and readers
that give whole samples. Format: POSIX.1-1988 (USTAR), as img2dataset's shards without their PAX headers.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

BLOCK = 512
_OWNER = "bigdata"
_MODE = 0o444


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True)
class Sample:
    """Consecutive members of one key: extension (without its dot) to bytes."""

    key: str
    members: dict[str, bytes]


@dataclass(frozen=True)
class Member:
    """Where a member's bytes lie in its archive."""

    key: str
    extension: str
    offset: int
    size: int


class TarShardWriter:
    """Appends members to a file opened for writing; `close` writes the end of the archive."""

    def __init__(self, file: Sink) -> None:
        self._file = file
        self._size = 0

    def add(self, name: str, data: bytes) -> None:
        """A member; a name over 100 bytes is a ValueError."""
        header = _header(name, len(data))
        padding = -len(data) % BLOCK
        self._file.write(b"".join((header, data, bytes(padding))))
        self._size += len(header) + len(data) + padding

    def close(self) -> None:
        """Two zero blocks, padded to a full record."""
        self._file.write(bytes(2 * BLOCK + -(self._size + 2 * BLOCK) % tarfile.RECORDSIZE))


def _empty_header() -> bytes:
    """The header of an empty member without a name."""
    header = tarfile.TarInfo()
    header.mode = _MODE
    header.uname = header.gname = _OWNER
    return header.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


_EMPTY = _empty_header()
_NAME, _LENGTH, _SUM = slice(0, 100), slice(124, 136), slice(148, 156)


def _header(name: str, size: int) -> bytes:
    """What TarInfo.tobuf gives for such a member, at a fifth of its cost."""
    path = name.encode()
    if len(path) > 100 or size >= 8**11:
        raise ValueError(f"name is too long, or a member too large: {name!r} of {size} bytes")
    header = bytearray(_EMPTY)
    header[_NAME] = path.ljust(100, b"\0")
    header[_LENGTH] = b"%011o\0" % size
    header[_SUM] = b" " * 8
    header[_SUM] = b"%06o\0 " % sum(header)
    return bytes(header)


def iter_members(file: IO[bytes]) -> Iterator[Member]:
    """The members of an archive that TarShardWriter wrote, by their headers alone.

    The file must be seekable and stand at its start; the caller may seek between two members.
    Raises tarfile.ReadError where a header is damaged or of a kind never written here.
    """
    position = 0
    while True:
        file.seek(position)
        header = file.read(BLOCK)
        if header == bytes(BLOCK) or not header:
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"damaged header at byte {position}: {error}") from error
        if not info.isreg():
            raise tarfile.ReadError(f"member {info.name!r} at byte {position} is no regular file")
        key, _, extension = info.name.partition(".")
        yield Member(key, extension, position + BLOCK, info.size)
        position += BLOCK + info.size + -info.size % BLOCK


def iter_samples(file: IO[bytes], wanted: Callable[[str], bool] | None = None) -> Iterator[Sample]:
    """The samples of an archive, in its order; with `wanted`, only those whose key it accepts are read."""
    key: str | None = None
    members: dict[str, bytes] = {}
    for member in iter_members(file):
        if member.key != key:
            if key is not None and members:
                yield Sample(key, members)
            key, members = member.key, {}
        if wanted is None or wanted(member.key):
            file.seek(member.offset)
            members[member.extension] = file.read(member.size)
    if key is not None and members:
        yield Sample(key, members)
