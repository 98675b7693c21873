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
# bases whose folder can be read off: no dot segments, empty segments or parameters in the path
_BASE = re.compile(r"(https?://[^/?#;\\\s\x00-\x20\[\]]+)((?:/[^/?#;.\s\x00-\x20][^/?#;\s\x00-\x20]*)*/?)(?:[?#]|$)")


class Joiner:
    """The links of one page. Raises nothing: a link that cannot be joined stays as it is, as in cc2dataset."""

    __slots__ = ("_base", "_parts", "_prefixes")

    def __init__(self, base: str) -> None:
        self._base = base
        self._parts = _BASE.match(base)
        self._prefixes: dict[str, str] = {}

    def join(self, link: str) -> str:
        return link if link.startswith(("http://", "https://")) else self.joined(link)

    def joined(self, link: str) -> str:
        """As join, of a link that is not absolute."""
        if self._parts is not None:
            plain = _PLAIN.fullmatch(link)
            if plain is not None:
                first, rest = plain.groups()
                return (self._prefixes.get(first) or self._prefix(first)) + rest
        return join_as_cc2dataset(self._base, link)

    def _prefix(self, first: str) -> str:
        """Where a reference's first part leads: the root, the base's folder, or one above it."""
        assert self._parts is not None
        origin, path = self._parts.groups()
        if first == "/":
            prefix = f"{origin}/"
        else:
            folders = path.split("/")[1:-1]
            up = first.count("../")
            folders = folders[: max(0, len(folders) - up)] if up else folders
            prefix = "/".join([origin, *folders, ""])
        self._prefixes[first] = prefix
        return prefix


def join_as_cc2dataset(base: str, link: str) -> str:
    """urljoin; a link that has no join stays as it is."""
    try:
        return urljoin(base, link)
    except ValueError:
        return link
