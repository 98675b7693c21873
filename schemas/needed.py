"""Libraries that an extra brings: imported where they are used, refused in one line where they are absent.

In: a module's name, what installs it, what wants it. Out: the module, or a Refusal.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from schemas.refusal import Refusal


def require(module: str, *, install: str, wanted_by: str) -> ModuleType:
    """Imports a library that may be absent, or refuses with what to install (`pairmill[EXTRA]`, or its own name)."""
    refuse_absent(module, install=install, wanted_by=wanted_by)
    return importlib.import_module(module)


def refuse_absent(module: str, *, install: str, wanted_by: str) -> None:
    """Refuses where a library is not installed; imports nothing."""
    if importlib.util.find_spec(module) is None:
        raise Refusal(f"{wanted_by} needs {module!r}, which is not installed: pip install '{install}'")
