"""The key of an endpoint: where it is read from, and nowhere else.

In: the environment. Out: the header that bears it. It goes into no option, digest, table, message or child process,
and an answer that repeats it is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping

KEY_VARIABLE = "PAIRMILL_API_KEY"
SHORTEST = 8


def read_key(environment: Mapping[str, str]) -> str:
    """The key; empty without one."""
    return environment.get(KEY_VARIABLE, "").strip()


def authorization(key: str) -> dict[str, str]:
    """The header of a request that bears it."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def repeats(key: str, said: bytes) -> bool:
    """Whether an answer holds the key. Shorter ones, such as `EMPTY`, stand for none, and are words besides."""
    return len(key) >= SHORTEST and key.encode() in said


def without_key(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that has no use for the key."""
    return {name: value for name, value in environment.items() if name != KEY_VARIABLE}
