"""A pool of decoding processes, shared by all shards that a process works on.

In: bytes of image files and the options. Out: futures of Prepared, or of Failed: `decoder_crash` when the process
died of an image (twice, the second time alone), `decoder_timeout` when it did not end in time.
"""

from __future__ import annotations

import atexit
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from beam_jobs.cores import usable_cores
from beam_jobs.fetching.decoder_process import WORKER, Dead, DecoderProcess
from beam_jobs.fetching.decoder_queue import Job, JobQueue
from beam_jobs.fetching.decoder_worker import section_bytes
from beam_jobs.fetching.pixels import Prepared
from schemas.download import DownloadSection
from schemas.reasons import Failed

_lock = threading.Lock()
_shared: dict[tuple[int, int, float], DecoderPool] = {}
# On their way to a process: as many as keep it busy for a moment, by what the last ones took, and never fewer than two.
_AHEAD_SECONDS = 0.2
_AHEAD_BYTES = 8_388_608


class DecoderPool:
    """Processes that start with the first image. `submit` waits while all are busy and the queue is full."""

    def __init__(self, workers: int, timeout: float, *, command: Sequence[str] = WORKER) -> None:
        self._timeout = timeout
        self._command = command
        self._jobs = JobQueue(workers)
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        self._started = threading.Lock()
        self._running = False

    def submit(self, data: bytes, section: DownloadSection, *, hashed: bool = False) -> Future[Prepared]:
        """The prepared image, in the future. Callbacks run in the pool's threads and must be short.

        hashed: whether its perceptual hash is wanted.
        """
        with self._started:
            if not self._running:
                self._running = True
                self._lock = tempfile.TemporaryFile(prefix="pairmill-lock-")  # noqa: SIM115 - held by the processes
                for thread in self._threads:
                    thread.start()
        job = Job(section_bytes(section, hashed), data)
        self._jobs.put(job)
        return job.done

    def close(self) -> None:
        """Ends the processes, after the images submitted."""
        if self._running:
            self._jobs.end()
            for thread in self._threads:
                thread.join()

    def _serve(self) -> None:
        line = _Line(self._jobs, self._timeout, self._command, self._lock.fileno())
        while line.step():
            pass


class _Line:
    """One process and the images on their way to it: some, so that it never waits for the next."""

    def __init__(self, jobs: JobQueue, timeout: float, command: Sequence[str], lock: int) -> None:
        self._jobs = jobs
        self._timeout = timeout
        self._command = command
        self._lock = lock
        self._process: DecoderProcess | None = None
        self._waiting: deque[Job] = deque()
        self._sent: deque[Job] = deque()
        self._ending = False
        self._begun = 0.0
        self._each = _AHEAD_SECONDS / 2  # seconds that an image took lately

    def step(self) -> bool:
        """Sends what may be sent, then waits for answers; False once there is nothing left and never will be."""
        try:
            self._take()
            while self._waiting and self._may_follow(self._waiting[0]):
                self._process = self._process or DecoderProcess(self._command, self._lock)
                if not self._sent:
                    self._begun = time.monotonic()
                self._sent.append(self._waiting.popleft())
                self._process.send(self._sent[-1].options, self._sent[-1].data)
            if not self._sent or self._process is None:
                self._stop()
                return False
            self._linger()
            for facts, stored in self._process.receive(self._begun + self._timeout):
                _finish(self._sent.popleft(), facts, stored)
                self._note_time()
        except (Dead, TimeoutError) as error:
            self._stop()
            self._blame(error)
        except Exception as error:  # noqa: BLE001 - no process can be started: the futures say so
            self._stop()
            for job in (*self._sent, *self._waiting):
                job.done.set_exception(error)
            self._sent.clear()
            self._waiting.clear()
        return True

    def _take(self) -> None:
        """More images, as far as there is room; waits for one only when none is on its way."""
        room = self._room() - len(self._sent)
        if self._waiting or self._ending or room <= 0:
            return
        taken = self._jobs.take(room, wait=not self._sent)
        self._ending = taken is None
        self._waiting.extend(taken or ())

    def _room(self) -> int:
        """How many images may be on their way at once."""
        return max(2, min(DecoderProcess.AT_ONCE, int(_AHEAD_SECONDS / self._each)))

    def _may_follow(self, job: Job) -> bool:
        """Whether an image may be sent behind those that are: suspects go alone."""
        if not self._sent:
            return True
        if len(self._sent) >= self._room() or job.crashes or self._sent[0].crashes:
            return False
        return len(job.data) + sum(len(sent.data) for sent in self._sent) <= _AHEAD_BYTES

    def _linger(self) -> None:
        """Lets some answers come together, while the process has enough to do."""
        if len(self._sent) > 2:
            time.sleep(0.4 * (len(self._sent) - 1) * self._each)

    def _note_time(self) -> None:
        now = time.monotonic()
        self._each += 0.1 * (max(now - self._begun, 1e-4) - self._each)
        self._begun = now

    def _blame(self, error: Exception) -> None:
        """The first image unanswered is the culprit; those behind it, and it once more, are sent again."""
        culprit = self._sent.popleft()
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        if isinstance(error, TimeoutError):
            message = f"not decoded within {self._timeout:g} s"
            culprit.done.set_exception(Failed("decoder_timeout", message))
            return
        culprit.crashes += 1
        if culprit.crashes > 1:
            culprit.done.set_exception(Failed("decoder_crash", "the decoding process died of this image"))
        else:
            self._waiting.appendleft(culprit)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _finish(job: Job, facts: dict[str, Any], stored: bytes) -> None:
    if "reason" in facts:
        job.done.set_exception(Failed(facts["reason"], facts["message"]))
    else:
        job.done.set_result(Prepared(data=stored, **facts))


def shared_decoders(workers: int, timeout: float) -> DecoderPool:
    """The process's pool of that size; 0 workers means one per core of its share."""
    workers = workers or usable_cores()
    with _lock:
        key = (os.getpid(), workers, timeout)
        if key not in _shared:
            _shared[key] = DecoderPool(workers, timeout)
            atexit.register(_shared[key].close)
        return _shared[key]
