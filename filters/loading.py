"""Models in memory: each loaded once per process, shared by the threads that score, used by one at a time.

In: a scorer, the scorers whose embeddings it reads, a device. Out: its model and the lock to hold while it scores. A
scorer that differs in its label alone shares the model of its twin.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from filters.scorer import Scorer
from schemas.keys import fingerprint


@dataclass
class LoadedModel:
    """A scorer's model. Two threads that score at once would only take each other's processors."""

    model: Any = None
    is_loaded: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


_models: dict[str, LoadedModel] = {}
_models_lock = threading.Lock()


def load_model(scorer: Scorer, device: str, needed: Mapping[str, Scorer] | None = None) -> LoadedModel:
    """The model of a scorer, loaded by the first thread that asks for it."""
    beside = [(needed or {})[need.label] for need in scorer.needs]
    key = fingerprint(
        [{**scorer.configuration(), "label": scorer.name}, device, [one.configuration() for one in beside]]
    )
    with _models_lock:
        loaded = _models.setdefault(key, LoadedModel())
    with loaded.lock:
        if not loaded.is_loaded:
            loaded.model = scorer.load_beside({one.label: one for one in beside}, device)
            loaded.is_loaded = True
    return loaded
