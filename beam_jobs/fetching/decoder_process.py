"""A decoding process as its parent sees it: started, fed, read with a time limit, killed.

In: images with their options. Out: facts and bytes, in order; Dead when the process is no more. Images, on their way
there and back, lie in files that are in memory and have no name, as many as may be on their way at once; the pipes
carry what is said of them.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from beam_jobs.fetching.decoder_worker import FRAME, READY, put

WORKER = (sys.executable, "-m", "beam_jobs.fetching.decoder_worker")
_START_SECONDS = 120.0
# One thread a process; and an allocator that keeps some megabytes of pixels, in large pages, instead of asking for them
# each time, which would cost as much as resizing does.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
_PART = 1 << 14
_KEPT = 1 << 20


class Dead(Exception):
    """The process ended, or its pipe broke."""


class DecoderProcess:
    """One decoding process, its two pipes, and the files that images lie in: at most AT_ONCE are on their way."""

    AT_ONCE = 8

    def __init__(self, command: Sequence[str], lock: int) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        environment |= ENVIRONMENT
        self._places = [_nameless_file() for _ in range(self.AT_ONCE)]
        self._sizes = [0] * self.AT_ONCE
        self._sent = 0
        self._process = subprocess.Popen(
            [*command, str(lock), *map(str, self._places)],
            pass_fds=(lock, *self._places),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._come = bytearray()
        self._arrivals = select.poll()
        self._arrivals.register(self._output, select.POLLIN)
        try:
            self._await_ready(time.monotonic() + _START_SECONDS)
        except (Dead, TimeoutError) as error:
            self.kill()
            raise RuntimeError("a decoding process did not start; its own message stands above") from error

    def _await_ready(self, end: float) -> None:
        if not self._arrivals.poll((end - time.monotonic()) * 1000):
            raise TimeoutError
        said = os.read(self._output, 1)
        if said != READY:
            raise RuntimeError("a decoding process answered nonsense") if said else Dead

    def send(self, options: bytes, data: bytes) -> None:
        """Hands over an image; never waits."""
        number = self._sent % self.AT_ONCE
        place = self._places[number]
        self._sent += 1
        if self._sizes[number] > _KEPT:
            os.ftruncate(place, 0)
        self._sizes[number] = len(data)
        put(place, data)
        try:
            os.write(self._input, FRAME.pack(len(options), len(data), number) + options)
        except OSError as error:
            raise Dead from error

    def receive(self, end: float) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The answers that have come, one at least: facts and bytes. TimeoutError at `end`, on the monotonic clock."""
        while not self._whole():
            if not self._arrivals.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError
            part = os.read(self._output, _PART)
            if not part:
                raise Dead
            self._come += part
        while self._whole():
            text, stored, number = FRAME.unpack_from(self._come)
            facts = msgspec.json.decode(self._come[FRAME.size : FRAME.size + text])
            del self._come[: FRAME.size + text]
            self._sizes[number] = max(self._sizes[number], stored)
            yield facts, os.pread(self._places[number], stored, 0)

    def _whole(self) -> bool:
        """Whether the first answer has come whole."""
        return len(self._come) >= FRAME.size and len(self._come) >= FRAME.size + FRAME.unpack_from(self._come)[0]

    def kill(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        while self._places:
            os.close(self._places.pop())
        self._process.wait()


def _nameless_file() -> int:
    """A descriptor of a file that nothing but its descriptors keeps, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("pairmill-image", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(prefix="pairmill-image-") as file:
        return os.dup(file.fileno())
