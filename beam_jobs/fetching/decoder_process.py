"""A decoding process as its parent sees it: started, fed, read with a time limit, killed.

In: images with their options. Out: facts and bytes, in order; Dead when the process is no more. Images lie in files
that are in memory and have no name, as many as may be on their way at once; the pipes carry what is said of them.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from beam_jobs.fetching.decoder_worker import FRAME, READY

WORKER = (sys.executable, "-m", "beam_jobs.fetching.decoder_worker")
_START_SECONDS = 120.0
# One thread a process; and an allocator that keeps some megabytes of pixels instead of asking for them each time,
# which would cost as much as resizing does.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
_PIPE = 1 << 20
_KEPT = 1 << 22


class Dead(Exception):
    """The process ended, or its pipe broke."""


class DecoderProcess:
    """One decoding process, its two pipes, and the files that images lie in: at most AT_ONCE are on their way."""

    AT_ONCE = 2

    def __init__(self, command: Sequence[str], lock: int) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        environment |= ENVIRONMENT
        self._places = [_nameless_file() for _ in range(self.AT_ONCE)]
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
        _enlarge(self._output)
        self._come = bytearray()
        self._arrivals = select.poll()
        self._arrivals.register(self._output, select.POLLIN)
        try:
            if self._read(1, time.monotonic() + _START_SECONDS) != READY:
                raise RuntimeError("a decoding process answered nonsense")
        except (Dead, TimeoutError) as error:
            self.kill()
            raise RuntimeError("a decoding process did not start; its own message stands above") from error

    def send(self, options: bytes, data: bytes) -> None:
        """Hands over an image; never waits."""
        number = self._sent % self.AT_ONCE
        place = self._places[number]
        self._sent += 1
        if os.fstat(place).st_size > _KEPT:
            os.ftruncate(place, 0)
        at = 0
        while at < len(data):
            at += os.pwrite(place, memoryview(data)[at:], at)
        try:
            os.write(self._input, FRAME.pack(len(options), len(data), number) + options)
        except OSError as error:
            raise Dead from error

    def receive(self, end: float) -> tuple[dict[str, Any], bytes]:
        """The next answer: facts and bytes. TimeoutError at `end`, on the monotonic clock."""
        text, stored, _ = FRAME.unpack(self._read(FRAME.size, end))
        return json.loads(self._read(text, end)), self._read(stored, end)

    def _read(self, size: int, end: float) -> bytes:
        """So many bytes of the answers; what comes with them is kept for the next call."""
        while len(self._come) < size:
            if not self._arrivals.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError
            part = os.read(self._output, _PIPE)
            if not part:
                raise Dead
            self._come += part
        found = bytes(self._come[:size])
        del self._come[:size]
        return found

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


def _enlarge(pipe: int) -> None:
    """Gives a pipe room for several images, where the system lets us."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    except (AttributeError, OSError):
        return
