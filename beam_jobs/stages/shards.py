"""Write: the kept pairs as training shards of exactly N samples, numbered without gaps.

In: for consecutive image shards, the tar, its tables side by side (planned, images, scores, groups) and the
selection. Out: shards/<recipe>/NNNNN.tar (WebDataset: image, json, txt), NNNNN.parquet with every column learned,
NNNNN_stats.json with the number of samples, as DataComp's resharder writes it; then a manifest with checksums
and a dataset card. The bytes depend on the rows alone: sorted members, fixed owner, mode and time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from beam_jobs.known.taken_down import REASON, find_gone
from beam_jobs.storage.files import (
    atomic_write,
    join,
    list_files,
    open_read,
    read_bytes,
    remove_file,
    write_bytes,
    write_json,
)
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import open_table, read_table
from beam_jobs.storage.run_folder import RunFolder, shard_name
from beam_jobs.storage.tar_shard import Sample, TarShardWriter, iter_samples
from beam_jobs.storage.tombstones import TOMBSTONES, add_tombstones
from schemas.reasons import KEPT
from schemas.recipe import Recipe
from schemas.tables import SELECTED

# Constant on rows that are kept, or said better by another column.
_LEFT_OUT = ("reason", "status", "error_message", "caption")
_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Slice:
    """Kept rows `first` to `last` (excluded) of an image shard, counted among its kept rows."""

    shard: int
    first: int
    last: int


@dataclass(frozen=True)
class WriteTask:
    """One training shard: where its rows lie, and which sidecars are joined to them.

    taken_down: the digest of the requests for removal that hold for the run folder. captions: the sidecars of captions
    and made texts, by label, each with the columns of it that are written; all where None.
    """

    work: str
    recipe: str
    shard: int
    slices: tuple[Slice, ...]
    score_labels: tuple[str, ...]
    group_labels: tuple[str, ...]
    caption: str
    taken_down: str | None = None
    captions: Mapping[str, Sequence[str] | None] = field(default_factory=dict)


def plan_slices(kept: Mapping[int, int], *, samples_per_shard: int) -> list[tuple[Slice, ...]]:
    """Training shards over image shards with these numbers of kept rows: N samples each, the last one fewer."""
    shards: list[tuple[Slice, ...]] = []
    current: list[Slice] = []
    room = samples_per_shard
    for shard, rows in sorted(kept.items()):
        first = 0
        while first < rows:
            last = min(rows, first + room)
            current.append(Slice(shard, first, last))
            room -= last - first
            first = last
            if room == 0:
                shards.append(tuple(current))
                current, room = [], samples_per_shard
    if current:
        shards.append(tuple(current))
    return shards


def _occurrences(uids: Sequence[str]) -> list[int]:
    """How often each uid stood before it in the list: 0 unless a recipe keeps repeated pairs."""
    seen: dict[str, int] = {}
    numbers = []
    for uid in uids:
        numbers.append(seen.get(uid, 0))
        seen[uid] = numbers[-1] + 1
    return numbers


def join_sidecars(
    folder: RunFolder, shard: int, *, score_labels: Sequence[str], group_labels: Sequence[str]
) -> pa.Table:
    """All that is known of an image shard's rows, side by side; `image_key` is the key inside its tar."""
    tables = [read_table(folder.planned(shard)), read_table(folder.image_table(shard))]
    tables += [read_table(folder.scores(label, shard)) for label in score_labels]
    tables += [read_table(folder.groups(label, shard)) for label in group_labels]
    columns: dict[str, pa.ChunkedArray] = {}
    for table in tables:
        if table["uid"] != tables[0]["uid"]:
            raise ValueError(f"the tables of image shard {shard} do not have the same rows")
        for name in table.column_names:
            if name not in _LEFT_OUT:
                columns.setdefault("image_key" if name == "key" else name, table[name])
    return pa.table(columns)


