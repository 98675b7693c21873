"""The page: one file that asks for nothing, with the template's own script and style and no other.

In: Findings. Out: HTML. Texts of the web are escaped by the template; the content security policy names the script
and the style by their digests, so that nothing else could run or load even where an escape were missing.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup

from beam_jobs.report import caption_views, gallery_views, known_views, making, sample_views, truth_views, views
from beam_jobs.report.display import number, share, tidy, words
from beam_jobs.report.gather import Findings

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _asset(name: str) -> str:
    return (files("beam_jobs.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=number, words=words, tidy=tidy)
    environment.globals.update(share=share)
    return environment


def _policy(script: str, style: str) -> str:
    """What the page may do: its own script, its own style, pictures that it holds itself."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    return (
        f"default-src 'none'; img-src data:; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def render(findings: Findings, *, resolve: tuple[str, ...] = ()) -> str:
    """The whole page."""
    script, style = _asset("page.js"), _asset("page.css")
    template = _environment().get_template("page.html.j2")
    return template.render(
        name=findings.recipe_name,
        summary=str(findings.recipe.get("summary") or ""),
        cites=str(findings.recipe.get("cites") or ""),
        approximate=tuple(findings.recipe.get("approximate") or ()),
        offline=tuple(findings.recipe.get("offline_approximation") or ()),
        policy=_policy(script, style),
        script=Markup(script),
        style=Markup(style),
        story=views.story(findings),
        sampled=views.sampled(findings),
        headline=views.headline(findings),
        funnel=views.funnel_views(findings),
        losses_shown=views.LOSSES_SHOWN,
        learned=views.learned(findings),
        ended=sum(findings.reasons.values()),
        scores=views.score_views(findings),
        small=views.small_views(findings),
        constants=views.constants(findings),
        has_selection=findings.stage("select") is not None,
        kept=sample_views.kept_samples(findings),
        dropped=sample_views.dropped_samples(findings),
        texts=sample_views.dropped_text_sets(findings),
        cuts=sample_views.cut_views(findings),
        duplicates=sample_views.duplicates_views(findings),
        clusters=gallery_views.clusters_views(findings),
        known=known_views.known_views(findings),
        captioners=caption_views.caption_views(findings),
        failures=sample_views.failure_rows(findings),
        failing_hosts=sample_views.host_rows(findings),
        sizes=views.sizes_chart(findings),
        formats=views.bars(findings.images.formats, 8, rest="other formats"),
        languages=views.bars(findings.images.languages, 10, rest="other languages"),
        hosts=views.bars(findings.failures.hosts, 12, rest="other hosts"),
        host_count=len(findings.failures.hosts),
        hosts_short_by=findings.failures.hosts.short_by,
        ledgers=making.ledger_rows(findings.totals),
        scorers=making.scorers(findings.sidecars, findings.totals),
        fetching=making.configurations(findings.totals, "download"),
        recipe=making.coloured_yaml(making.as_yaml(making.brief(findings.recipe))),
        resolve=resolve,
        measured=truth_views.measured_view(findings),
    )
