"""A run's status as one HTML file that asks for nothing and, while the run goes on, loads itself again.

In: a RunStatus. Out: the page's text. No script; its style is named by its digest in the content security policy.
"""

from __future__ import annotations

import base64
import hashlib
import time
from importlib.resources import files

from beam_jobs.report.display import duration, number
from beam_jobs.status.gather import DONE, WAITING, RunStatus, StageStatus
from beam_jobs.status.lines import headline, notes_of, shards_of


def render_status(status: RunStatus, *, every: int) -> str:
    """The page. every: after how many seconds it loads itself again, while the run goes on."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    template = _asset("status.html.j2")
    style = _asset("status.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(template)
    return page.render(
        title=f"pairmill: {status.launch.recipe}" if status.launch else "pairmill",
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - a file of ours
        headline=headline(status),
        state=status.state,
        stages=[_row(stage) for stage in status.stages],
        work=status.work,
        at=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(status.at)),
        every=every if status.is_running else 0,
    )


def _row(stage: StageStatus) -> dict[str, object]:
    waits = stage.state == WAITING
    return {
        "ledger": stage.ledger,
        "state": stage.state,
        "done": stage.shards,
        "total": stage.total or (1 if waits else max(1, stage.shards)) + (0 if stage.state == DONE else 1),
        "shards": shards_of(stage),
        "rows": "" if waits else number(stage.rows),
        "kept": "" if waits else number(stage.kept),
        "time": "" if waits else duration(stage.seconds),
        "rate": "" if stage.rows_per_second is None else number(stage.rows_per_second),
        "left": "" if stage.left is None else duration(stage.left),
        "notes": notes_of(stage),
    }


def _asset(name: str) -> str:
    return (files("beam_jobs.status") / "templates" / name).read_text(encoding="utf-8")