def _kept_rows(task: WriteTask, part: Slice) -> pa.Table:
    folder = RunFolder(task.work)
    table = join_sidecars(folder, part.shard, score_labels=task.score_labels, group_labels=task.group_labels)
    selected = read_table(folder.selected(task.recipe, part.shard))
    for name in selected.column_names:
        if name not in SELECTED.names:
            table = table.append_column(name, selected[name])
    for label, columns in task.captions.items():
        sidecar = read_table(
            folder.captions(task.recipe, label, part.shard), None if columns is None else ["uid", *columns]
        )
        if sidecar["uid"] != table["uid"]:
            raise ValueError(f"captions of {label} do not have the rows of image shard {part.shard}")
        for name in sidecar.column_names[1:]:
            table = table.append_column(name, sidecar[name])
    kept = table.filter(selected["keep"])
    uids = kept["uid"].to_pylist()
    keys = [f"{uid}-{number}" for uid, number in zip(uids, _occurrences(uids), strict=True)]
    kept = kept.add_column(0, "key", pa.array(keys, pa.string()))
    return kept.slice(part.first, part.last - part.first)


def _samples(folder: RunFolder, shard: int, image_keys: Sequence[str]) -> Iterator[Sample]:
    """The stored samples of these keys, which are in the tar's order; KeyError when one is absent."""
    wanted = set(image_keys)
    with open_read(folder.image_tar(shard)) as file:
        found = iter_samples(file, wanted.__contains__)
        for key in image_keys:
            sample = next(found, None)
            if sample is None or sample.key != key:
                raise KeyError(f"sample {key} is not at its place in {folder.image_tar(shard)}")
            yield sample


