"""robots.txt as RFC 9309 has it: the group that binds us, and whether a path is allowed.

In: the file's bytes, and paths as URLs write them. Out: Rules; `allows(path)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

READ_AT_MOST = 512_000
_LINE = re.compile(r"^\s*([A-Za-z-]+)\s*:\s*(.*?)\s*$")
_TOKEN = re.compile(r"[A-Za-z_-]+")
_TO_SPELL = re.compile(r"%[0-9A-Fa-f]{2}|[*$]|[^\x00-\x7f]")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True)
class Rule:
    """One allow or disallow line: literal pieces between its `*`, and whether `$` ends it."""

    allowed: bool
    pieces: tuple[str, ...]
    anchored: bool
    length: int

    def matches(self, path: str) -> bool:
        """Whether a path in normal spelling begins as the pattern says; linear in its length."""
        first, *middle = self.pieces
        if not path.startswith(first):
            return False
        if not middle:
            return not self.anchored or path == first
        position, last = len(first), middle.pop()
        for piece in middle:
            position = path.find(piece, position)
            if position < 0:
                return False
            position += len(piece)
        if self.anchored:
            return path.endswith(last) and len(path) - len(last) >= position
        return path.find(last, position) >= 0


@dataclass(frozen=True)
class Rules:
    """The lines that bind us; none allows everything."""

    lines: tuple[Rule, ...] = ()

    def allows(self, path: str) -> bool:
        """Whether a path with its query may be fetched: the longest matching line decides, allow wins a tie."""
        if not self.lines or path == "/robots.txt":
            return True
        path = normal_path(path)
        best: tuple[int, bool] = (-1, True)
        for rule in self.lines:
            if (rule.length, rule.allowed) > best and rule.matches(path):
                best = (rule.length, rule.allowed)
        return best[1]


ALLOW_ALL = Rules()


def path_rule(allowed: bool, pattern: str) -> Rule:
    """A pattern of paths, as robots.txt writes them."""
    anchored = pattern.endswith("$")
    pieces = tuple(normal_path(piece) for piece in re.split(r"\*+", pattern[:-1] if anchored else pattern))
    return Rule(allowed, pieces, anchored, len(pattern.encode()))


def normal_path(path: str) -> str:
    """One spelling: unreserved octets bare; other encoded octets, `*`, `$` and non-ASCII as %XX."""
    return _TO_SPELL.sub(_spell, path)


def _spell(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) == 3:
        octet = int(text[1:], 16)
        return chr(octet) if octet in _UNRESERVED else text.upper()
    return "".join(f"%{octet:02X}" for octet in text.encode("utf-8", "replace"))


def parse_robots(data: bytes, agent: str) -> Rules:
    """The rules for `agent` (a product token): all groups that name it, else all groups for `*`."""
    text = data[:READ_AT_MOST].removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    groups: dict[str, list[Rule]] = {}
    names: list[str] = []
    in_rules = True
    for line in re.split(r"\r\n|\r|\n", text):
        found = _LINE.match(line.split("#", 1)[0])
        if found is None:
            continue
        key, value = found[1].lower(), found[2]
        if key == "user-agent":
            if in_rules:
                names, in_rules = [], False
            token = _TOKEN.match(value)
            name = "*" if value.startswith("*") else (token[0].lower() if token else "")
            names.append(name)
            groups.setdefault(name, [])
        elif key in ("allow", "disallow"):
            in_rules = True
            if value:
                for name in names:
                    groups[name].append(path_rule(key == "allow", value))
    binding = groups.get(agent.lower(), groups.get("*", []))
    return Rules(tuple(binding))
