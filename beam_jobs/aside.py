"""Scores of an older version of a scorer: set aside when a newer one makes its columns, and found again.

In: a run folder, and products of its lineage that another version made. Out: its sidecars, embeddings and
ledger under `<label>@<version>-<fingerprint>`, beside what is made anew under the label. Nothing is lost: going back to
the older version moves them back.
"""

from __future__ import annotations

from collections.abc import Iterable

from beam_jobs.lineage import Product
from beam_jobs.storage.files import list_folders, move_tree
from beam_jobs.storage.ledger import Ledger, Manifest
from beam_jobs.storage.run_folder import RunFolder

_FINGERPRINT_DIGITS = 8


def set_aside(folder: RunFolder, products: Iterable[Product]) -> None:
    """Moves the scores that are there for these products aside, and back in place what was once made for them."""
    for product in products:
        label = product.ledger.partition("/")[2]
        manifest = Ledger(folder.ledger(product.ledger)).read_manifest()
        if manifest is not None and manifest.fingerprint != product.fingerprint:
            _move(folder, label, _aside(manifest, label))
        for name in list_folders(folder.ledger(product.stage)):
            found = Ledger(folder.ledger(f"{product.stage}/{name}")).read_manifest() if "@" in name else None
            if found is not None and found.fingerprint == product.fingerprint:
                _move(folder, name, label)


def _aside(manifest: Manifest, label: str) -> str:
    return f"{label}@{manifest.configuration['section']['version']}-{manifest.fingerprint[:_FINGERPRINT_DIGITS]}"


def _move(folder: RunFolder, label: str, to: str) -> None:
    """The ledger last: killed in between, the next launch goes on where this one stopped."""
    move_tree(folder.score_folder(label), folder.score_folder(to))
    move_tree(folder.embeddings(label), folder.embeddings(to))
    move_tree(folder.ledger(f"score/{label}"), folder.ledger(f"score/{to}"))
