"""The gzip members of an archive, one a record, decompressed whole and at libdeflate's speed.

In: a binary file at the beginning of a member. Out: each member's offset and contents, checked by its checksum and
length; it stops at the first place that is anything else than such a member, for somebody more patient to look at.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import IO

_GZIP = b"\x1f\x8b\x08"
_MARKS = (10, 4)
_READ = 262_144  # stays in a core's own cache
_LONGEST = 67_108_864
_TRAILER = 8
_SHORTEST = 18


def whole_members(
    file: IO[bytes], offset: int, *, max_bytes: int
) -> Generator[tuple[int, bytearray], None, int | None]:
    """(offset, contents) of members in file order. Returns where it stopped; None at the end of the file.

    A member is taken to end where the next begins like the first: what is wrong with that does not fit its length and
    checksum. Longer ones than max_bytes are not opened.
    """
    import deflate
    from stringzilla import find

    trailer = struct.Struct("<II").unpack_from
    decompress, checksum = deflate.gzip_decompress, deflate.crc32
    file.seek(offset)
    data = file.read(_READ)
    if not data.startswith(_GZIP):
        return offset if data else None
    # The whole header of a member, where the next one's is the same, is found sooner than its first bytes.
    mark = next((data[:length] for length in _MARKS if find(data, data[:length], 1) > 0), data[: _MARKS[-1]])
    start, searched, more = 0, 1, True
    while True:
        end = find(data, mark, searched)
        if end < 0 and more:
            searched = max(len(data) - len(mark) - start, 1)
            offset += start
            added = file.read(_READ)
            more = bool(added)
            data, start = data[start:] + added, 0
            if len(data) > _LONGEST:
                return offset
            continue
        if end < 0:
            end = len(data)
        if end - start < _SHORTEST:
            return offset + start
        told, size = trailer(data, end - _TRAILER)
        if size > max_bytes:
            return offset + start
        try:
            contents = decompress(data[start:end])
        except (deflate.DeflateError, ValueError):
            return offset + start
        if len(contents) != size or checksum(contents) != told:
            return offset + start
        yield offset + start, contents
        if end == len(data) and not more:
            return None
        start, searched = end, end + 1
