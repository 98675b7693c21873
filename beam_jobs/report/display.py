"""Values as people read them: numbers, shares, sizes, times, and texts of the web made harmless to look at.

In: numbers and strings. Out: plain strings, not escaped: the template and the chart builder escape everything.
"""

from __future__ import annotations

import math
import re
import unicodedata
from urllib.parse import urlsplit

ABSENT = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_SHOWN_CHARACTERS = 240
_MARKS_IN_A_ROW = 4
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
# Embeddings, overrides, isolates and single marks of direction: they reorder what stands around them.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_HOST = re.compile(r"[^\s/?#@\\]+")


def number(value: float) -> str:
    """12345 -> `12,345`."""
    return f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent; what is not nothing is never shown as 0, what is not all never as 100."""
    if whole <= 0:
        return ABSENT
    per_cent = 100 * part / whole
    if 0 < per_cent < 0.1:
        return "<0.1%"
    if 99.9 < per_cent < 100:
        return ">99.9%"
    return f"{per_cent:.0f}%" if per_cent in (0, 100) else f"{per_cent:.1f}%"


def measure(value: float, digits: int = 4) -> str:
    """A measurement with so many significant digits at most, without exponents where they can be spared."""
    if not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7:
        return compact(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 1e-4:
        return f"{value:.2g}".replace("-", _MINUS, 1) if value < 0 else f"{value:.2g}"
    text = f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", _MINUS, 1)


def compact(value: float) -> str:
    """For axes: 12500 -> `12.5k`."""
    size = abs(value)
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            unit = 1e3 if suffix == "k" else limit
            return f"{value / unit:.3g}{suffix}".replace("-", _MINUS, 1)
    return measure(value)


def file_size(size: float) -> str:
    """1536 -> `1.5 kB`, by thousands."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def duration(seconds: float) -> str:
    """4000 -> `1 h 7 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        whole = int(seconds)
        return f"{whole // 60} min {whole % 60} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number(count)} {noun if count == 1 else many or noun + 's'}"


def words(name: str) -> str:
    """A reason as words: `clip_below_threshold` -> `clip below threshold`."""
    return name.replace("_", " ")


def tidy(text: str | None, limit: int = _SHOWN_CHARACTERS) -> str:
    """A text of the web on one line, cut to `limit` characters with its full length said.

    Controls and marks of direction become U+FFFD, white space one blank, and piles of combining marks are cut.
    """
    if not text:
        return ""
    shown: list[str] = []
    marks = 0
    for character in text[: limit * 4]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS_IN_A_ROW:
            continue
        if character.isspace() or category in ("Zl", "Zp"):
            if shown and shown[-1] != " ":
                shown.append(" ")
        elif category in ("Cc", "Cs", "Co", "Cn") or character in _DIRECTIONS:
            shown.append("\ufffd")
        else:
            shown.append(character)
    tidied = "".join(shown).strip()
    if len(tidied) <= limit and len(text) <= limit * 4:
        return tidied
    return f"{tidied[:limit].rstrip()}… ({number(len(text))} characters)"


def host_of(url: str | None) -> str:
    """The host of a URL in lower case, without user and port; empty where there is none."""
    try:
        name = urlsplit(url or "").hostname or ""
    except ValueError:
        return ""
    return name if _HOST.fullmatch(name) else ""
