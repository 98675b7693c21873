"""A run folder made with the real storage functions: a few hundred drawn pictures, rules, groups, failures.

`make_run(folder, ...)` writes it and returns the task that reports on it. The numbers that tests expect are those of
its defaults: 240 pairs found.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from beam_jobs.stages.report import ReportTask
from beam_jobs.storage.files import atomic_write
from beam_jobs.storage.ledger import Ledger, Manifest, Marker, Tally, Ticket
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter
from schemas.keys import sample_key, uid, uid_order
from schemas.reasons import KEPT
from schemas.tables import IMAGES, PAIRS, PLANNED, PRESELECTED, SELECTED, conform

RECIPE: dict[str, Any] = {
    "name": "base",
    "cites": "A recipe of the tests, after LAION-400M (Schuhmann et al., 2021)",
    "preselect": [
        {"drop": "text_length < 5", "reason": "text_too_short"},
        {"unique": ["url", "text"], "reason": "same_pair"},
    ],
    "download": {"resize": "keep_ratio", "image_size": 256},
    "score": ["image_facts", {"clip": {"model": "ViT-B-32", "pretrained": "openai"}}],
    "group": [{"exact": {"by": "sha256"}}, {"near": {"embedding": "clip", "cosine": 0.96}}],
    "select": [
        {"keep": "clip_similarity >= 0.3", "reason": "clip_below_threshold"},
        {"keep": "entropy > 2.5 and entropy <= 7.75", "reason": "plain_or_noisy"},
        {"keep": "near_duplicate_of is null", "reason": "near_duplicate"},
        {"top_fraction": 0.9, "by": ["-sharpness"], "reason": "blurred"},
    ],
    "write": {"samples_per_shard": 50},
}
LEDGERS = (
    "extract", "preselect", "planned", "download", "score/image_facts", "score/clip", "group/exact", "group/near",
    "select/base", "write/base",
)  # fmt: skip
_SHAPES = ("circle", "square", "triangle")
_COLOURS = ("crimson", "teal", "gold", "navy", "orchid", "olive", "coral", "slategray")
_FAILURES = (
    ("http_404", "HTTP Error 404: Not Found"),
    ("timeout", "no complete answer in 10 s"),
    ("dns", "no address for this host"),
    ("svg", "a vector image"),
    ("decode_error", "Image decoding error"),
)


@dataclass(frozen=True)
class Made:
    """What a test may rely on."""

    task: ReportTask
    folder: RunFolder
    reasons: Counter[str]


def draw(shape: str, colour: str, *, seed: int, width: int, height: int) -> bytes:
    """A JPEG with one shape on a soft background."""
    numbers = np.random.default_rng(seed)
    top, bottom = numbers.integers(120, 250, 3), numbers.integers(60, 220, 3)
    ramp = np.linspace(top, bottom, height)[:, None, :].repeat(width, axis=1)
    picture = Image.fromarray(np.clip(ramp + numbers.normal(0, 6, ramp.shape), 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    size = int(min(width, height) * numbers.uniform(0.3, 0.7))
    x, y = (int(numbers.integers(0, max(1, side - size))) for side in (width, height))
    if shape == "circle":
        pen.ellipse((x, y, x + size, y + size), fill=colour)
    elif shape == "square":
        pen.rectangle((x, y, x + size, y + size), fill=colour)
    else:
        pen.polygon(((x, y + size), (x + size, y + size), (x + size // 2, y)), fill=colour)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=88)
    return encoded.getvalue()


def _pairs(rows: int, texts: Sequence[str], numbers: np.random.Generator) -> list[dict[str, Any]]:
    pairs = []
    for row in range(rows):
        shape, colour = _SHAPES[row % 3], _COLOURS[row % 8]
        text = texts[row] if row < len(texts) else f"a {colour} {shape} on a soft background, number {row}"
        if row % 12 == 5:
            text = "img"
        url = f"https://{'cdn' if row % 4 else 'pictures'}{row % 7}.example.org/photos/{row:05d}.jpg"
        if row % 30 == 11:
            url = pairs[row - 1]["url"]
            text = pairs[row - 1]["text"]
        pairs.append(
            {
                "uid": uid(text, url),
                "url": url if row % 40 != 7 else "",
                "text": text,
                "page_url": f"https://blog.example.org/{row // 5}",
                "position": row % 5,
                "page_language": ("en", "en", "de", "fr", "")[int(numbers.integers(0, 5))] or None,
                "reason": "no_image_url" if row % 40 == 7 else None,
                "message": "the element has no src" if row % 40 == 7 else None,
            }
        )
    return pairs


def _preselect(pairs: Sequence[dict[str, Any]]) -> list[str | None]:
    seen: set[tuple[str, str]] = set()
    reasons: list[str | None] = []
    for pair in pairs:
        key = (pair["url"], pair["text"])
        if pair["reason"]:
            reasons.append(pair["reason"])
        elif len(pair["text"]) < 5:
            reasons.append("text_too_short")
        elif key in seen:
            reasons.append("same_pair")
        else:
            reasons.append(None)
            seen.add(key)
    return reasons


class _Book:
    """Writes markers and manifests as the flow does."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def close(self, stage: str, tallies: Sequence[Tally], section: Any) -> None:
        markers = tuple(
            Marker(Ticket(stage, shard, "f" * 64, "i" * 64), tally, 1.5 * (shard + 1))
            for shard, tally in enumerate(tallies)
        )
        configuration = {"stage": stage.partition("/")[0], "version": 1, "section": section}
        manifest = Manifest(stage, "f" * 64, "done", configuration, len(markers), markers)
        Ledger(self._folder.ledger(stage)).finish(manifest)


