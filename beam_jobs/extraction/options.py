"""What extraction is asked for, over every kind of source. In: nothing. Out: a frozen, JSON-friendly dataclass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

# Directives that reserve a page's images. The first group speaks of machine learning and binds every agent.
LEARNING_DIRECTIVES = ("noai", "noimageai", "noml", "tdm-reservation")
INDEX_DIRECTIVES = ("noindex", "noimageindex", "none")

ALL_REFERENCES = ("src", "srcset", "picture", "lazy", "noscript", "og")


@dataclass(frozen=True)
class ExtractOptions:
    """Options of extraction.

    honour_opt_out: rows of a page that reserves its images end as `opted_out`; the directives are kept either way.
    agent: our name in agent-scoped directives. references: which references of an element become rows, of
    ALL_REFERENCES. wat_without_alt: images of a WAT that have no alt-text become rows too, as those of pages do; else
    they are only counted, as cc2dataset has it. max_page_bytes: of a longer page only the beginning is read.
    fetch: a FetchOptions for listed page URLs.
    """

    honour_opt_out: bool = True
    disallowed_directives: tuple[str, ...] = LEARNING_DIRECTIVES + INDEX_DIRECTIVES
    agent: str = "pairmill"
    references: tuple[str, ...] = ALL_REFERENCES
    wat_without_alt: bool = False
    context_characters: int = 200
    max_page_bytes: int = 16_777_216
    rows_per_batch: int = 8_192
    fetch: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "disallowed_directives", tuple(self.disallowed_directives))
        object.__setattr__(self, "references", tuple(self.references))
        _check_words("references", self.references, ALL_REFERENCES)
        _check_words("disallowed_directives", self.disallowed_directives, LEARNING_DIRECTIVES + INDEX_DIRECTIVES)
        for name in ("context_characters", "max_page_bytes", "rows_per_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"extract: {name} is at least 1, got {getattr(self, name)!r}")

    def to_json(self) -> dict[str, Any]:
        """What decides the rows; how pages are fetched is no part of it."""
        value = asdict(self)
        del value["fetch"]
        return value


def _check_words(name: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    unknown = [word for word in given if word not in known]
    if unknown:
        raise ValueError(f"extract: unknown {name} {', '.join(unknown)}; known: {', '.join(known)}")
