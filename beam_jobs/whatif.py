"""`pairmill whatif`: how many pairs a recipe would keep with another threshold, from the columns alone.

In: a run folder that is scored (and grouped, where the recipe groups), a rule with `{x}` in it, values for x. Out: for
each value how many pairs are kept, and a plot. The rule stands in for the recipe's own rule over the same columns, or
comes after all its steps. No image is read, no model is run, nothing is changed but the plot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from markupsafe import Markup

from beam_jobs.homes import Homes, LoadSidecars
from beam_jobs.judging import ALIVE, NOT_ALIVE, Codes
from beam_jobs.matching.contests import enter, settle_all
from beam_jobs.report import svg
from beam_jobs.storage.files import write_bytes
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.run_folder import RunFolder
from filters.recipe_check import check_recipe
from filters.registry import make_scorers
from filters.rules import PASSES, columns_read, first_failing, where_true
from schemas.recipe import Recipe
from schemas.recipe_steps import RowStep, Rule, Step, Top
from schemas.recipe_text import Place
from schemas.refusal import Refusal

_REASON = "whatif"
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 320, 64, 48, 16


@dataclass(frozen=True)
class Outcome:
    """With x, so many of the rows judged are kept."""

    x: str
    kept: int
    rows: int


def steps_with(steps: Sequence[Step], rule: str, x: str) -> tuple[Step, ...]:
    """The steps with `rule`, its `{x}` filled in, in the place of the first rule that reads the same columns."""
    tried = Rule("keep", rule.replace("{x}", x), _REASON, Place("--rule"))
    read = set(columns_read([tried]))
    for place, step in enumerate(steps):
        if isinstance(step, Rule) and set(columns_read([step])) == read:
            return (*steps[:place], tried, *steps[place + 1 :])
    return (*steps, tried)


def judge_table(table: pa.Table, alive: npt.NDArray[np.bool_], steps: Sequence[Step]) -> Codes:
    """The codes of one table's rows: what `beam_jobs.judging` finds out across shards."""
    return _go_on(table, np.where(alive, ALIVE, NOT_ALIVE).astype(np.int16), steps, first=0)


def _go_on(table: pa.Table, codes: Codes, steps: Sequence[Step], *, first: int) -> Codes:
    """The codes after all steps, given those after the first so many."""
    codes = codes.copy()
    for number, step in enumerate(steps[first:], start=first):
        rows = np.flatnonzero(codes == ALIVE)
        if isinstance(step, RowStep):
            codes[rows[first_failing(table.take(pa.array(rows)), [step]) != PASSES]] = number
            continue
        entered, lost = enter(step, table, shard=0, rows=rows)
        gone = np.concatenate([lost["row"], settle_all(step, entered)[1]["row"]])
        for spared in where_true(table, [step]) if isinstance(step, Top) else ():
            gone = gone[~spared[gone]]
        codes[gone] = number
    return codes


def whatif(work: str, recipe: Recipe, *, rule: str, values: Sequence[str], shards: int) -> Iterator[Outcome]:
    """An Outcome for each value, over the first `shards` image shards: a fair sample, since shards are shuffled."""
    if "{x}" not in rule:
        raise Refusal(
            f"--rule: expected an expression with {{x}} in it, such as 'clip_similarity >= {{x}}'; given {rule!r}"
        )
    for value in values:
        try:
            float(value)
        except ValueError as error:
            raise Refusal(f"--values: expected numbers parted by commas; given {value!r}") from error
    scorers = make_scorers(recipe.score)
    variants = [steps_with(recipe.select, rule, value) for value in values]
    for steps in variants:
        check_recipe(recipe.selecting(steps), scorers=scorers)
    folder = RunFolder(work)
    numbers = sorted(Ledger(folder.ledger("download")).markers())[:shards]
    for ledger in ("download", *(f"score/{scorer.label}" for scorer in scorers)):
        manifest = Ledger(folder.ledger(ledger)).read_manifest()
        if manifest is None or manifest.state != "done":
            raise Refusal(f"--work: {ledger} is not done in {work}")
    load = LoadSidecars(work, Homes.of(recipe))
    columns = dict.fromkeys(name for steps in variants for name in columns_read(steps))
    loaded = [load(number, list(columns)) for number in numbers]
    table = pa.concat_tables([part for part, _ in loaded]).combine_chunks()
    alive = np.concatenate([rows for _, rows in loaded])
    first = next(place for place, step in enumerate(variants[0]) if step.reason == _REASON)
    before = judge_table(table, alive, variants[0][:first])
    for value, steps in zip(values, variants, strict=True):
        codes = _go_on(table, before, steps, first=first)
        yield Outcome(value, int((codes == ALIVE).sum()), int(alive.sum()))


def outcome_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """A line a value: kept pairs and their share of the downloaded ones."""
    lines = [f"{'x':>10} {'kept':>12} {'share':>8}"]
    lines += [f"{each.x:>10} {each.kept:>12,} {_share(each):>8.2%}" for each in outcomes]
    return [*lines, f"of {outcomes[0].rows:,} downloaded pairs"]


def write_plot(url: str, outcomes: Sequence[Outcome], *, rule: str) -> None:
    """The kept share against x, as an SVG picture."""
    points = sorted((float(each.x), _share(each), each.x) for each in outcomes)
    low, high = points[0][0], points[-1][0]
    top = max(share for _, share, _ in points) or 1.0

    def place(x: float, share: float) -> tuple[float, float]:
        along = (x - low) / (high - low) if high > low else 0.5
        width, height = _WIDTH - _LEFT - 24, _HEIGHT - _BOTTOM - _TOP
        return _LEFT + along * width, _TOP + (1 - share / top) * height

    ground = _HEIGHT - _BOTTOM
    parts: list[Markup] = [svg.rect(0, 0, _WIDTH, _HEIGHT, fill="#fff")]
    for share in (0.0, top / 2, top):
        y = place(low, share)[1]
        parts += [
            svg.line(_LEFT, y, _WIDTH - 24, y, stroke="#ddd"),
            svg.text(f"{share:.1%}", _LEFT - 8, y + 4, text_anchor="end"),
        ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(x, share) for x, share, _ in points))
    parts.append(svg.element("polyline", points=path, fill="none", stroke="#1f7a6c", stroke_width=2))
    for value, share, written in points:
        x, y = place(value, share)
        parts += [
            svg.element("circle", cx=x, cy=y, r=4, fill="#1f7a6c"),
            svg.text(written, x, ground + 18, text_anchor="middle"),
        ]
    parts.append(svg.text(f"share kept, by x of {rule}", _LEFT, _HEIGHT - 8))
    picture = svg.element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        font_family="sans-serif",
        font_size=12,
    )
    write_bytes(url, str(picture).encode())


def _share(outcome: Outcome) -> float:
    return outcome.kept / outcome.rows if outcome.rows else 0.0
