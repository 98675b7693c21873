"""What a run folder's last launch is: which recipe, what it makes in which order, and whether it is still at work.

In: what a launch decided. Out: ledger/launch.json, written at its start, every few seconds while it works, and at its
end; so that another process can tell from the folder alone whether a run goes on, ended, or was killed. Nothing that
is made reads it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from beam_jobs.storage.files import exists, read_json, write_json
from beam_jobs.storage.run_folder import RunFolder

RUNNING, ENDED, FAILED = "running", "ended", "failed"
SECONDS_BETWEEN_SIGNS = 10.0
_LONGEST_MESSAGE = 500


@dataclass(frozen=True)
class Launch:
    """ledgers: all that the recipe makes, in the order of the flow; stages: those asked for. Times are Unix times.

    seen: when it last gave a sign of life. state: RUNNING, ENDED or FAILED, with why in `message`.
    """

    recipe: str
    runner: str
    stages: tuple[str, ...]
    ledgers: tuple[str, ...]
    begun: float
    seen: float
    state: str = RUNNING
    message: str = ""

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Launch:
        return Launch(**{**value, "stages": tuple(value["stages"]), "ledgers": tuple(value["ledgers"])})


def read_launch(work: str) -> Launch | None:
    """The last launch; None in a folder that never had one."""
    url = RunFolder(work).launch()
    return Launch.from_json(read_json(url)) if exists(url) else None


@contextmanager
def launched(work: str, *, recipe: str, runner: str, stages: Sequence[str], ledgers: Sequence[str]) -> Iterator[None]:
    """Says, while the block runs, that this launch is at work; and at its end, how it ended."""
    url, now = RunFolder(work).launch(), time.time()
    launch = Launch(recipe, runner, tuple(stages), tuple(ledgers), begun=now, seen=now)
    write_json(url, asdict(launch))
    ended = threading.Event()

    def give_signs() -> None:
        while not ended.wait(SECONDS_BETWEEN_SIGNS):
            # A sign that a store did not take is followed by another.
            with suppress(OSError):
                write_json(url, asdict(replace(launch, seen=time.time())))

    thread = threading.Thread(target=give_signs, name="pairmill-signs", daemon=True)
    thread.start()
    state, message = FAILED, "interrupted"
    try:
        yield
        state, message = ENDED, ""
    except Exception as error:
        message = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        raise
    finally:
        ended.set()
        thread.join()
        write_json(url, asdict(replace(launch, seen=time.time(), state=state, message=message)))
