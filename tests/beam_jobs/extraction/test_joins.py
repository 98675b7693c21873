"""The fast join is urljoin: the same answer for every reference on every base."""

from __future__ import annotations

import itertools
import random
from urllib.parse import urljoin

import pytest

from beam_jobs.extraction.joins import Joiner

BASES = [
    "http://h.test",
    "http://h.test/",
    "https://user@h.test:8080/a/b/c.html?q=1/2#f/g",
    "http://h.test/a//b/./c/../d",
    "http://h.test/a;p/b;q?x",
    "http://h.test?q=/x/y",
    "HTTP://H.test/a/b",
    "http:///a/b",
    "ftp://h.test/a/b",
    "/a/b",
    "",
    "about:blank",
    "http://[::1/x",
    "http://h.test/ä/ b/c",
]
PIECES = [
    "/",
    "//",
    "..",
    ".",
    "a",
    "b.png",
    "?",
    "#",
    ";",
    ":",
    "&",
    "=",
    " ",
    "\t",
    "\n",
    "é",
    "%20",
    "http:",
    "x y",
    "[",
    "\\",
]


def expected(base: str, link: str) -> str:
    """As cc2dataset joins."""
    if link.startswith(("http://", "https://")):
        return link
    try:
        return urljoin(base, link)
    except ValueError:
        return link


@pytest.mark.parametrize("base", BASES)
def test_short_references(base: str) -> None:
    joiner = Joiner(base)
    for length in range(3):
        for pieces in itertools.product(PIECES, repeat=length):
            link = "".join(pieces)
            assert joiner.join(link) == expected(base, link), link


@pytest.mark.parametrize("base", BASES)
def test_long_references(base: str) -> None:
    joiner = Joiner(base)
    chosen = random.Random(1)
    for _ in range(1_500):
        link = "".join(chosen.choices(PIECES, k=chosen.randrange(4, 12)))
        assert joiner.join(link) == expected(base, link), link
