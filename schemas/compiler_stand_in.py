"""A stand-in for torch's compiler while a library is imported that only takes a function of it.

In: nothing. Out: a context. torchvision takes `is_compile_supported` of `torch._dynamo.utils` as it is imported, for
one operator that has a compiled form; with it comes a compiler that takes longer to import than all the rest together.
Within the context the stand-in is found in its place; whatever is asked of it but that function brings the real one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER, _TAKEN_OF = "torch._dynamo", "torch._dynamo.utils"


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        # `inspect` asks every module where it lies, and `from` whether it is a package.
        if name.startswith("__") and (self.__name__, name) != (_COMPILER, "__path__"):
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


def _is_compile_supported(device_type: str) -> bool:
    return bool(_real(_TAKEN_OF).is_compile_supported(device_type))


def _real(name: str) -> ModuleType:
    _remove()
    return importlib.import_module(name)


def _remove() -> None:
    for name in (_COMPILER, _TAKEN_OF):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


@contextmanager
def compiler_left_out() -> Iterator[None]:
    """Within it, torchvision is imported without torch's compiler; afterwards, that is imported as ever."""
    importlib.import_module("torch")
    if _COMPILER not in sys.modules:
        taken_of = _StandIn(_TAKEN_OF)
        vars(taken_of)["is_compile_supported"] = _is_compile_supported
        sys.modules.update({_COMPILER: _StandIn(_COMPILER), _TAKEN_OF: taken_of})
    try:
        yield
    finally:
        _remove()
