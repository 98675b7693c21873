"""Draws that depend on their seed alone: the same on every machine and in every version of Python.

In: parts that name the draw (a seed, a uid, an epoch ...). Out: numbers, choices and orders, from SHA-256 in counter
mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Draws:
    """A stream of draws."""

    def __init__(self, *parts: object) -> None:
        self._key = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
        self._count = 0

    def share(self) -> float:
        """A number from 0 to below 1, of 53 bits."""
        self._count += 1
        block = hashlib.sha256(self._key + self._count.to_bytes(8, "big")).digest()
        return (int.from_bytes(block[:8], "big") >> 11) / (1 << 53)

    def below(self, count: int) -> int:
        """A whole number from 0 to below `count`."""
        return int(self.share() * count)

    def choice(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """`count` different places' items, in a drawn order."""
        rest = list(items)
        for place in range(count):
            other = place + self.below(len(rest) - place)
            rest[place], rest[other] = rest[other], rest[place]
        return rest[:count]
