"""How a dataset was made: the recipe as it is written, what each ledger stands for, and how long it took.

In: a recipe's plain values and ledger totals. Out: markup and rows for the page's last section.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

import yaml
from markupsafe import Markup, escape

from beam_jobs.report.display import ABSENT, duration, measure, number
from beam_jobs.report.funnel import StageTotals, stage_of
from beam_jobs.report.shard_rows import Sidecars
from beam_jobs.storage.parquet import read_schema
from schemas.corpus import COUNTERS
from schemas.download import DownloadSection
from schemas.grouping import GROUPERS
from schemas.recipe import Limits, Write

_LINE = re.compile(r"^(\s*(?:- )*)([A-Za-z_][\w-]*)(:)(.*)$")
_COLUMN_WIDTH = 100
_PROVENANCE = b"pairmill"  # of a score sidecar's schema metadata
_SECTIONS: Mapping[str, type[Any]] = {"download": DownloadSection, "write": Write, "limits": Limits}
_LISTS: Mapping[str, Mapping[str, type[Any]]] = {"corpus": COUNTERS, "group": GROUPERS}


@dataclass(frozen=True)
class LedgerRow:
    """A ledger's line in the table of stages."""

    ledger: str
    state: str
    shards: str
    rows: str
    kept: str
    seconds: str
    speed: str
    fingerprint: str
    notes: str


class _Dumper(yaml.SafeDumper):
    """Lists of plain values stand on one line, as people write them."""


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    plain = not any(isinstance(value, (list, dict)) for value in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


_Dumper.add_representer(list, _represent_list)


def as_yaml(value: Any) -> str:
    """Plain values as YAML, keys in their order, everything beyond ASCII escaped."""
    plain = json.loads(json.dumps(value))
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=_COLUMN_WIDTH)
    return text


def coloured_yaml(text: str) -> Markup:
    """YAML with its keys marked, for a `<pre>`."""
    lines = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            indent, key, colon, rest = (escape(part) for part in match.groups())
            lines.append(Markup('{}<span class="key">{}</span>{}{}').format(indent, key, colon, rest))
        else:
            lines.append(escape(line))
    return Markup("\n").join(lines)


def ledger_rows(totals: Mapping[str, StageTotals]) -> list[LedgerRow]:
    """One line a ledger, in the order of the flow."""
    rows = []
    for name, total in totals.items():
        timed = total.seconds >= 0.05 and stage_of(name) != "report"
        rows.append(
            LedgerRow(
                ledger=name,
                state=total.state,
                shards=number(total.shards),
                rows=number(total.rows_in),
                kept=number(total.kept),
                seconds=duration(total.seconds) if timed else ABSENT,
                speed=f"{measure(total.rows_in / total.seconds, 3)}/s" if timed else ABSENT,
                fingerprint=total.fingerprint,
                notes=_notes(total),
            )
        )
    return rows


def _notes(total: StageTotals) -> str:
    told = [
        f"{unit}: {', '.join(f'{number(count)} {name}' for name, count in counts.items())}"
        for unit, counts in total.details.items()
        if counts
    ]
    return "; ".join(told)


def scorers(sidecars: Sidecars, totals: Mapping[str, StageTotals]) -> dict[str, Markup]:
    """What made each sidecar of scores, as it says itself; else what its ledger says."""
    found = configurations(totals, "score")
    for label in sidecars.scores:
        metadata = read_schema(sidecars.folder.scores(label, sidecars.shards[0])).metadata or {}
        if _PROVENANCE in metadata:
            found[label] = coloured_yaml(as_yaml(json.loads(metadata[_PROVENANCE])))
    return found


def brief(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without its empty values and without the options that have their defaults."""
    shown = {key: _without_empty(value) for key, value in recipe.items()}
    for section, kind in _SECTIONS.items():
        if isinstance(shown.get(section), dict):
            shown[section] = _without_defaults(shown[section], kind)
    for section, kinds in _LISTS.items():
        for entry in shown.get(section) or ():
            for name, options in entry.items() if isinstance(entry, dict) else ():
                if isinstance(options, dict) and name in kinds:
                    entry[name] = _without_defaults(options, kinds[name])
    for section in (*_LISTS, "score"):
        shown[section] = [_bare(entry) for entry in shown.get(section) or ()]
    return {key: value for key, value in shown.items() if value not in (None, "", [], {})}


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_empty(each) for key, each in value.items() if each not in (None, "", [], ())}
    return [_without_empty(each) for each in value] if isinstance(value, (list, tuple)) else value


def _without_defaults(options: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    given = {each.name: each.default for each in fields(kind) if each.default is not MISSING}
    given |= {each.name: each.default_factory() for each in fields(kind) if each.default_factory is not MISSING}
    # A counter's label is its kind where none is given.
    defaults = json.loads(json.dumps({**given, "label": given.get("label") or getattr(kind, "KIND", "")}))
    return {key: value for key, value in options.items() if key not in defaults or value != defaults[key]}


def _bare(entry: Any) -> Any:
    """`{name: {}}` as `name`."""
    if isinstance(entry, dict) and len(entry) == 1:
        [(name, options)] = entry.items()
        return entry if options else name
    return entry


def configurations(totals: Mapping[str, StageTotals], stage: str) -> dict[str, Markup]:
    """The sections that the ledgers of a stage were made with, as YAML, by ledger label."""
    found = {}
    for name, total in totals.items():
        section = total.configuration.get("section") if isinstance(total.configuration, Mapping) else None
        if stage_of(name) == stage and section:
            found[name.partition("/")[2] or name] = coloured_yaml(as_yaml(section))
    return found
