"""URLs that name one resource, written one way.

In: an absolute URL. Out: its canonical form: scheme and host in lower case, no default port, no fragment, an empty
path as `/`, percent escapes in upper case and none where RFC 3986 (section 6.2.2)
allows the letter itself, no dot segments.
The query stays as it is: two of them are different resources until somebody says otherwise.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def canonical_url(url: str) -> str:
    """The canonical form; a URL that cannot be parsed stays as it is."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url
    if not parts.scheme or not parts.hostname:
        return url
    host = parts.hostname.rstrip(".")
    host = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme.lower()):
        host = f"{host}:{port}"
    path = _without_dots(_unescaped(parts.path)) or "/"
    return urlunsplit((parts.scheme.lower(), host, path, _unescaped(parts.query), ""))


def _unescaped(text: str) -> str:
    def settled(match: re.Match[str]) -> str:
        letter = chr(int(match.group(1), 16))
        return letter if letter in _UNRESERVED else match.group(0).upper()

    return _ESCAPE.sub(settled, text)


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept) if path else ""
