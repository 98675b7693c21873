"""The `extract:` section of a recipe: which references of a page become pairs, and whose consent is asked for.

In: the section's keys. Out: one frozen dataclass; a wrong value raises ValueError with one line that says what was
expected, given and possible. Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Directives that reserve a page's images. The first group speaks of machine learning and binds every agent.
LEARNING_DIRECTIVES = ("noai", "noimageai", "noml", "tdm-reservation")
INDEX_DIRECTIVES = ("noindex", "noimageindex", "none")

ALL_REFERENCES = ("src", "srcset", "picture", "lazy", "noscript", "og")

_SWITCHES = ("honour_opt_out", "wat_without_alt")
_NUMBERS = ("context_characters", "max_page_bytes")


@dataclass(frozen=True)
class ExtractSection:
    """Options of `extract:`.

    honour_opt_out: rows of a page that reserves its images end as `opted_out`; the directives are kept either way.
    disallowed_directives: which words reserve them, of LEARNING_DIRECTIVES and INDEX_DIRECTIVES. references: which
    references of an element become rows, of ALL_REFERENCES. wat_without_alt: images of a WAT that have no alt-text
    become rows too, as those of pages do; else they are only counted, as cc2dataset has it. context_characters: of the
    text before and after an image. max_page_bytes: of a longer page only the beginning is read.
    """

    honour_opt_out: bool = True
    disallowed_directives: tuple[str, ...] = LEARNING_DIRECTIVES + INDEX_DIRECTIVES
    references: tuple[str, ...] = ALL_REFERENCES
    wat_without_alt: bool = False
    context_characters: int = 200
    max_page_bytes: int = 16_777_216

    def __post_init__(self) -> None:
        object.__setattr__(self, "disallowed_directives", tuple(self.disallowed_directives))
        object.__setattr__(self, "references", tuple(self.references))
        _check_words("references", self.references, ALL_REFERENCES)
        _check_words("disallowed_directives", self.disallowed_directives, LEARNING_DIRECTIVES + INDEX_DIRECTIVES)
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"extract: {name} is true or false, got {getattr(self, name)!r}")
        for name in _NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"extract: {name} is a whole number of at least 1, got {value!r}")


def _check_words(name: str, given: Iterable[object], known: tuple[str, ...]) -> None:
    unknown = [str(word) for word in given if word not in known]
    if unknown:
        raise ValueError(f"extract: unknown {name} {', '.join(unknown)}; known: {', '.join(known)}")
