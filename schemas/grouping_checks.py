"""Checks that the options of several groupers share.

In: an option's name and value. Out: nothing, or a ValueError that says what was expected and what was given.
"""

from __future__ import annotations

import re
from typing import Any

NAMED_PREFERENCES = ("most_pixels", "longest_text")
MOST_HAMMING = 31

_LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREFERENCE = re.compile(r"-?[A-Za-z_][A-Za-z0-9_]*")


def check_keep(keep: tuple[str, ...]) -> None:
    """Names of preferences or columns, each once."""
    for preference in keep:
        if not isinstance(preference, str) or not _PREFERENCE.fullmatch(preference):
            raise ValueError(
                f"keep: expected one of {', '.join(NAMED_PREFERENCES)}, or a column with `-` before it for highest "
                f"first; given {preference!r}"
            )
    if len(set(keep)) != len(keep):
        raise ValueError(f"keep: a preference stands twice in {list(keep)}")


def check_label(label: str) -> None:
    """What a sidecar's folder and columns may be called."""
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise ValueError(f"label: expected lower-case words joined by `_`, at most 32 letters; given {label!r}")


def check_whole(name: str, value: Any, *, most: int | None = None) -> None:
    """A whole number from 0, to `most` where that is given."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (most is not None and value > most):
        limit = "at least 0" if most is None else f"0 to {most}"
        raise ValueError(f"{name}: expected a whole number of {limit}; given {value!r}")


def check_share(name: str, value: Any, what: str) -> None:
    """A number from 0.5 to below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.5 <= value < 1:
        raise ValueError(f"{name}: expected a {what} from 0.5 to below 1; given {value!r}")


def check_column(name: str, value: Any) -> None:
    """The name of a column."""
    if not isinstance(value, str) or not _COLUMN.fullmatch(value):
        raise ValueError(f"{name}: expected the name of a column; given {value!r}")
