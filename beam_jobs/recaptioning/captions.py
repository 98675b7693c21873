"""What captioners said, judged: facts of each caption, whether the recipe's rules accept it, and one row a sample.

In: what a captioner said of the kept rows, the columns of these that its rules read, and the similarities of texts.
Out: a table of one row a text, and the sidecar of the captioner: one row for each row of the image shard, null where it
was not kept. Captions that are not accepted stay in it, each with its reason.

    LABEL                chosen caption: the first accepted one, or the one closest to the picture
    LABEL_captions       all accepted ones, and LABEL_similarities: theirs to the picture
    LABEL_reason         null where there is an accepted one, else why not; LABEL_message of a failure
    LABEL_said           all that was said, with LABEL_said_reasons and LABEL_finishes
    LABEL_model, _prompt, _digest, _tokens_in, _tokens_out                  what made it
    LABEL_is_refusal ... LABEL_similarity    facts of the chosen caption, else of the first that was said
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_jobs.recaptioning.asking import Said
from beam_jobs.recaptioning.plans import Plan
from captioners.checks import COLUMNS as CHECKS
from captioners.checks import Said as Checked
from captioners.checks import check_captions
from captioners.judging import COLUMNS as JUDGEMENTS
from captioners.judging import PROMPT as JUDGE
from captioners.judging import judgements
from captioners.objects import COLUMNS as OBJECTS
from captioners.objects import Vocabulary, check_objects
from filters.language import detect
from filters.rules import judge
from schemas.reasons import KEPT
from schemas.recaption import Captioner

TEXT, FINISH = "caption", "caption_finish"
LANGUAGE, LANGUAGE_SCORE = "caption_language", "caption_language_score"
SIMILARITY, TO_ORIGINAL = "caption_similarity", "caption_text_similarity"
SIMILARITIES = (SIMILARITY, TO_ORIGINAL)
_FACTS = {**CHECKS, LANGUAGE: pa.string(), LANGUAGE_SCORE: pa.float32()}
_PREFIX = "caption_"


def caption_schema(captioner: Captioner, *, similar: bool) -> pa.Schema:
    """The columns of a caption that rules may read, beside those of its sample."""
    return pa.schema([(TEXT, pa.string()), (FINISH, pa.string()), *_facts(captioner, similar=similar).items()])


def _facts(captioner: Captioner, *, similar: bool) -> dict[str, pa.DataType]:
    return {
        **_FACTS,
        **(JUDGEMENTS if captioner.prompt == JUDGE else {}),
        **(OBJECTS if captioner.objects is not None else {}),
        **(dict.fromkeys(SIMILARITIES, pa.float32()) if similar else {}),
    }


def sidecar_schema(captioner: Captioner, *, similar: bool) -> pa.Schema:
    """The columns of a captioner's sidecar."""
    label, texts = captioner.label, pa.list_(pa.string())
    facts = _facts(captioner, similar=similar)
    return pa.schema(
        [
            ("uid", pa.string()),
            (label, pa.string()),
            (f"{label}_captions", texts),
            (f"{label}_similarities", pa.list_(pa.float32())),
            (f"{label}_reason", pa.string()),
            (f"{label}_message", pa.string()),
            (f"{label}_said", texts),
            (f"{label}_said_reasons", texts),
            (f"{label}_finishes", texts),
            (f"{label}_model", pa.string()),
            (f"{label}_prompt", pa.string()),
            (f"{label}_digest", pa.string()),
            (f"{label}_tokens_in", pa.int32()),
            (f"{label}_tokens_out", pa.int32()),
            *((f"{label}_{name.removeprefix(_PREFIX)}", kind) for name, kind in facts.items()),
        ]
    )


def training_columns(captioner: Captioner, *, similar: bool) -> list[str]:
    """The columns of the sidecar that go into training shards: what was accepted, and what made it."""
    label = captioner.label
    several = [f"{label}_captions", *([f"{label}_similarities"] if similar else [])]
    made_by = [f"{label}_reason", f"{label}_model", f"{label}_prompt"]
    told = [f"{label}_{name.removeprefix(_PREFIX)}" for name in _facts(captioner, similar=similar)]
    return [label, *(several if captioner.kind != "string" else []), *made_by, *told]


@dataclass(frozen=True)
class Judged:
    """A captioner's captions of a shard's kept rows. rows: of each text, its row among them."""

    texts: pa.Table
    rows: npt.NDArray[np.int64]
    reasons: Sequence[str | None]

    def accepted(self, choose: str, count: int) -> list[list[int]]:
        """For each of `count` rows the places of its accepted texts, the chosen one first."""
        found: list[list[int]] = [[] for _ in range(count)]
        for place, (row, reason) in enumerate(zip(self.rows.tolist(), self.reasons, strict=True)):
            if reason is None:
                found[row].append(place)
        if choose == "most_similar" and SIMILARITY in self.texts.column_names:
            similarity = self.texts[SIMILARITY].to_pylist()
            for places in found:
                places.sort(key=lambda place: (-(similarity[place] if similarity[place] is not None else -2.0), place))
        return found