def make_run(
    path: Path,
    *,
    rows: int = 240,
    rows_per_shard: int = 80,
    texts: Sequence[str] = (),
    seed: int = 1,
    pictures: int = 10**9,
) -> Made:
    """Writes a run. `texts` take the place of the first texts; only the first `pictures` of a shard are drawn."""
    folder, numbers = RunFolder(str(path)), np.random.default_rng(seed)
    book = _Book(folder)
    pairs = _pairs(rows, texts, numbers)
    write_table(folder.pairs(0), conform(pa.Table.from_pylist(pairs), PAIRS))
    decided = _preselect(pairs)
    shards = [None if reason else 0 for reason in decided]
    judged = pa.table(
        {
            "uid": [pair["uid"] for pair in pairs],
            "reason": pa.array(decided, pa.string()),
            "shard": pa.array(shards, pa.int32()),
        },
        schema=PRESELECTED,
    )
    write_table(folder.preselected(0), judged)
    alive = [pair for pair, reason in zip(pairs, decided, strict=True) if reason is None]
    alive.sort(key=lambda pair: uid_order(pair["uid"]))
    parts = [alive[first : first + rows_per_shard] for first in range(0, len(alive), rows_per_shard)]
    book.close("extract", [_tally([pair["reason"] for pair in pairs])], None)
    living = [reason for pair, reason in zip(pairs, decided, strict=True) if not pair["reason"]]
    book.close("preselect", [_tally(living)], RECIPE["preselect"])
    book.close("planned", [_tally([None] * len(part)) for part in parts], None)
    ended = Counter(reason for reason in decided if reason)
    tallies: dict[str, list[Tally]] = {stage: [] for stage in LEDGERS[3:9]}
    for shard, part in enumerate(parts):
        _shard(folder, shard, part, numbers, tallies, ended, rows_per_shard=rows_per_shard, pictures=pictures)
    for stage, made in tallies.items():
        section = {"image_size": 256} if stage == "download" else {"scorer": stage, "options": {"model": "ViT-B-32"}}
        book.close(stage, made, section if stage.startswith(("download", "score")) else None)
    kept = ended[KEPT]
    sizes = [min(50, kept - first) for first in range(0, kept, 50)]
    written = [Tally(size, {KEPT: size}, "0" * 64, numbers={"tar_bytes": size * 20_000}) for size in sizes]
    book.close("write/base", written, RECIPE["write"])
    task = ReportTask(str(path), "base", 0, RECIPE, LEDGERS)
    return Made(task, folder, ended)


def _tally(reasons: Sequence[str | None]) -> Tally:
    return Tally(len(reasons), dict(Counter(reason or KEPT for reason in reasons)), "0" * 64)


