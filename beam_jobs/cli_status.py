"""The command `status`: how a run is doing, from its folder alone, on any store, from any machine.

In: the parsers of `pairmill`. Out: its arguments, and what it does, as an exit status.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from beam_jobs.cli_command import DONE, AddCommand, refuse_flags
from schemas.refusal import Refusal

_HOME = "\x1b[H\x1b[J"


def add_status(commands: Any, command: AddCommand) -> None:
    parser = command(
        commands,
        "status",
        "How a run is doing, while another process works on it or after it: shards, rates, what was lost and why, the "
        "slowest shards, how long it will take yet. Read from the ledgers of the run folder alone.",
        "status --work s3://bucket/run --watch --html status.html",
    )
    parser.add_argument("--work", required=True, metavar="URL", help="the run folder")
    parser.add_argument("--watch", action="store_true", help="look again and again, until the run has ended")
    parser.add_argument("--every", default="5", metavar="SECONDS", help="how often to look (default: 5)")
    parser.add_argument("--html", metavar="FILE", help="write a page that loads itself again while the run goes on")
    parser.add_argument("--json", action="store_true", help="as JSON; with --watch an object a line")
    parser.set_defaults(do=_status)


def _status(arguments: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    from beam_jobs.status.gather import Watch
    from beam_jobs.status.page import render_status
    from beam_jobs.storage.files import write_bytes
    from beam_jobs.storage.stores import check_store

    refuse_flags(beam_flags)
    every = _seconds(arguments.every)
    if arguments.html:
        check_store(arguments.html, named="--html")
    watch = Watch(arguments.work)
    while True:
        started = time.monotonic()
        status = watch.look(time.time())
        if arguments.html:
            write_bytes(arguments.html, render_status(status, every=every).encode())
        _show(status, as_json=arguments.json, again=arguments.watch)
        if not (arguments.watch and status.is_running):
            return DONE
        # A store that takes long to list is not asked more than a tenth of the time.
        time.sleep(max(every, 9 * (time.monotonic() - started)))


def _show(status: Any, *, as_json: bool, again: bool) -> None:
    from beam_jobs.status.lines import status_json, status_lines

    if as_json:
        print(json.dumps(status_json(status), indent=None if again else 1), flush=True)
        return
    text = "\n".join(status_lines(status))
    print(f"{_HOME}{text}" if again and sys.stdout.isatty() else text, flush=True)


def _seconds(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= 3600:
        raise Refusal(f"--every: expected whole seconds from 1 to 3600; given {given!r}")
    return int(given)
