"""Links of a WAT as absolute URLs, exactly as cc2dataset writes them: `urllib.parse.urljoin`, but fast.

In: a page's base and a link. Out: the joined URL. uid = md5(alt + URL), so another spelling is another identity; who
fetches the URL parses it as a browser does.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin

# References that urljoin only appends to what their first part leads to: no dot segments behind it, no empty
# segments, parameters, schemes, fragments, spaces or controls.
_PLAIN = re.compile(
    r"(/|(?:\.\.?/)*)"
    r"([^\s:;?#./\x00-\x20][^\s:;?#/\x00-\x20]*(?:/[^\s:;?#./\x00-\x20][^\s:;?#/\x00-\x20]*)*/?(?:\?[^\s:;?#/\x00-\x20]+)?)"
)
_PROBE = "x"


class Joiner:
    """The links of one page. Raises nothing: a link that cannot be joined stays as it is, as in cc2dataset."""

    __slots__ = ("_base", "_plain", "_prefixes")

    def __init__(self, base: str) -> None:
        self._base = base
        self._plain = base.startswith(("http://", "https://"))
        self._prefixes: dict[str, str | None] = {}

    def join(self, link: str) -> str:
        if link.startswith(("http://", "https://")):
            return link
        parts = _PLAIN.fullmatch(link) if self._plain else None
        if parts is not None:
            first, rest = parts.groups()
            if first not in self._prefixes:
                self._prefixes[first] = self._prefix(first)
            prefix = self._prefixes[first]
            if prefix is not None:
                return prefix + rest
        return join_as_cc2dataset(self._base, link)

    def _prefix(self, first: str) -> str | None:
        """What urljoin puts in place of a reference's first part; None where it does more than that."""
        joined = join_as_cc2dataset(self._base, first + _PROBE)
        return joined[: -len(_PROBE)] if joined.endswith("/" + _PROBE) else None


def join_as_cc2dataset(base: str, link: str) -> str:
    """urljoin; a link that has no join stays as it is."""
    try:
        return urljoin(base, link)
    except ValueError:
        return link
