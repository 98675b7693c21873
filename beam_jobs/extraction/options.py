"""What extraction is asked for, over every kind of source. In: a recipe's section. Out: a frozen dataclass."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from schemas.extract import ExtractSection


@dataclass(frozen=True)
class ExtractOptions(ExtractSection):
    """The section, with what a recipe does not say.

    agent: our name in agent-scoped directives. fetch: a FetchOptions for listed page URLs.
    """

    agent: str = "pairmill"
    rows_per_batch: int = 8_192
    fetch: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rows_per_batch < 1:
            raise ValueError(f"extract: rows_per_batch is at least 1, got {self.rows_per_batch!r}")

    @staticmethod
    def of(section: ExtractSection, *, fetch: Any = None) -> ExtractOptions:
        return ExtractOptions(**asdict(section), fetch=fetch)

    def to_json(self) -> dict[str, Any]:
        """What decides the rows; how pages are fetched is no part of it."""
        value = asdict(self)
        del value["fetch"]
        return value
