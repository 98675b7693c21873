"""Facts about a caption that tell a good one from a refusal, an echo, a loop or a torso; nothing is dropped here.

In: captions with their prompts, originals and how the model ended. Out: columns, one value a caption, that the rules
of a recipe read. Each is a plain function of texts.

    caption_is_refusal   the model declines or speaks of itself
    caption_echo_of_...  share of the caption's words that repeat the prompt, or the original, in runs of four or more
    caption_repetition   share of its words that lie in word runs said at least three times
    caption_is_cut       the token limit ended it
    caption_words        its words
    caption_characters   its characters
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

COLUMNS: Mapping[str, pa.DataType] = {
    "caption_is_refusal": pa.bool_(),
    "caption_echo_of_prompt": pa.float32(),
    "caption_echo_of_original": pa.float32(),
    "caption_repetition": pa.float32(),
    "caption_is_cut": pa.bool_(),
    "caption_words": pa.int32(),
    "caption_characters": pa.int32(),
}

# How refusals begin, or what only they say. Written from what models say; a caption of a picture does not.
_REFUSAL = re.compile(
    r"""
      \b(?:i['’]?m|i\s+am)\s+(?:sorry|unable|not\s+able|afraid)\b
    | ^\s*(?:sorry|unfortunately)\b[,.!]?
    | \bi\s+(?:can['’]?t|cannot|can\s+not|won['’]?t|could\s?n['’]?t|do\s+not|don['’]?t)\s+
        (?:see|view|assist|help|describe|provide|identify|comply|fulfill|process|access|generate|create|write)\b
    | \bas\s+an?\s+(?:ai|artificial|large\s+language|language)\b
    | \b(?:there\s+is\s+)?no\s+image\s+(?:was|is|has\s+been)?\s*(?:provided|attached|given|visible|uploaded)\b
    | \bplease\s+(?:provide|upload|share|attach)\s+(?:the|an|a|your)?\s*(?:image|picture|photo)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_WORDS = re.compile(r"\w+(?:['’]\w+)*")
ECHO_RUN = 4
LOOP_WORDS = 3
LOOP_TIMES = 3


@dataclass(frozen=True)
class Said:
    """A caption as a model gave it: to which prompt, of which original text, and how it ended."""

    caption: str
    prompt: str
    original: str
    finish: str


def check_captions(said: Sequence[Said]) -> pa.Table:
    """One row of COLUMNS per caption."""
    rows = [_facts(each) for each in said]
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()})


def is_refusal(caption: str) -> bool:
    """Whether the model declined, or said that it sees no image."""
    return _REFUSAL.search(caption) is not None


def echo(caption: str, of: str) -> float:
    """The share of the caption's words in runs of ECHO_RUN or more that stand so in another text; 0 to 1.

    A caption or another text of fewer words is an echo only as a whole.
    """
    said, given = _lower(caption), _lower(of)
    if not said or not given:
        return 0.0
    length = min(ECHO_RUN, len(said), len(given))
    if length < ECHO_RUN:
        return 1.0 if said == given else 0.0
    runs = {tuple(given[place : place + length]) for place in range(len(given) - length + 1)}
    covered = [False] * len(said)
    for place in range(len(said) - length + 1):
        if tuple(said[place : place + length]) in runs:
            covered[place : place + length] = [True] * length
    return sum(covered) / len(said)


def repetition(caption: str) -> float:
    """The share of words in runs of LOOP_WORDS that are said LOOP_TIMES or more, or in one word said so without a
    break; 0 to 1."""
    said = _lower(caption)
    covered = [False] * len(said)
    runs = [tuple(said[place : place + LOOP_WORDS]) for place in range(len(said) - LOOP_WORDS + 1)]
    times = Counter(runs)
    for place, run in enumerate(runs):
        if times[run] >= LOOP_TIMES:
            covered[place : place + LOOP_WORDS] = [True] * LOOP_WORDS
    first = 0
    for place, (word, following) in enumerate(pairwise([*said, ""]), start=1):
        if word != following:
            if place - first >= LOOP_TIMES:
                covered[first:place] = [True] * (place - first)
            first = place
    return sum(covered) / len(said) if said else 0.0


def _facts(said: Said) -> dict[str, bool | float | int]:
    return {
        "caption_is_refusal": is_refusal(said.caption),
        "caption_echo_of_prompt": echo(said.caption, said.prompt),
        "caption_echo_of_original": echo(said.caption, said.original),
        "caption_repetition": repetition(said.caption),
        "caption_is_cut": said.finish == "length",
        "caption_words": len(_WORDS.findall(said.caption)),
        "caption_characters": len(said.caption),
    }


def _lower(text: str) -> list[str]:
    return _WORDS.findall(text.lower())
