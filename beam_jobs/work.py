"""A run and the work of its stages: what the flow is written in.

In: what a launch decided. Out: Run, which knows its folder's ledgers, and Work, all that one stage makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from beam_jobs.accounting import Ticket
from beam_jobs.extraction.splits import Split
from beam_jobs.fetching.blocklist import Blocklist
from beam_jobs.known.index import KnownIndex
from beam_jobs.lineage import Lineage, Product
from beam_jobs.recaptioning.launching import Captioning
from beam_jobs.storage.ledger import Ledger, Marker
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tombstones import requests_digest
from schemas.recipe import Recipe

Expand = Callable[[beam.Pipeline, Sequence[Ticket]], None]


class NotReady(Exception):
    """A stage was asked for before the one that it stands on was done; the message names both."""


@dataclass(frozen=True)
class Run:
    """What a launch decides: a recipe over splits of sources, in a folder.

    resolve, contact, limits: how pages and images are fetched. truth: the embedded world's, for the report. known: the
    indexes that groupers hold images against, by their label. blocklist: hashes of images that are not stored.
    captioning: the recipe's captioners, ready to be asked. answers: where their answers are kept.
    """

    recipe: Recipe
    folder: RunFolder
    splits: tuple[Split, ...]
    lineage: Lineage
    resolve: tuple[str, ...] = ()
    contact: str | None = None
    truth: str | None = None
    known: Mapping[str, tuple[KnownIndex, ...]] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    blocklist: Blocklist | None = None
    captioning: Captioning = field(default_factory=Captioning)
    answers: str = ""

    @property
    def name(self) -> str:
        return self.recipe.name

    def output_folder(self, product: Product) -> str:
        """Where a product that may be made anew keeps its files."""
        if product.stage == "recaption":
            recipe, _, label = product.ledger.partition("/")[2].rpartition(".")
            return self.folder.caption_folder(recipe, label)
        return {
            "group": self.folder.group_folder,
            "select": self.folder.selection,
            "write": self.folder.shards,
            "report": self.folder.report_folder,
        }[product.stage](product.ledger.partition("/")[2])

    def ledger(self, stage: str) -> Ledger:
        return Ledger(self.folder.ledger(stage))

    def ticket(self, stage: str, shard: int, inputs: str) -> Ticket:
        return Ticket(stage, shard, self.lineage[stage].fingerprint, inputs)

    def finished(self, stage: str) -> dict[int, Marker]:
        """A finished stage's markers by shard; NotReady when it is not finished as this run would make it."""
        manifest = self.ledger(stage).read_manifest()
        if manifest is None or manifest.state != "done" or manifest.fingerprint != self.lineage[stage].fingerprint:
            raise NotReady(f"{stage} is not done in {self.folder.work}")
        return {marker.ticket.shard: marker for marker in manifest.markers}

    def requests(self) -> str | None:
        """What stands for all that is to be taken down from the folder."""
        return requests_digest(self.folder.work)


@dataclass(frozen=True)
class Work:
    """All that a stage makes, and how a pipeline makes what is not done of it.

    whole: a shard needs all others, so either none is made again or all are. grown: the ticket of shards that only
    the pipeline can number. local: made by the launching process, since it is one small task. gpu: it runs models
    that are faster on one. finish: called with all markers when the stage is complete, and again when it was complete
    before.
    """

    tickets: tuple[Ticket, ...]
    expand: Expand
    whole: bool = False
    grown: Ticket | None = None
    local: bool = False
    gpu: bool = False
    finish: Callable[[Sequence[Marker]], None] = lambda markers: None
