"""The most frequent of very many names, in bounded memory.

In: counts of names (hosts, formats, languages), batch by batch. Out: the highest counts, exact as long as there are
no more different names than the bound; beyond it each count may be too low by at most `short_by`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class TopCounter:
    """Counts names; keeps at most twice `bound` of them, the highest."""

    def __init__(self, bound: int = 100_000) -> None:
        self._bound = bound
        self._counts: Counter[str] = Counter()
        self.short_by = 0
        self.total = 0

    def add(self, counts: Mapping[str, int]) -> None:
        self._counts.update(counts)
        self.total += sum(counts.values())
        if len(self._counts) > 2 * self._bound:
            ranked = self._ranked()
            self.short_by += ranked[self._bound][1]
            self._counts = Counter(dict(ranked[: self._bound]))

    def _ranked(self) -> list[tuple[str, int]]:
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def __len__(self) -> int:
        return len(self._counts)

    def top(self, size: int) -> list[tuple[str, int]]:
        """The highest counts, ties by name."""
        return self._ranked()[:size]

    def rest(self, size: int) -> int:
        """What is counted and not in `top(size)`."""
        return self.total - sum(count for _, count in self.top(size))
