"""Recaption: what captioners say of the kept pictures, judged, and the texts that are made of it.

In: images/NNNNN.tar, the selection, the columns that prompts and rules read, embeddings where captions are held against
them; the answers store. Out: captions/<recipe>/<label>/NNNNN.parquet for each captioner and captions/<recipe>/texts/,
with the rows of the image shard; answers/, where each finished answer stands as soon as it may be needed again. The
bytes of the tables depend on the answers alone: not on their order, on who asked, or on when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.accounting import Tally
from beam_jobs.recaptioning.answers import Answers
from beam_jobs.recaptioning.asking import Asker, Row, Said
from beam_jobs.recaptioning.captions import (
    SIMILARITY,
    TO_ORIGINAL,
    Judged,
    caption_schema,
    judge_captions,
    reasons_counted,
    sidecar_of,
    texts_of,
)
from beam_jobs.recaptioning.held import held_engine, let_go, take_hold
from beam_jobs.recaptioning.launching import Captioning
from beam_jobs.recaptioning.plans import Plan, levels
from beam_jobs.recaptioning.rows import KeptRows, read_kept
from beam_jobs.recaptioning.texts import texts_table
from beam_jobs.storage.embeddings import read_embeddings
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from captioners.engines import make_engine
from filters.clip import Clip, text_tower_beside
from filters.registry import Entry, make_scorer
from filters.rules import columns_read
from schemas.reasons import KEPT
from schemas.recaption import TEXTS
from schemas.recipe import Recipe

__all__ = ["RecaptionTask", "let_go", "recaption_shard", "take_hold"]

# From which share of a caption's words on the report calls it an echo, or a loop.
ECHOING, LOOPING = 0.5, 0.5


@dataclass(frozen=True)
class RecaptionTask:
    """One image shard. wanted: the labels that it lacks, TEXTS among them where its texts are. answers: the store's
    URL. similarity: the scorer that captions are held against.
    """

    work: str
    recipe: Recipe
    shard: int
    wanted: tuple[str, ...]
    captioning: Captioning
    answers: str
    similarity: Entry | None = None


def recaption_shard(task: RecaptionTask) -> dict[str, Tally]:
    """Makes what a shard lacks; a Tally per ledger `recaption/<recipe>.<label>`."""
    folder = RunFolder(task.work)
    rows = read_kept(task.work, task.recipe, task.shard, task.captioning.columns)
    places = [row.place for row in rows.rows] or [0]
    answers = Answers(task.answers, min(places), max(places))
    if rows.rows and any(label != TEXTS for label in task.wanted):
        answers.find()
    asker = Asker(answers, lambda plan: held_engine(plan.captioner.engine, make_engine))
    similar = _Similarity(task, rows) if task.similarity is not None else None
    accepted: dict[str, list[list[str]]] = {}
    tallies: dict[str, Tally] = {}
    for level in levels(task.captioning.plans):
        asked = [plan for plan in level if plan.label in task.wanted]
        said = _ask(asker, asked, rows, accepted)
        for plan in level:
            url = folder.captions(task.recipe.name, plan.label, task.shard)
            if plan in asked:
                judged = judge_captions(
                    plan,
                    said[plan.label],
                    originals=rows.originals,
                    samples=_samples(plan, rows),
                    similarities=similar(said[plan.label]) if similar else None,
                )
                table = sidecar_of(plan, said[plan.label], judged, uids=rows.uids, kept=rows.kept)
                tallies[plan.label] = _tally(said[plan.label], judged, write_table(url, table), asker, plan.label)
            accepted[plan.label] = _accepted(read_table(url, [plan.label, f"{plan.label}_captions"]), rows, plan.label)
    answers.join()
    if TEXTS in task.wanted:
        tallies[TEXTS] = _write_texts(task, folder, rows)
    return {f"recaption/{task.recipe.name}.{label}": tally for label, tally in tallies.items()}


def _ask(
    asker: Asker, plans: list[Plan], rows: KeptRows, accepted: Mapping[str, list[list[str]]]
) -> dict[str, list[Said]]:
    """What these captioners say of each kept row, in order."""
    if not plans:
        return {}

    def captions(row: Row) -> dict[str, list[str]]:
        return {label: several[row.number] for label, several in accepted.items()}

    said = asker.ask(plans, rows.with_pictures(read=any(plan.sees for plan in plans)), captions)
    return {label: [by_row[number] for number in range(len(rows))] for label, by_row in said.items()}


def _samples(plan: Plan, rows: KeptRows) -> pa.Table:
    """The columns of samples that a captioner's rules and checks read."""
    own, objects = caption_schema(plan.captioner, similar=True).names, plan.captioner.objects
    read = [name for name in columns_read(plan.captioner.accept) if name not in own]
    return rows.columns.select(list(dict.fromkeys([*read, *([objects.detected] if objects is not None else [])])))


