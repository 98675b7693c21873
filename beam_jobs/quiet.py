"""Beam's log without the lines that tell a user nothing.

In: the log records of this process. Out: the same without what Beam says at every start and every end of a worker;
warnings and errors of jobs stay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_NOISE = (
    "apitools not found",
    "Really starting service",
    "Really destroying service",
    "Waiting for grpc channel to be ready",
    "Discarding unparseable args",
    "No semi_persistent_directory found",
    "already purged. If this occurs during atexit",
)
# How workers in this process see the runner's end of a finished bundle.
_HANG_UPS = ("Multiplexer hanging up", "Channel closed!", "Socket closed", "GOAWAY received")


class _Noise(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING and record.name.partition(".")[0] in ("PrismRunner", "SdkWorker"):
            return False
        text = record.getMessage()
        if any(noise in text for noise in _NOISE):
            return False
        error = record.exc_info[1] if record.exc_info else None
        return not (error is not None and is_hang_up(error))


def is_hang_up(error: BaseException) -> bool:
    """Whether a gRPC error is only the runner closing the channel of a worker that it no longer needs."""
    return type(error).__module__.startswith("grpc") and any(words in str(error) for words in _HANG_UPS)


def quiet_beam() -> None:
    """Logs warnings of this process to standard error, without Beam's chatter. Doing it again changes nothing."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        if not any(isinstance(known, _Noise) for known in handler.filters):
            handler.addFilter(_Noise())
    if not getattr(threading.excepthook, "is_quiet", False):
        threading.excepthook = _quieted(threading.excepthook)


def _quieted(
    hook: Callable[[threading.ExceptHookArgs], object],
) -> Callable[[threading.ExceptHookArgs], None]:
    def quiet(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is None or not is_hang_up(arguments.exc_value):
            hook(arguments)

    quiet.is_quiet = True  # type: ignore[attr-defined]
    return quiet
