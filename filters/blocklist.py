"""Scorers that look for listed words in texts: a user's own lists, and profanity.

In: a column of texts. Out: how many entries of the list each text holds, and the first of them. What to do about it is
a rule's business: `drop: blocklist_hits > 0`. Lists of URLs, domains and uids are steps of a selection instead.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.scorer import Batch, Column, Scorer, Scores, option, refuse_absent
from filters.word_lists import WordList, make_word_list, read_entries
from schemas.refusal import Refusal, unknown

_EXTRA = "pairmill[text]"
_PROFANITY = "glin_profanity"
# ISO 639-1 codes by the names of the dictionaries that the package ships.
_LANGUAGES = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "en": "english", "eo": "esperanto", "es": "spanish",
    "fa": "persian", "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian", "it": "italian",
    "ja": "japanese", "ko": "korean", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish", "zh": "chinese",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Listed(Scorer):
    """What both have in common."""

    text: str = option("text", "the column of texts")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(self.column(f"{self.name}_hits"), pa.int32(), "how many entries of the list stand in the text"),
            Column(self.column(f"{self.name}_entry"), pa.string(), "the first of them, null where there is none"),
        )

    @property
    def rows_per_batch(self) -> int:
        return 4096

    def check(self) -> None:
        if not self.text:
            raise Refusal(f"scorer {self.name!r}: `text` must name a column of texts; given ''")

    def score(self, batch: Batch, model: WordList) -> Scores:
        return Scores(pa.table(list(model.find(batch.table[self.text])), schema=self.schema))


@dataclass(frozen=True, kw_only=True)
class Blocklist(_Listed):
    """How many words and phrases of the user's own lists the text holds, as whole words, case ignored.

    A file has an entry a line, `#` before a comment. Several lists are several scorers, told apart with `as`.
    """

    name: ClassVar[str] = "blocklist"
    version: ClassVar[int] = 1
    source: ClassVar[str] = "whole words, as RedCaps' block list (Desai et al., 2021)"
    example: ClassVar[Mapping[str, Any]] = {"words": ("lorem ipsum",)}

    files: tuple[str, ...] = option((), "paths or URLs of lists, an entry a line")
    words: tuple[str, ...] = option((), "entries beside those of the files")

    def check(self) -> None:
        super().check()
        if not self.files and not self.words:
            raise Refusal("scorer 'blocklist': give `files`, paths of lists with an entry a line, or `words`")
        if self.words and not any(make_word_list([word]) != make_word_list([]) for word in self.words):
            raise Refusal(f"scorer 'blocklist': `words` holds no letter or digit: {list(self.words)}")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        self._read()

    def configuration(self) -> dict[str, Any]:
        """The files' contents stand in it, not their paths: another list gives other values."""
        whole = super().configuration()
        whole["options"] = {**whole["options"], "files": [f"sha256:{digest}" for _, digest in self._read()]}
        return whole

    def _read(self) -> list[tuple[list[str], str]]:
        return [read_entries(file, wanted_by="scorer 'blocklist'") for file in self.files]

    def load(self, device: str = "auto") -> WordList:
        return make_word_list([*self.words, *(entry for entries, _ in self._read() for entry in entries)])


@dataclass(frozen=True, kw_only=True)
class Profanity(_Listed):
    """How many words of a list of profanity the text holds, per language.

    A word says nothing of its use: medicine, art and place names are hit too. A word that is harmless in one
    language is on another's list, so only those of the languages named are looked for.
    """

    name: ClassVar[str] = "profanity"
    version: ClassVar[int] = 1
    source: ClassVar[str] = (
        "the dictionaries of the package glin-profanity (MIT), which go back to LDNOOBW, the list that RedCaps used; "
        "read as data, none of its code runs"
    )

    languages: tuple[str, ...] = option(("en",), f"whose words to look for: {', '.join(sorted(_LANGUAGES))}")

    def check(self) -> None:
        super().check()
        if not self.languages:
            raise Refusal("scorer 'profanity': `languages` must name at least one; given []")
        for code in self.languages:
            if code not in _LANGUAGES:
                raise unknown("language", code, _LANGUAGES, where="scorer 'profanity'")

    def check_files(self, needed: Mapping[str, Scorer]) -> None:
        refuse_absent(_PROFANITY, install=_EXTRA, wanted_by="scorer 'profanity'")
        self._read()

    def configuration(self) -> dict[str, Any]:
        """The words stand in it, as a digest: another version of the package may have others."""
        whole = super().configuration()
        digest = hashlib.sha256(json.dumps(self._read()).encode()).hexdigest()
        whole["options"] = {**whole["options"], "words": f"sha256:{digest}"}
        return whole

    def _read(self) -> list[str]:
        refuse_absent(_PROFANITY, install=_EXTRA, wanted_by="scorer 'profanity'")
        spec = importlib.util.find_spec(_PROFANITY)
        assert spec is not None and spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0]) / "data" / "dictionaries"
        words: list[str] = []
        for code in sorted(set(self.languages)):
            file = folder / f"{_LANGUAGES[code]}.json"
            try:
                words += json.loads(file.read_text(encoding="utf-8"))["words"]
            except (OSError, ValueError, KeyError) as error:
                raise Refusal(f"scorer 'profanity': {file} is no dictionary of 'glin-profanity': {error}") from error
        return words

    def load(self, device: str = "auto") -> WordList:
        return make_word_list(self._read())
