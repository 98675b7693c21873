"""open_clip without transformers, which it imports where it is installed although few of its models have use for it.

In: whether the model needs transformers. Out: the module. open_clip's own import tries `import transformers` for text
towers of Hugging Face's and for CoCa's `generate`, which takes as long as loading torch; tokenizers import it when
they are made. So it is hidden from that one import, and what lacks it is imported again if a later model has need.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from schemas.needed import refuse_absent

DISTRIBUTION = "open_clip_torch"
_HIDDEN = "transformers"
# Those that do without it where it cannot be imported.
_WITHOUT = ("open_clip.hf_model", "open_clip.coca_model")

_importing = threading.Lock()
_lacking: list[str] = []


class _Hiding(MetaPathFinder):
    """Finds no transformers for the thread that made it; other threads may import it meanwhile."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self.was_asked = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _HIDDEN or threading.get_ident() != self._thread:
            return None
        self.was_asked = True
        raise ModuleNotFoundError(f"{_HIDDEN} is hidden from the import of open_clip", name=_HIDDEN)


@contextmanager
def _hidden() -> Iterator[_Hiding]:
    finder = _Hiding()
    sys.meta_path.insert(0, finder)
    try:
        yield finder
    finally:
        sys.meta_path.remove(finder)


def import_open_clip(*, wanted_by: str, with_transformers: bool = False) -> ModuleType:
    """The module; Refusal where it is not installed.

    with_transformers: for a text tower of Hugging Face's, and for the `generate` of open_clip's CoCa.
    """
    refuse_absent("open_clip", install=DISTRIBUTION, wanted_by=wanted_by)
    with _importing:
        if with_transformers:
            open_clip = importlib.import_module("open_clip")
            while _lacking:
                # In the module's own namespace, which the functions and classes made before look into as well.
                importlib.reload(sys.modules[_lacking.pop()])
            return open_clip
        with _hidden() as finder:
            open_clip = importlib.import_module("open_clip")
        if finder.was_asked:
            _lacking.extend(_WITHOUT)
        return open_clip
