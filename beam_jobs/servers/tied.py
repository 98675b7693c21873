"""Servers that end with the process that started them, even when that one is killed.

In: a program. Out: a program that takes the same arguments and ends with its parent; the given one where the system
has no means for that.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
from pathlib import Path

from beam_jobs.servers.cache import cache_folder, making


def tied(program: str) -> str:
    """The path of a script that starts `program` so that the kernel ends it with the thread that started it."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or subprocess.run([setpriv, "--pdeathsig", "KILL", "true"], check=False).returncode != 0:
        return program
    line = f'exec {shlex.quote(setpriv)} --pdeathsig KILL {shlex.quote(program)} "$@"'
    name = f"tied-{Path(program).name}-{hashlib.sha256(line.encode()).hexdigest()[:8]}"
    target = cache_folder() / name
    if not target.exists():
        with making(target) as workshop:
            script = workshop / name
            script.write_text(f"#!/bin/sh\n{line}\n")
            script.chmod(0o755)
    return str(target)
