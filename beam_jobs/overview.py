"""What stands in a run folder, and what exists at all: the texts of `plan`, `counts`, `recipes` and `scorers`.

In: ledgers, recipes, scorers. Out: lines for people, or plain values for JSON. Runs and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from beam_jobs.execution import done_markers, sum_up
from beam_jobs.flow import FLOW
from beam_jobs.launch import Prepared
from beam_jobs.recaptioning.cost import cost_of_markers, estimate_rest, told
from beam_jobs.recipe_needs import needs_lines
from beam_jobs.recipes import list_recipes, load_recipe, recipe_text
from beam_jobs.storage.files import exists, list_folders
from beam_jobs.storage.ledger import Ledger, Marker, reasons_of
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.work import NotReady, Run
from captioners.catalogue import catalogue as captioners_known
from captioners.catalogue import describe as captioner_described
from filters.registry import describe
from schemas.reasons import KEPT
from schemas.refusal import Refusal, unknown

# Ledgers whose tallies count rows of the run; `planned` repeats what `preselect` counted.
_COUNTED = ("extract", "corpus", "preselect", "download", "score", "group", "select", "recaption", "write")
_BY_RECIPE = ("select", "recaption", "write")


def plan_lines(prepared: Prepared) -> list[str]:
    """A line a stage: what is done, what would run, what waits for an earlier stage."""
    run = prepared.run
    lines = [f"recipe {run.name} in {run.folder.work}, on {prepared.runner.name}"]
    waiting = None
    for stage in FLOW:
        if not run.lineage.of_stage(stage):
            continue
        asked = "" if stage in prepared.stages else "  (not asked for)"
        if waiting is not None:
            lines.append(f"  {stage:<11} after {waiting}{asked}")
            continue
        try:
            work = FLOW[stage](run)
        except NotReady as error:
            lines.append(f"  {stage:<11} waits: {error}{asked}")
            waiting = stage
            continue
        done = done_markers(run, work)
        left = len(work.tickets) - len(done)
        if left:
            lines.append(f"  {stage:<11} {left} of {len(work.tickets)} shards to make{asked}")
            lines += _captions_left(run, done) if stage == "recaption" else []
            waiting = stage
        else:
            lines.append(f"  {stage:<11} done: {sum_up(done.values())}{asked}")
    return lines


def _captions_left(run: Run, done: Mapping[tuple[str, int], Marker]) -> list[str]:
    """What the captions that are left will cost, at the rate of those that are done; a line a captioner."""
    selected = run.finished(f"select/{run.name}")
    lines = []
    for plan in run.captioning.plans:
        ledger = f"recaption/{run.name}.{plan.label}"
        rows = sum(marker.tally.kept for shard, marker in selected.items() if (ledger, shard) not in done)
        rest = estimate_rest(cost_of_markers(done[key] for key in done if key[0] == ledger), rows=rows)
        if rows and rest is not None:
            lines.append(f"  {'':<11} {plan.label}: about {told(rest)} for {rows:,} rows")
    return lines


def counts(work: str, *, recipe: str | None = None) -> list[dict[str, Any]]:
    """Every ledger of a run folder in the order of the flow: rows in, counts by reason, other units.

    Raises Refusal when the folder holds no run, or none of that recipe.
    """
    folder = RunFolder(work)
    found = [_count(ledger, Ledger(folder.ledger(ledger)).markers()) for ledger in _ledgers(folder)]
    if not found:
        raise Refusal(f"--work: {work} holds no run")
    recipes = {_recipe_of(count["stage"]) for count in found if count["stage"].startswith(_BY_RECIPE)}
    if recipe is None:
        return found
    if recipe not in recipes:
        raise unknown("recipe", recipe, recipes, where=f"--work {work}")
    return [
        count for count in found if not count["stage"].startswith(_BY_RECIPE) or _recipe_of(count["stage"]) == recipe
    ]


def _recipe_of(ledger: str) -> str:
    """The recipe that a ledger bears the name of: that of a captioner bears its label too."""
    stage, _, name = ledger.partition("/")
    return name.rpartition(".")[0] if stage == "recaption" else name


def _ledgers(folder: RunFolder) -> Iterator[str]:
    present = list_folders(folder.ledger(""))
    for stage in _COUNTED:
        if stage in present:
            below = list_folders(folder.ledger(stage))
            yield from [f"{stage}/{name}" for name in below] or [stage]


def _count(ledger: str, markers: Mapping[int, Marker]) -> dict[str, Any]:
    reasons = reasons_of(markers.values())
    details: dict[str, Counter[str]] = {}
    for marker in markers.values():
        for unit, numbers in marker.tally.details.items():
            details.setdefault(unit, Counter()).update(numbers)
    return {
        "stage": ledger,
        "shards": len(markers),
        "rows_in": reasons.total(),
        "reasons": dict(reasons.most_common()),
        "details": {unit: dict(numbers.most_common()) for unit, numbers in details.items()},
        "seconds": round(sum(marker.seconds for marker in markers.values()), 1),
    }


def count_lines(found: list[dict[str, Any]]) -> list[str]:
    """`counts` for people: the rows that entered a stage, those that left it by reason, and their sum."""
    lines = []
    for count in found:
        reasons = dict(count["reasons"])
        kept = reasons.pop(KEPT, 0)
        lines.append(f"{count['stage']:<24}{count['rows_in']:>12,} rows in")
        lines.append(f"  {KEPT:<22}{kept:>12,}")
        lines += [f"  {reason:<22}{rows:>12,}" for reason, rows in reasons.items()]
        for unit, numbers in count["details"].items():
            lines.append(f"  ({unit}: {', '.join(f'{name} {number:,}' for name, number in numbers.items())})")
    return lines


def closing_lines(run: Run) -> list[str]:
    """What a run ends with: how many pairs it kept, why it kept no others, and where its results are."""
    rows, reasons = Counter[str](), Counter[str]()
    for ledger in _ledgers(run.folder):
        stage, _, name = ledger.partition("/")
        if stage in ("extract", "preselect", "download") or (stage, name) == ("select", run.name):
            for marker in run.ledger(ledger).markers().values():
                rows[stage] += marker.tally.rows_in
                kept = marker.tally.kept if stage == "select" else 0
                reasons.update({**marker.tally.reasons, KEPT: kept})
        if (stage, name) == ("write", run.name):
            for marker in run.ledger(ledger).markers().values():
                lost = {reason: count for reason, count in marker.tally.reasons.items() if reason != KEPT}
                reasons.update({**lost, KEPT: -sum(lost.values())})
    kept = reasons.pop(KEPT, 0)
    lines = [f"{kept:,} of {rows['extract']:,} pairs kept"] if "select" in rows else []
    lines += [f"  {count:>9,}  {reason}" for reason, count in reasons.most_common()]
    if exists(run.folder.manifest(run.name)):
        lines.append(f"shards: {run.folder.shards(run.name)}")
    if exists(run.folder.report(run.name)):
        lines.append(f"report: {run.folder.report(run.name)}")
    return lines


def over_limit(run: Run) -> str | None:
    """What is to be said when more rows failed to download than the recipe's limits allow."""
    markers = run.ledger("download").markers().values()
    rows = sum(marker.tally.rows_in for marker in markers)
    failed = rows - sum(marker.tally.kept for marker in markers)
    limit = run.recipe.limits.failed_rows
    if rows and failed > limit * rows:
        return f"{failed:,} of {rows:,} rows failed to download, more than limits.failed_rows = {limit} allows"
    return None


def catalogue_lines(kind: str, name: str | None) -> list[str]:
    """The recipes, scorers or captioners that exist; or one of them, whole."""
    if kind == "scorers":
        return describe(name).splitlines()
    if kind == "captioners":
        return captioners_known() if name is None else captioner_described(name)
    if name is not None:
        return [*recipe_text(name)[0].splitlines(), "", *needs_lines(load_recipe(name))]
    known = list_recipes()
    width = max(map(len, known))
    return [f"{each:<{width}}  {load_recipe(each).summary}" for each in known]
