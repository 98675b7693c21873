"""`pairmill index`: an index of known images, of what a run kept or of what a user wants kept out.

In: a run folder and its recipe; or pictures, a WebDataset, a table of hashes or embeddings, and the recipe whose
scorers and `download` section make them comparable. Out: an index (beam_jobs/known/index.py), its manifest last.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import apache_beam as beam

from beam_jobs.known.binding import made_by
from beam_jobs.known.build import PartTask, holds_of, write_part
from beam_jobs.known.index import KnownIndex, KnownPart, manifest_url, write_manifest
from beam_jobs.known.sources import (
    EMBEDDING,
    parse_known_source,
    part_task,
    pictures,
    read_known_table,
    store_pictures,
    write_table_parts,
)
from beam_jobs.progress import say
from beam_jobs.runners import BeamRunner
from beam_jobs.stages.score import ScoreTask, score_shard
from beam_jobs.storage.files import exists, join, read_json, remove_tree, write_json
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.run_folder import RunFolder, shard_name
from beam_jobs.storage.tombstones import read_tombstones
from filters.pdq import Pdq
from filters.registry import make_scorers
from filters.scorer import Scorer
from schemas.grouping_known import PIXELS
from schemas.recipe import Recipe
from schemas.refusal import JobFailed, Refusal

_FAILURES_SHOWN = 5


@dataclass(frozen=True)
class Naming:
    """What the user says of an index: where it goes, its name, from when on its images exist."""

    to: str
    name: str
    since: str | None = None

    def check(self) -> None:
        """Raises a Refusal where an index stands already, or the day is none."""
        if self.since is not None:
            try:
                date.fromisoformat(self.since)
            except ValueError as error:
                raise Refusal(f"--since: expected a day as YYYY-MM-DD; given {self.since!r}") from error
        if exists(manifest_url(self.to)):
            raise Refusal(f"--to: {self.to} holds an index already; name another folder")


def index_run(work: str, recipe: Recipe, naming: Naming, runner: BeamRunner) -> KnownIndex:
    """The index of what a recipe keeps of a run folder."""
    naming.check()
    manifest = Ledger(RunFolder(work).ledger(f"select/{recipe.name}")).read_manifest()
    if manifest is None or manifest.state != "done":
        raise Refusal(f"--work: {work} holds no finished selection of recipe {recipe.name!r}")
    scorers = make_scorers(recipe.score)
    labels = tuple(scorer.label for scorer in scorers)
    hashing = next((scorer for scorer in scorers if isinstance(scorer, Pdq)), None)
    embedding = [scorer for scorer in scorers if scorer.embeds and not scorer.needs]
    gone = frozenset(read_tombstones(work, recipe.name)["uid"].to_pylist())
    tasks = [
        PartTask(
            work,
            marker.ticket.shard,
            naming.to,
            recipe.name,
            labels,
            any(PIXELS in scorer.outputs for scorer in scorers),
            hashing.columns[0].name if hashing else None,
            tuple(scorer.label for scorer in embedding),
            gone,
        )
        for marker in manifest.markers
    ]
    with runner:
        pipeline = beam.Pipeline(options=runner.options(job="index"))
        pipeline | beam.Create(tasks) | "WritePart" >> beam.Map(_write_part)
        runner.wait(pipeline)
    parts = [KnownPart(**read_json(_part_url(naming.to, task.shard))) for task in tasks]
    holds = holds_of(tasks[0]) if tasks else ()
    return _finish(naming, parts, holds, embedding, hashing)


def _write_part(task: PartTask) -> None:
    write_json(_part_url(task.to, task.shard), asdict(write_part(task)))


def _part_url(to: str, part: int) -> str:
    return join(to, "parts", f"{shard_name(part)}.json")


def index_source(source: str, recipe: Recipe, naming: Naming, *, embedding: str | None = None) -> KnownIndex:
    """The index of a user's images. embedding: which scorer of the recipe made a table's embeddings."""
    naming.check()
    kind, url = parse_known_source(source)
    scorers = make_scorers(recipe.score)
    embedders = [scorer for scorer in scorers if scorer.embeds and not scorer.needs]
    if kind == "table":
        return _index_table(url, embedders, naming, embedding)
    entries: list[Any] = [entry for entry, scorer in zip(recipe.score, scorers, strict=True) if scorer in embedders]
    entries += ["pixel_hash", "pdq"]
    with tempfile.TemporaryDirectory(prefix="pairmill-index-") as work:
        shards, failed = store_pictures(work, pictures(kind, url), recipe.download)
        for name, message in list(failed.items())[:_FAILURES_SHOWN]:
            say(f"{name}: {message}")
        if failed:
            say(f"{len(failed):,} files are no pictures that could be prepared")
        if not shards:
            raise Refusal(f"--source: {source} holds no picture that could be prepared")
        parts = []
        labels = tuple(scorer.label for scorer in make_scorers(entries))
        for shard in range(shards):
            score_shard(ScoreTask(work, shard, tuple(entries)))
            task = part_task(work, shard, naming.to, labels, tuple(scorer.label for scorer in embedders))
            parts.append(write_part(task))
            say(f"{sum(part.rows for part in parts):,} pictures indexed")
    return _finish(naming, parts, holds_of(task), embedders, Pdq())


def _index_table(url: str, embedders: Sequence[Scorer], naming: Naming, embedding: str | None) -> KnownIndex:
    table = read_known_table(url)
    chosen: list[Scorer] = []
    if EMBEDDING in table.column_names:
        labels = [scorer.label for scorer in embedders]
        if embedding not in labels:
            known = ", ".join(labels) or "none"
            raise Refusal(
                f"--embedding: expected the scorer that made the column {EMBEDDING!r}, of {known}; given {embedding}"
            )
        chosen = [scorer for scorer in embedders if scorer.label == embedding]
    try:
        parts, holds = write_table_parts(table, naming.to, embedding if chosen else None)
    except ValueError as error:
        raise Refusal(f"--source: {url} holds a value that is no hash: {error}") from error
    return _finish(naming, parts, holds, chosen, Pdq() if "perceptual" in holds else None)


def _finish(
    naming: Naming,
    parts: Sequence[KnownPart],
    holds: Sequence[str],
    embedders: Sequence[Scorer],
    hashing: Scorer | None,
) -> KnownIndex:
    if not parts:
        raise JobFailed(f"nothing to index for {naming.to}")
    made: Mapping[str, Any] = {scorer.label: made_by(scorer) for scorer in embedders}
    index = KnownIndex(
        url=naming.to,
        name=naming.name,
        since=naming.since,
        holds=tuple(holds),
        embeddings=made,
        hash=made_by(hashing) if hashing else None,
        parts=tuple(parts),
    )
    write_manifest(index)
    remove_tree(join(naming.to, "parts"))
    return index