def _shard(
    folder: RunFolder,
    shard: int,
    part: Sequence[dict[str, Any]],
    numbers: np.random.Generator,
    tallies: dict[str, list[Tally]],
    ended: Counter[str],
    *,
    rows_per_shard: int,
    pictures: int,
) -> None:
    count = len(part)
    planned = [{name: value for name, value in pair.items() if name not in ("reason", "message")} for pair in part]
    write_table(folder.planned(shard), conform(pa.Table.from_pylist(planned), PLANNED))
    failed = [_FAILURES[row % 5] if numbers.random() < 0.18 else None for row in range(count)]
    sizes = [(int(numbers.lognormal(6.4, 0.5)) + 60, int(numbers.lognormal(6.2, 0.4)) + 60) for _ in range(count)]
    with atomic_write(folder.image_tar(shard)) as file:
        tar = TarShardWriter(file)
        for row, pair in enumerate(part):
            key = sample_key(shard, row, rows_per_shard=rows_per_shard)
            if not failed[row] and row < pictures:
                words = pair["text"].split()
                colour = words[1] if len(words) > 1 and words[1] in _COLOURS else "teal"
                shape = words[2] if len(words) > 2 and words[2] in _SHAPES else "square"
                width, height = sizes[row]
                scale = 256 / max(width, height)
                width, height = max(16, int(width * scale)), max(16, int(height * scale))
                alike = row // 3 if row % 9 < 3 else 1000 * shard + row
                tar.add(f"{key}.jpg", draw(shape, colour, seed=alike, width=width, height=height))
                tar.add(f"{key}.json", b"{}")
        tar.close()
    images = [
        {
            "uid": pair["uid"],
            "reason": failed[row][0] if failed[row] else None,
            "error_message": failed[row][1] if failed[row] else None,
            "status": "failed_to_download" if failed[row] else "success",
            "format": None if failed[row] else ("JPEG", "JPEG", "PNG", "WEBP")[row % 4],
            "byte_size": None if failed[row] else 20_000 + 900 * row,
            "url": pair["url"],
            "caption": pair["text"],
            "key": sample_key(shard, row, rows_per_shard=rows_per_shard),
            "original_width": None if failed[row] else sizes[row][0],
            "original_height": None if failed[row] else sizes[row][1],
            "width": None if failed[row] else 256,
            "height": None if failed[row] else 192,
        }
        for row, pair in enumerate(part)
    ]
    write_table(folder.image_table(shard), conform(pa.Table.from_pylist(images), IMAGES))
    fine = np.array([reason is None for reason in failed])
    uids = [pair["uid"] for pair in part]
    mean = np.where(numbers.random(count) < 0.25, 0.18, 0.36)
    scores = {
        "clip_similarity": numbers.normal(mean, 0.05),
        "entropy": np.clip(numbers.normal(6, 1.4, count), 0, 8),
        "sharpness": numbers.lognormal(6, 1.2, count),
        "brightness": np.clip(numbers.normal(140, 40, count), 0, 255),
        "saturation": numbers.beta(2, 4, count),
        "text_tokens": numbers.integers(3, 24, count),
    }
    masked = {
        name: pa.array(values, pa.int32() if values.dtype.kind == "i" else pa.float32(), mask=~fine)
        for name, values in scores.items()
    }
    write_table(
        folder.scores("clip", shard),
        pa.table({"uid": uids, "clip_similarity": masked["clip_similarity"], "text_tokens": masked["text_tokens"]}),
    )
    facts = {name: masked[name] for name in ("entropy", "sharpness", "brightness", "saturation")}
    write_table(folder.scores("image_facts", shard), pa.table({"uid": uids, **facts}))
    copies = _group(folder, shard, uids, fine, numbers)
    sharp = np.where(fine, scores["sharpness"], np.inf)
    reasons: list[str | None] = []
    for row in range(count):
        low = masked["clip_similarity"][row].as_py()
        entropy = masked["entropy"][row].as_py()
        if failed[row]:
            reasons.append(failed[row][0])  # type: ignore[index]
        elif low < 0.3:
            reasons.append("clip_below_threshold")
        elif not 2.5 < entropy <= 7.75:
            reasons.append("plain_or_noisy")
        elif copies[row]:
            reasons.append("near_duplicate")
        else:
            reasons.append("blurred" if sharp[row] < np.quantile(sharp[fine], 0.1) else None)
    selected = {"uid": uids, "keep": [reason is None for reason in reasons], "reason": pa.array(reasons, pa.string())}
    write_table(folder.selected("base", shard), pa.table(selected, schema=SELECTED))
    ended.update(reason or KEPT for reason in reasons)
    alive = [None] * int(fine.sum())
    tallies["download"].append(_tally([entry[0] if entry else None for entry in failed]))
    for stage in LEDGERS[4:8]:
        tallies[stage].append(_tally(alive))
    tallies["select/base"].append(_tally([reason for reason, good in zip(reasons, fine, strict=True) if good]))


def _group(
    folder: RunFolder, shard: int, uids: Sequence[str], fine: np.ndarray, numbers: np.random.Generator
) -> list[str | None]:
    """Groups of three among the rows whose pictures were drawn alike, the first one surviving."""
    count = len(uids)
    group: list[str | None] = [None] * count
    size, copies = [0] * count, [None] * count
    similarity: list[float | None] = [None] * count
    for first in range(0, count - 2, 9):
        members = [row for row in range(first, first + 3) if fine[row]]
        if len(members) > 1:
            for row in members:
                group[row], size[row] = uids[members[0]], len(members)
            for row in members[1:]:
                copies[row] = uids[members[0]]  # type: ignore[call-overload]
                similarity[row] = float(numbers.uniform(0.961, 1.0))
    near = {
        "uid": uids,
        "near_group": pa.array(group, pa.string()),
        "near_size": pa.array([value or None for value in size], pa.int32()),
        "near_similarity": pa.array(similarity, pa.float32()),
        "near_duplicate_of": pa.array(copies, pa.string()),
        "cluster": pa.array(numbers.integers(0, 9, count), pa.int32()),
    }
    write_table(folder.groups("near", shard), pa.table(near))
    none = pa.nulls(count, pa.string())
    exact = {"uid": uids, "exact_group": none, "exact_size": pa.nulls(count, pa.int32()), "exact_duplicate_of": none}
    write_table(folder.groups("exact", shard), pa.table(exact))
    return copies


@pytest.fixture(scope="session")
def run_maker() -> Callable[..., Made]:
    """`make_run`, for tests that need a run of their own."""
    return make_run


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The run of the defaults."""
    return make_run(tmp_path_factory.mktemp("run"))
