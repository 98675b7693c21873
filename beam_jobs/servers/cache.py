"""What is built or fetched once and kept: a folder of this user.

In: nothing but the environment. Out: paths in `$PAIRMILL_CACHE`, else `$XDG_CACHE_HOME/pairmill`, else
`~/.cache/pairmill`. What is there is whole: it is made under another name beside it and renamed last.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """The folder; it may not exist yet."""
    own = os.environ.get("PAIRMILL_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pairmill"


@contextmanager
def making(target: Path) -> Iterator[Path]:
    """An empty folder to make `target` in: the block puts a file or folder of that name there, and it is renamed.

    When another process was first, its result stays and ours goes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield workshop
        made = workshop / target.name
        if not made.exists():
            raise FileNotFoundError(f"{target.name} was not made")
        if not target.exists():
            _rename(made, target)
    finally:
        shutil.rmtree(workshop)


def run_builder(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs what builds something in a folder, asking nobody; all that it says is in `stdout`."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _rename(made: Path, target: Path) -> None:
    try:
        os.rename(made, target)
    except OSError:
        if not target.exists():
            raise