def _add_sample(tar: TarShardWriter, row: Mapping[str, Any], sample: Sample, *, caption: str) -> int:
    images = {extension: data for extension, data in sample.members.items() if extension not in ("json", "txt")}
    for extension, data in sorted(images.items()):
        tar.add(f"{row['key']}.{extension}", data)
    tar.add(f"{row['key']}.json", json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
    tar.add(f"{row['key']}.txt", (row[caption] or "").encode("utf-8", "replace"))
    return sum(map(len, images.values()))


def write_shard(task: WriteTask) -> Tally:
    """Writes one training shard: tar, then stats, then the table."""
    folder = RunFolder(task.work)
    parts, gone = [], [TOMBSTONES.empty_table()]
    for part in task.slices:
        kept = _kept_rows(task, part)
        taken, tombstones = find_gone(task.work, task.taken_down, kept, shard=task.shard)
        parts.append(kept.filter(pa.array(~taken)))
        gone.append(tombstones)
    rows_in = sum(part.last - part.first for part in task.slices)
    if any(taken.num_rows for taken in gone):
        add_tombstones(task.work, task.recipe, task.shard, pa.concat_tables(gone))
    rows = pa.concat_tables(parts, promote_options="permissive")
    image_bytes = 0
    start = 0
    with atomic_write(folder.shard_tar(task.recipe, task.shard)) as file:
        tar = TarShardWriter(file)
        for part, stays in zip(task.slices, parts, strict=True):
            table = rows.slice(start, stays.num_rows)
            start += table.num_rows
            samples = _samples(folder, part.shard, table["image_key"].to_pylist())
            for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    image_bytes += _add_sample(tar, row, next(samples), caption=task.caption)
        tar.close()
        tar_bytes = file.tell()
    tar_digest = file.hexdigest()
    stats = json.dumps({"successes": rows.num_rows}, indent=4) + "\n"
    write_bytes(folder.shard_stats(task.recipe, task.shard), stats.encode())
    with open_table(folder.shard_table(task.recipe, task.shard), rows.schema) as table_file:
        table_file.write(rows.combine_chunks())
    return taken_tally(
        rows_in=rows_in,
        kept=rows.num_rows,
        digest=f"{tar_digest}+{table_file.hexdigest()}",
        numbers={"tar_bytes": tar_bytes, "image_bytes": image_bytes},
    )


def taken_tally(*, rows_in: int, kept: int, digest: str, numbers: Mapping[str, float]) -> Tally:
    """The tally of a training shard: what is not in it was taken down."""
    reasons = {KEPT: kept} if kept == rows_in else {KEPT: kept, REASON: rows_in - kept}
    return Tally(rows_in=rows_in, reasons=reasons, digest=digest, numbers=numbers)


def finish_dataset(
    folder: RunFolder, recipe: Recipe, written: Sequence[Tally], *, kinds: Mapping[str, str] | None = None
) -> None:
    """Removes shards of an earlier, larger result, and writes the manifest and the dataset card.

    kinds: of the texts that a loader makes, where the recipe leaves that to it; None where that is written already.
    """
    last = len(written)
    for name in list_files(folder.shards(recipe.name)):
        number = name.partition(".")[0].partition("_")[0]
        if number.isdigit() and int(number) >= last:
            remove_file(join(folder.shards(recipe.name), name))
    manifest = {
        "recipe": recipe.name,
        "samples": sum(tally.kept for tally in written),
        "shards": [
            {
                "tar": f"{shard_name(number)}.tar",
                "samples": tally.kept,
                "tar_bytes": int(tally.numbers["tar_bytes"]),
                "tar_sha256": tally.digest.partition("+")[0],
                "parquet_sha256": tally.digest.partition("+")[2],
            }
            for number, tally in enumerate(written)
        ],
    }
    gone = sum(tally.rows_in - tally.kept for tally in written)
    if gone:
        manifest["taken_down"] = gone
    if recipe.columns:
        manifest["columns"] = json.loads(read_bytes(folder.made_columns(recipe.name)))
    if recipe.recaption:
        section = recipe.recaption.to_json()
        manifest["captioners"] = section["captioners"]
        if recipe.recaption.texts_at == "read" and kinds is not None:
            reading = {"version": 1, "recipe": recipe.name, "kinds": dict(kinds), "seed": section["seed"]}
            labels = [captioner.label for captioner in recipe.recaption.captioners]
            write_json(folder.reading(recipe.name), {**reading, "captioners": labels, "texts": section["texts"]})
    write_json(folder.manifest(recipe.name), manifest)
    write_bytes(folder.card(recipe.name), _card(recipe, manifest).encode())


def _card(recipe: Recipe, manifest: Mapping[str, Any]) -> str:
    """The dataset card, in Markdown: what it is, how it was chosen, how to read it."""
    shards, samples = manifest["shards"], manifest["samples"]
    last = shard_name(max(0, len(shards) - 1))
    gone = manifest.get("taken_down")
    rules = "\n".join(f"- `{json.dumps(step.to_json(), ensure_ascii=False)}`" for step in recipe.select)
    doubts = [*recipe.approximate, *recipe.offline_approximation]
    lines = [
        f"# {recipe.name}",
        recipe.summary,
        f"{samples:,} image-text pairs in {len(shards):,} WebDataset shards, selected by the recipe `{recipe.name}`"
        + (f" after {recipe.cites}." if recipe.cites else "."),
        *(["Where it differs from its source:\n\n" + "\n".join(f"- {doubt}" for doubt in doubts)] if doubts else []),
        *([f"{gone:,} further pairs were taken down at somebody's request."] if gone else []),
        "## Selection",
        rules or "Every downloaded pair.",
        "## Reading",
        f"`{{00000..{last}}}.tar` hold `<key>.jpg` (or png, webp), `<key>.json` (every column) and `<key>.txt`; "
        "the Parquet file beside each has the same rows. `manifest.json` has their SHA-256.",
        "The images belong to their owners; each row names its page and, where one was found, its licence.",
    ]
    return "\n\n".join(line for line in lines if line) + "\n"
