"""Beam's log without the lines that tell a user nothing.

In: the log records of this process. Out: the same without what Beam says at every start and every end of a worker;
warnings and errors of jobs stay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_CHATTER = {
    "": ("apitools not found", "Waiting for grpc channel to be ready"),
    "apache_beam.utils.subprocess_server": (
        "Really starting service",
        "Really destroying service",
        "already purged",
        "Apache Beam is downloading dependencies",
    ),
    "apache_beam.options.pipeline_options": ("Discarding unparseable args",),
    "apache_beam.runners.portability.local_job_service": (
        "Discarding unparseable args",
        "No semi_persistent_directory found",
    ),
    "apache_beam.runners.worker.data_plane": (),
    "apache_beam.runners.worker.sdk_worker": (),
    "apache_beam.runners.worker.worker_pool_main": (),
}
# How workers in this process see the runner's end of a finished bundle.
_HANG_UPS = ("StatusCode.CANCELLED", "Channel closed!", "Socket closed", "GOAWAY received")


class _Chatter(logging.Filter):
    """On the logger itself, so that it holds whichever handlers there are, and until the process ends."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        super().__init__()
        self._texts = texts

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        return not any(text in said for text in self._texts) and not (error is not None and is_hang_up(error))


def is_hang_up(error: BaseException) -> bool:
    """Whether a gRPC error is only the runner closing the channel of a worker that it no longer needs."""
    return type(error).__module__.startswith("grpc") and any(words in str(error) for words in _HANG_UPS)


def quiet_beam() -> None:
    """Logs warnings of this process to standard error, without Beam's chatter. Doing it again changes nothing.

    Best done before Beam is imported: it has something to say then.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name, texts in _CHATTER.items():
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Chatter) for known in logger.filters):
            logger.addFilter(_Chatter(texts))
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
