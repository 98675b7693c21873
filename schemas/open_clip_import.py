"""open_clip without transformers and timm, which it imports where they are installed although few models have use for
them.

In: which of them the model needs. Out: the module. open_clip's own import tries `import transformers` for text towers
of Hugging Face's and for CoCa's `generate`, and `import timm` for image towers of that name; both take about as long as
loading torch. So they are hidden from that one import, and what lacks one is imported again if a later model has need.
With it comes torchvision, without the compiler that that would bring.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from schemas.compiler_stand_in import compiler_left_out
from schemas.needed import refuse_absent

DISTRIBUTION = "open_clip_torch"
TRANSFORMERS, TIMM = "transformers", "timm"
# Those that do without it where it cannot be imported.
_WITHOUT = {TRANSFORMERS: ("open_clip.hf_model", "open_clip.coca_model"), TIMM: ("open_clip.timm_model",)}

_importing = threading.Lock()
_lacking: dict[str, list[str]] = {}


class _Hiding(MetaPathFinder):
    """Finds none of these for the thread that made it; other threads may import them meanwhile."""

    def __init__(self, hidden: Collection[str]) -> None:
        self._hidden = hidden
        self._thread = threading.get_ident()
        self.asked_for: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._hidden or threading.get_ident() != self._thread:
            return None
        self.asked_for.add(fullname)
        raise ModuleNotFoundError(f"{fullname} is hidden from the import of open_clip", name=fullname)


@contextmanager
def _hiding(names: Collection[str]) -> Iterator[_Hiding]:
    finder = _Hiding(names)
    sys.meta_path.insert(0, finder)
    try:
        yield finder
    finally:
        sys.meta_path.remove(finder)


def import_open_clip(*, wanted_by: str, needs: Collection[str] = ()) -> ModuleType:
    """The module; Refusal where it is not installed.

    needs: of TRANSFORMERS and TIMM, those that the model's towers are made of.
    """
    refuse_absent("open_clip", install=DISTRIBUTION, wanted_by=wanted_by)
    with _importing:
        with _hiding(_WITHOUT.keys() - set(needs)) as finder, compiler_left_out():
            open_clip = importlib.import_module("open_clip")
        _lacking.update({name: list(_WITHOUT[name]) for name in finder.asked_for})
        for name in needs:
            for module in _lacking.pop(name, []):
                # In the module's own namespace, which the functions and classes made before look into as well.
                importlib.reload(sys.modules[module])
        return open_clip
