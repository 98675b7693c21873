"""A language model as a judge of captions: what it is asked (CLAIR's prompt, arXiv:2310.12971), and what it answered.

In: captions to judge and texts to judge them by; then the judge's answer, which should be JSON with a score from 0 to
100 and a reason. Out: values for the prompt's placeholders; a score from 0 to 1 with the reason, or no score and what
is wrong with the answer. Columns of it are made for any captioner, and empty where no JSON is answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

PROMPT = "judge_clair"
COLUMNS: Mapping[str, pa.DataType] = {"caption_score": pa.float32(), "caption_score_reason": pa.string()}
_SCALE = 100
_MOST_REASON = 500
_SCORE = re.compile(r'"score"\s*:\s*"?\s*(-?\d+(?:\.\d+)?)')


@dataclass(frozen=True)
class Judgement:
    """score: 0 to 1, or None where the answer tells none; reason: the judge's, or what is wrong."""

    score: float | None
    reason: str


def judge_values(candidates: Sequence[str], references: Sequence[str]) -> dict[str, str]:
    """What fills the prompt: `- text` a line, as CLAIR writes captions."""
    return {"candidates": _listed(candidates), "references": _listed(references)}


def read_judgement(answer: str) -> Judgement:
    """The judgement of an answer. JSON may stand among other words; a score that is cut off or out of 0 to 100 is
    none."""
    for found in _objects(answer):
        if "score" not in found:
            continue
        score = _number(found["score"])
        if score is None:
            return Judgement(None, f"the score is no number from 0 to {_SCALE}: {_shown(found['score'])}")
        reason = found.get("reason")
        return Judgement(score, reason.strip()[:_MOST_REASON] if isinstance(reason, str) else "")
    # A reason that the token limit cut leaves no JSON, and a score all the same.
    cut = _SCORE.search(answer)
    if cut is not None and answer.lstrip().startswith("{"):
        score = _number(float(cut[1]))
        if score is not None:
            return Judgement(score, "")
    return Judgement(None, f"the answer holds no JSON with a score: {_shown(answer)}")


def judgements(answers: Sequence[str]) -> pa.Table:
    """One row of COLUMNS an answer; both null for one that does not begin as JSON does: a caption, not a judgement."""
    read = [read_judgement(answer) if "{" in answer else None for answer in answers]
    columns = {
        "caption_score": [each.score if each is not None else None for each in read],
        "caption_score_reason": [each.reason if each is not None else None for each in read],
    }
    return pa.table({name: pa.array(columns[name], kind) for name, kind in COLUMNS.items()})


def _objects(answer: str) -> list[Mapping[str, object]]:
    """The JSON objects that stand in a text, from its first brace on."""
    found: list[Mapping[str, object]] = []
    decoder = json.JSONDecoder()
    place = answer.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(answer, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(value, Mapping):
                found.append(value)
        place = answer.find("{", end)
    return found


def _number(given: object) -> float | None:
    """A share from a score of 0 to 100, which may be written as text."""
    if isinstance(given, str):
        try:
            given = float(given.strip().removesuffix("%"))
        except ValueError:
            return None
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given <= _SCALE:
        return None
    return given / _SCALE


def _shown(value: object) -> str:
    return repr(value)[:80]


def _listed(captions: Sequence[str]) -> str:
    return "\n".join(f"- {caption.strip()}" for caption in captions if caption.strip())
