"""What the files of the command line share: how a command is added, and how it ends.

In: the flags that a command does not know. Out: exit statuses, a refusal.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from schemas.refusal import Refusal

DONE, FAILED, REFUSED, TOO_MANY_FAILURES = 0, 1, 2, 3
# Among the commands, one with a name, its purpose and an example.
AddCommand = Callable[[Any, str, str, str], argparse.ArgumentParser]


def refuse_flags(flags: Sequence[str]) -> None:
    """Raises Refusal of any, in a command that starts no Beam job."""
    if flags:
        raise Refusal(f"unrecognized arguments: {' '.join(flags)}")
