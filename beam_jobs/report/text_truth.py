"""Scorers of texts against texts that were drawn with what is true of them: how right each one is.

In: how many texts to draw, and scorers as a recipe names them. Out: a Finder a rule, each over the texts of which it is
known whether it should find them. The texts are `beam_jobs.world.texts`', with lures among them; a blocklist of a
user's own is measured only where it lists what they hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.report.truth import Finder
from beam_jobs.world.texts import LISTED, LabelledText, labelled_texts
from filters.loading import load_model
from filters.registry import Entry, make_scorers
from filters.rules import where_true
from filters.scorer import Batch, Scorer
from schemas.recipe_steps import Rule
from schemas.recipe_text import Place

TEXTS = 2_000
ENTRIES: tuple[Entry, ...] = (
    "text_facts", "language", "script_facts", "contacts", "concreteness", {"blocklist": {"words": list(LISTED)}},
    "profanity", "parse_facts",
)  # fmt: skip


@dataclass(frozen=True)
class _Sought:
    """rule: an expression over the scorers' columns. marks: of a text that it should find, one of them.

    only_english: whether the rule speaks of texts in English alone.
    """

    rule: str
    seeks: str
    marks: frozenset[str]
    only_english: bool = False


def _sought(rule: str, seeks: str, *marks: str, only_english: bool = False) -> _Sought:
    return _Sought(rule, seeks, frozenset(marks), only_english)


_SOUGHT: Mapping[str, tuple[_Sought, ...]] = {
    "text_facts": (
        _sought("is_file_name", "file names", "file_name"),
        _sought("is_boilerplate", "boilerplate", "boilerplate"),
        _sought("has_url", "URLs", "url"),
        _sought("has_email", "e-mail addresses", "email"),
        _sought("has_phone", "telephone numbers", "phone"),
        _sought("character_repetition > 0.2", "the same again and again", "repeated"),
        _sought("word_repetition > 0.5", "the same again and again", "repeated"),
        _sought("phrase_repetition > 0.3", "the same again and again", "repeated"),
    ),
    "contacts": (
        _sought("url_count > 0", "URLs", "url"),
        _sought("email_count > 0", "e-mail addresses", "email"),
        _sought("phone_count > 0", "telephone numbers", "phone"),
        _sought("user_count > 0", "@names", "user"),
    ),
    "concreteness": (_sought("concreteness > 0.5", "something to be seen", "visible", only_english=True),),
    "blocklist": (_sought("blocklist_hits > 0", "listed words", "listed"),),
    "profanity": (_sought("profanity_hits > 0", "rude words", "rude"),),
    "parse_facts": (
        _sought("has_action", "something done", "action", only_english=True),
        _sought("complexity >= 1", "something said of a thing", "described", only_english=True),
    ),
}


def measure_texts(count: int = TEXTS, seed: int = 0, entries: Sequence[Entry] = ENTRIES) -> list[Finder]:
    """Draws texts and has the scorers tell of them. Raises Refusal where a scorer lacks what it needs."""
    texts = list(labelled_texts(count, seed))
    table = pa.table({"text": [each.text for each in texts]})
    found: list[Finder] = []
    for scorer in make_scorers(entries):
        scorer.check_files({})
        columns = _columns(scorer, table)
        found += _languages(columns, texts)
        for sought in _SOUGHT.get(scorer.name, ()):
            found.append(_finder(sought, columns, texts))
    return found


def text_entries(score: Sequence[Entry]) -> list[Entry]:
    """Those of a recipe's scorers that read nothing but the column `text`, and are measured here."""
    measured = {*_SOUGHT, "language", "script_facts"}
    named = [entry for entry in score if (entry if isinstance(entry, str) else next(iter(entry))) in measured]
    scorers = [(entry, scorer) for entry in named for scorer in make_scorers([entry])]
    return [entry for entry, scorer in scorers if scorer.inputs == ("text",) and scorer.label == scorer.name]


def _columns(scorer: Scorer, table: pa.Table) -> pa.Table:
    return scorer.score(Batch(table), load_model(scorer, "cpu").model).columns


def _finder(sought: _Sought, columns: pa.Table, texts: Sequence[LabelledText]) -> Finder:
    [chosen] = where_true(columns, [Rule("drop", sought.rule, "found", Place("truth"))])
    asked = np.array([not sought.only_english or each.language == "en" for each in texts])
    is_one = np.array([bool(sought.marks & each.marks) for each in texts]) & asked
    chosen = chosen & asked
    return Finder(sought.rule, sought.seeks, int(chosen.sum()), int((chosen & is_one).sum()), int(is_one.sum()))


def _languages(columns: pa.Table, texts: Sequence[LabelledText]) -> list[Finder]:
    """Of the texts in a language: whether English is told from the rest, and every language by its name."""
    asked = [row for row, each in enumerate(texts) if each.language]
    truth = [texts[row].language for row in asked]
    finders = []
    if "language" in columns.column_names:
        told = [columns["language"][row].as_py() for row in asked]
        finders += [
            _counted("language = 'en'", "English", [one == "en" for one in told], [one == "en" for one in truth]),
            _counted(
                "language <> 'en'", "other languages", [one != "en" for one in told], [one != "en" for one in truth]
            ),
            Finder("language", "the right language", len(told), sum(map(str.__eq__, told, truth)), len(truth)),
        ]
    if "script" in columns.column_names:
        told = [columns["script"][row].as_py() for row in asked]
        other = [one in ("ru", "uk", "el", "ar", "hi", "ja", "zh", "ko", "th") for one in truth]
        finders.append(_counted("script <> 'Latn'", "other scripts", [one != "Latn" for one in told], other))
    return finders


def _counted(name: str, seeks: str, chosen: Sequence[bool], is_one: Sequence[bool]) -> Finder:
    right = sum(one and each for one, each in zip(chosen, is_one, strict=True))
    return Finder(name, seeks, sum(chosen), right, sum(is_one))
