"""The key of an endpoint: where it is read from, and nowhere else.

In: the environment. Out: the header that bears it. It goes into no option, digest, table, message or child process.
"""

from __future__ import annotations

from collections.abc import Mapping

KEY_VARIABLE = "PAIRMILL_API_KEY"


def authorization(environment: Mapping[str, str]) -> dict[str, str]:
    """The header of a request; none without a key."""
    key = environment.get(KEY_VARIABLE, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def without_key(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that has no use for the key."""
    return {name: value for name, value in environment.items() if name != KEY_VARIABLE}
