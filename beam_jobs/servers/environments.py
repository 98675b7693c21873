"""Where a cluster's machines run Python: Beam's environment options, checked at launch.

In: Beam's options. Out: the ones that may be filled in, or a Refusal of those that would fail on the workers only.

    PROCESS     each executor starts `pairmill-worker` (worker.py) of a Python that all machines have
    EXTERNAL    each executor asks a worker pool of its machine, that somebody keeps running
    DOCKER      each executor starts a container
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.refusal import Refusal

REMOTE = ("DOCKER", "EXTERNAL", "PROCESS")
WORKER = "pairmill-worker"
_ADDRESS = re.compile(r"[^\s/:]+:\d{1,5}")


def check_environment(given: Mapping[str, Any], *, where: str) -> None:
    """Refuses an environment that machines other than this one cannot run, or whose settings nothing could start."""
    kind = given["environment_type"]
    if kind not in REMOTE:
        found = f"{kind} given" if kind else "none given"
        raise Refusal(f"{where}: expected --environment_type {', '.join(REMOTE)}; {found}")
    config = given["environment_config"]
    if kind == "EXTERNAL":
        address = _url(config) if config else _option(given, "external_service_address")
        if not address or not _ADDRESS.fullmatch(address):
            raise Refusal(
                f"--environment_type EXTERNAL: expected --environment_config HOST:PORT of each machine's worker pool, "
                f"{config or 'none'} given"
            )
    if kind == "PROCESS" and config:
        _command(config)


def environment_options(given: Mapping[str, Any]) -> Iterator[str]:
    """For PROCESS without a command: the worker program beside this Python, which all machines then have there."""
    if given["environment_type"] != "PROCESS" or given["environment_config"] or _option(given, "process_command"):
        return
    program = Path(sys.executable).with_name(WORKER)
    if not os.access(program, os.X_OK):
        raise Refusal(
            f"--environment_type PROCESS: there is no {program}; install pairmill there, or name the machines' worker "
            f'program: --environment_config \'{{"command": "/path/to/{WORKER}"}}\''
        )
    yield f"--environment_config={json.dumps({'command': str(program)})}"


def _command(config: str) -> str:
    try:
        command = json.loads(config)["command"]
    except (ValueError, TypeError, KeyError):
        command = None
    if not isinstance(command, str) or not command:
        raise Refusal(
            f'--environment_type PROCESS: expected --environment_config \'{{"command": "/path/to/{WORKER}"}}\', '
            f"{config} given"
        )
    return command


def _url(config: str) -> str:
    """Beam takes HOST:PORT, or JSON with a `url`."""
    if not config.lstrip().startswith("{"):
        return config
    try:
        return str(json.loads(config).get("url", ""))
    except ValueError:
        return ""


def _option(given: Mapping[str, Any], name: str) -> str:
    settings = [text.partition("=") for text in given["environment_options"] or ()]
    return next((value for key, _, value in settings if key == name), "")