def judge_captions(
    plan: Plan,
    said: Sequence[Said],
    *,
    originals: Sequence[str | None],
    samples: pa.Table,
    similarities: Mapping[str, npt.NDArray[np.float32]] | None,
) -> Judged:
    """Facts and reasons of all texts that a captioner said.

    originals: the texts that came with the kept rows. samples: their columns that rules read. similarities: of the
    texts in order, by column, where there is a model for it.
    """
    rows = [row for row, each in enumerate(said) if each.answer is not None for _ in each.answer.texts]
    texts = texts_of(said)
    finishes = [finish for each in said if each.answer is not None for finish in each.answer.finishes]
    checked = [
        Checked(text, said[row].prompt, originals[row] or "", finish)
        for text, row, finish in zip(texts, rows, finishes, strict=True)
    ]
    languages = detect(texts)
    columns: dict[str, Any] = {TEXT: pa.array(texts, pa.string()), FINISH: pa.array(finishes, pa.string())}
    columns |= _columns(check_captions(checked))
    columns[LANGUAGE] = pa.array([code for code, _ in languages], pa.string())
    columns[LANGUAGE_SCORE] = pa.array([score for _, score in languages], pa.float32())
    beside = samples.take(pa.array(rows, pa.int64()))
    captioner = plan.captioner
    if captioner.prompt == JUDGE:
        columns |= _columns(judgements(texts))
    if captioner.objects is not None:
        seen = beside[captioner.objects.detected].to_pylist()
        columns |= _columns(check_objects(texts, seen, Vocabulary(captioner.objects.vocabulary)))
    if similarities is not None:
        columns |= {name: pa.array(values, pa.float32()) for name, values in similarities.items()}
    wanted = {name: beside[name] for name in beside.column_names if name not in columns}
    table = pa.table({**columns, **wanted})
    ruled = judge(table, captioner.accept).to_pylist()
    reasons = [reason if text.strip() else "caption_empty" for text, reason in zip(texts, ruled, strict=True)]
    return Judged(pa.table(columns), np.asarray(rows, np.int64), reasons)


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {name: table[name] for name in table.column_names}


def texts_of(said: Sequence[Said]) -> list[str]:
    """All texts that were said, row after row."""
    return [text for each in said if each.answer is not None for text in each.answer.texts]


def sidecar_of(
    plan: Plan, said: Sequence[Said], judged: Judged, *, uids: pa.ChunkedArray, kept: npt.NDArray[np.bool_]
) -> pa.Table:
    """The captioner's table, with a row for each row of the image shard."""
    captioner, label = plan.captioner, plan.label
    similar = SIMILARITY in judged.texts.column_names
    schema = sidecar_schema(captioner, similar=similar)
    texts = judged.texts[TEXT].to_pylist()
    similarity = judged.texts[SIMILARITY].to_pylist() if similar else None
    facts = {name: judged.texts[name].to_pylist() for name in judged.texts.column_names if name not in (TEXT, FINISH)}
    said_at: list[list[int]] = [[] for _ in said]
    for place, row in enumerate(judged.rows.tolist()):
        said_at[row].append(place)
    accepted = judged.accepted(captioner.choose, len(said))
    columns: dict[str, list[Any]] = {name: [] for name in schema.names if name != "uid"}
    for each, places, mine in zip(said, accepted, said_at, strict=True):
        answer = each.answer
        shown = next(iter(places or mine), None)
        values: dict[str, Any] = {
            label: texts[places[0]] if places else None,
            f"{label}_captions": [texts[place] for place in places],
            f"{label}_similarities": [similarity[place] for place in places] if similarity is not None else None,
            f"{label}_reason": reason_of(each, [judged.reasons[place] for place in mine]),
            f"{label}_message": each.failed.message if each.failed is not None else None,
            f"{label}_said": [texts[place] for place in mine],
            f"{label}_said_reasons": [judged.reasons[place] for place in mine],
            f"{label}_finishes": list(answer.finishes) if answer is not None else None,
            f"{label}_model": plan.model_id,
            f"{label}_prompt": plan.prompt_id,
            f"{label}_digest": each.digest,
            f"{label}_tokens_in": answer.tokens_in if answer is not None else None,
            f"{label}_tokens_out": answer.tokens_out if answer is not None else None,
        }
        for name, told in facts.items():
            values[f"{label}_{name.removeprefix(_PREFIX)}"] = told[shown] if shown is not None else None
        for name, column in columns.items():
            column.append(values[name])
    spread = pa.array(np.cumsum(kept) - 1, pa.int64(), mask=~kept)
    arrays = [pa.array(columns[field.name], field.type).take(spread) for field in schema if field.name != "uid"]
    return pa.Table.from_arrays([uids.combine_chunks(), *arrays], schema=schema)


def reason_of(said: Said, reasons: Sequence[str | None]) -> str | None:
    """Why a row has no caption of a captioner; None where it has one. reasons: of its texts."""
    if said.failed is not None:
        return said.failed.reason
    return None if any(reason is None for reason in reasons) else next(iter(reasons), "caption_failed")


def reasons_counted(said: Sequence[Said], judged: Judged) -> Counter[str]:
    """Where the rows ended: KEPT with an accepted caption, else for their reason."""
    by_row: list[list[str | None]] = [[] for _ in said]
    for row, reason in zip(judged.rows.tolist(), judged.reasons, strict=True):
        by_row[row].append(reason)
    return Counter(reason_of(each, reasons) or KEPT for each, reasons in zip(said, by_row, strict=True))
