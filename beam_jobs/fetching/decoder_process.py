"""A decoding process as its parent sees it: started, fed, read with a time limit, killed.

In: images with their options. Out: facts and bytes, in order; Dead when the process is no more.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
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


class Dead(Exception):
    """The process ended, or its pipe broke."""


class DecoderProcess:
    """One decoding process and its two pipes."""

    def __init__(self, command: Sequence[str], lock: int) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        environment |= ENVIRONMENT
        self._process = subprocess.Popen(
            [*command, str(lock)],
            pass_fds=(lock,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        self.capacity = _enlarge(self._input)
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
        """Hands over an image; waits only when the pipe is full."""
        frame = FRAME.pack(len(options), len(data)) + options
        try:
            for part in (frame, data):
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(self._input, rest) :]
        except OSError as error:
            raise Dead from error

    def receive(self, end: float) -> tuple[dict[str, Any], bytes]:
        """The next answer: facts and bytes. TimeoutError at `end`, on the monotonic clock."""
        text, stored = FRAME.unpack(self._read(FRAME.size, end))
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
        self._process.wait()


def _enlarge(pipe: int) -> int:
    """Gives a pipe room for several images, where the system lets us; its capacity in bytes."""
    try:
        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    except (AttributeError, OSError):
        return 4096