def _accepted(table: pa.Table, rows: KeptRows, label: str) -> list[list[str]]:
    """The accepted captions of each kept row, the chosen one first."""
    found = []
    for row in table.filter(pa.array(rows.kept)).to_pylist():
        chosen, several = row[label], row[f"{label}_captions"] or []
        found.append([] if chosen is None else [chosen, *(text for text in several if text != chosen)])
    return found


class _Similarity:
    """Cosines of captions with their pictures, and with the texts that came with them."""

    def __init__(self, task: RecaptionTask, rows: KeptRows) -> None:
        scorer = make_scorer(task.similarity or "")
        assert isinstance(scorer, Clip)  # what is refused at launch otherwise
        folder = RunFolder(task.work)
        self._tower = text_tower_beside(scorer, "auto")
        self._images = read_embeddings(folder.image_embeddings(scorer.label, task.shard))[rows.pictures_at]
        self._texts = read_embeddings(folder.text_embeddings(scorer.label, task.shard))[rows.pictures_at]

    def __call__(self, said: list[Said]) -> dict[str, npt.NDArray[np.float32]]:
        texts = texts_of(said)
        if not texts:
            return dict.fromkeys((SIMILARITY, TO_ORIGINAL), np.zeros(0, np.float32))
        at = [row for row, each in enumerate(said) if each.answer is not None for _ in each.answer.texts]
        made = self._tower.encode(texts)
        return {
            SIMILARITY: (made * self._images[at]).sum(axis=1),
            TO_ORIGINAL: (made * self._texts[at]).sum(axis=1),
        }


def _tally(said: list[Said], judged: Judged, digest: str, asker: Asker, label: str) -> Tally:
    by_text: dict[str, int] = {}
    for reason in judged.reasons:
        by_text[reason or "accepted"] = by_text.get(reason or "accepted", 0) + 1
    facts = judged.texts
    answers = [each.answer for each in said if each.answer is not None]
    shares = {
        "refusing": sum(facts["caption_is_refusal"].to_pylist()),
        "echoing": sum(
            max(both) >= ECHOING
            for both in zip(
                facts["caption_echo_of_prompt"].to_pylist(), facts["caption_echo_of_original"].to_pylist(), strict=True
            )
        ),
        "looping": sum(value >= LOOPING for value in facts["caption_repetition"].to_pylist()),
        "cut": sum(facts["caption_is_cut"].to_pylist()),
    }
    numbers = {
        "captions": len(judged.reasons),
        **shares,
        "tokens_in": sum(answer.tokens_in for answer in answers),
        "tokens_out": sum(answer.tokens_out for answer in answers),
        "asked": asker.asked[label],
        "found": asker.found[label],
    }
    reasons = dict(sorted(reasons_counted(said, judged).items()))
    details = {"captions": dict(sorted(by_text.items()))} if by_text else {}
    return Tally(len(said), reasons, digest, details, numbers)


def _write_texts(task: RecaptionTask, folder: RunFolder, rows: KeptRows) -> Tally:
    name = task.recipe.name
    captions = {
        plan.label: read_table(folder.captions(name, plan.label, task.shard)).filter(pa.array(rows.kept))
        for plan in task.captioning.plans
    }
    table = texts_table(task.recipe.recaption, rows, captions, task.captioning.kinds)
    digest = write_table(folder.captions(name, TEXTS, task.shard), table)
    return Tally(len(rows), {KEPT: len(rows)} if len(rows) else {}, digest)
