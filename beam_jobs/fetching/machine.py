"""Turns at hosts for all processes of one machine: who is asking a host now, and when it may be asked next.

In: host names, from several processes. Out: a turn's number, or None while all are taken; times to begin at.
Turns are locks on bytes of a file that nobody reads, so that a process that dies gives its own back; times stand in
another. Both are sparse and lie in a folder that only this user can write to. The clock is the machine's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import struct
import tempfile
import threading
import time
from functools import lru_cache
from pathlib import Path

from schemas.refusal import Refusal

_MOST_TURNS = 1 << 14
_TURN_PLACES = 1 << 40
_TIME_PLACES = 1 << 24
_TIME = struct.Struct("<d")
_LONGEST = 86_400.0  # a time further ahead is of another boot


def machine_folder() -> Path:
    """Where the processes of this user on this machine meet."""
    return Path(tempfile.gettempdir()) / f"pairmill-hosts-{os.getuid()}"


class MachineTurns:
    """Opened with its first use. One object a process: the locks are the process's, whatever object took them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[int] = set()
        self._files: tuple[int, int] | None = None
        self._opening = threading.Lock()

    def take(self, host: str, most: int) -> int | None:
        """A turn at a host, where fewer than `most` are taken on this machine; it is given back by its number."""
        turns, _ = self._open()
        first = (_number(host) % _TURN_PLACES) * _MOST_TURNS
        for place in range(first, first + min(most, _MOST_TURNS)):
            if place not in self._taken and _lock(turns, place):
                self._taken.add(place)
                return place
        return None

    def give_back(self, turn: int) -> None:
        """Ends a turn."""
        turns, _ = self._open()
        self._taken.discard(turn)
        fcntl.lockf(turns, fcntl.LOCK_UN, 1, turn)

    def begin(self, host: str, earliest: float, delay: float) -> float:
        """When to begin, not before `earliest`; whoever asks next begins `delay` seconds later."""
        _, times = self._open()
        place = _TIME.size * (_number(host) % _TIME_PLACES)
        if not delay:
            return max(earliest, _read(times, place))
        fcntl.lockf(times, fcntl.LOCK_EX, _TIME.size, place)
        try:
            start = max(earliest, _read(times, place))
            os.pwrite(times, _TIME.pack(start + delay), place)
        finally:
            fcntl.lockf(times, fcntl.LOCK_UN, _TIME.size, place)
        return start

    def pause(self, host: str, until: float) -> None:
        """Lets nobody begin at a host before that."""
        _, times = self._open()
        place = _TIME.size * (_number(host) % _TIME_PLACES)
        fcntl.lockf(times, fcntl.LOCK_EX, _TIME.size, place)
        try:
            os.pwrite(times, _TIME.pack(max(until, _read(times, place))), place)
        finally:
            fcntl.lockf(times, fcntl.LOCK_UN, _TIME.size, place)

    def _open(self) -> tuple[int, int]:
        """Descriptors that stay open as long as the process: closing one would give up all its turns."""
        with self._opening:
            if self._files is None:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                found = os.lstat(self._folder)
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
                    raise Refusal(f"fetching: {self._folder} is not a folder of this user alone; remove it")
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                turns, times = (os.open(self._folder / name, flags, 0o600) for name in ("turns", "times"))
                self._files = (turns, times)
            return self._files


def _lock(file: int, place: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _read(times: int, place: int) -> float:
    found = os.pread(times, _TIME.size, place)
    if len(found) < _TIME.size:
        return 0.0
    value: float = _TIME.unpack(found)[0]
    return value if value - time.monotonic() < _LONGEST else 0.0


@lru_cache(maxsize=4096)
def _number(host: str) -> int:
    return int.from_bytes(hashlib.sha256(host.encode("utf-8", "surrogatepass")).digest()[:8], "big")
