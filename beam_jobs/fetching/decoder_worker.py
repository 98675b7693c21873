"""The process that decodes: images in, prepared images out through a pipe, until the end of input.

In: frames of options (JSON) and where an image lies: in which of the files whose descriptors follow the lock's on the
command line. Out: frames of facts (JSON), in order; the bytes to store lie where the image lay.
Run by `decoders`, so that an image that kills or stalls a decoder costs itself and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache, partial
from typing import BinaryIO

import msgspec

from schemas.download import DownloadSection
from schemas.reasons import Failed

FRAME = struct.Struct("<III")
READY = b"R"
MOST_MEMORY = 4 << 30


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """So many bytes; EOFError when the other side is gone."""
    data = file.read(size)
    if len(data) != size:
        raise EOFError("the pipe ended")
    return data


def main() -> None:
    """Serves until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    source = os.fdopen(os.dup(0), "rb")
    _bound_memory()
    import cv2
    from PIL import Image

    from beam_jobs.fetching.pixels import prepare

    cv2.setNumThreads(1)
    Image.MAX_IMAGE_PIXELS = None
    lock, *places = map(int, sys.argv[1:])
    answers.write(READY)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    while True:
        try:
            options, size, place = FRAME.unpack(read_exactly(source, FRAME.size))
            section, hashed = _section(read_exactly(source, options))
            data = os.pread(places[place], size, 0)
        except EOFError:
            return
        stored = b""
        try:
            prepared = prepare(data, section, alone=partial(_alone, lock), hashed=hashed)
            stored = prepared.data
            facts = {name: value for name, value in vars(prepared).items() if name != "data"}
        except Failed as failed:
            facts = {"reason": failed.reason, "message": failed.message}
        except Exception as error:  # noqa: BLE001 - a decoder's own defect: the row gets its reason from it
            facts = {"reason": "decode_error", "message": f"{type(error).__name__}: {error}"[:300]}
        text = msgspec.json.encode(facts)
        put(places[place], stored)
        _write_all(answers, FRAME.pack(len(text), len(stored), place) + text)


@contextmanager
def _alone(lock: int) -> Iterator[None]:
    """Holds the lock that all processes of a pool share."""
    fcntl.lockf(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(lock, fcntl.LOCK_UN)


def put(place: int, data: bytes) -> None:
    """Lays bytes at the start of a file."""
    at = 0
    while at < len(data):
        at += os.pwrite(place, memoryview(data)[at:], at)


def _write_all(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


@lru_cache(maxsize=8)
def _section(text: bytes) -> tuple[DownloadSection, bool]:
    section, hashed = json.loads(text)
    return DownloadSection(**section), hashed


@lru_cache(maxsize=8)
def section_bytes(section: DownloadSection, hashed: bool) -> bytes:
    """The options as this process reads them. hashed: whether the pictures' perceptual hashes are wanted."""
    return json.dumps([asdict(section), hashed]).encode()


def _bound_memory() -> None:
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(MOST_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    main()
