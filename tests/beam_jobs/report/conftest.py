"""A run folder made with the real storage functions: a few hundred drawn pictures, rules, groups, failures.

`run_maker(folder, ...)` writes it and returns what a test may rely on. The numbers that tests expect are those of its
defaults: 240 pairs found, 163 images, 69 pairs kept.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
SIDECARS = ("score/image_facts", "score/clip", "group/exact", "group/near")
LEDGERS = ("extract", "preselect", "planned", "download", *SIDECARS, "select/base", "write/base")
_SHAPES = ("circle", "square", "triangle")
_COLOURS = ("crimson", "teal", "gold", "navy", "orchid", "olive", "coral", "slategray")
_FAILURES = (
    ("http_404", "HTTP Error 404: Not Found"),
    ("timeout", "no complete answer in 10 s"),
    ("dns", "no address for this host"),
    ("svg", "a vector image"),
    ("decode_error", "Image decoding error"),
)
_WRITTEN_AT_ONCE = 50
Row = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """What a test may rely on. reasons: where every row ended."""

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


def _tally(reasons: Sequence[str | None]) -> Tally:
    return Tally(len(reasons), dict(Counter(reason or KEPT for reason in reasons)), "0" * 64)


@dataclass
class _Maker:
    """Writes one run. texts: stand in the first rows' texts, addresses and messages. pictures: drawn of each shard."""

    folder: RunFolder
    rows_per_shard: int
    texts: Sequence[str]
    pictures: int
    numbers: np.random.Generator
    tallies: dict[str, list[Tally]] = field(default_factory=lambda: {stage: [] for stage in LEDGERS})
    ended: Counter[str] = field(default_factory=Counter)

    def make(self, rows: int) -> None:
        pairs: list[Row] = []
        for row in range(rows):
            pairs.append(self._pair(row, pairs))
        decided = self._preselect(pairs)
        write_table(self.folder.pairs(0), pa.Table.from_pylist(pairs, schema=PAIRS))
        shards = [None if reason else 0 for reason in decided]
        judged = pa.table({"uid": [pair["uid"] for pair in pairs], "reason": decided, "shard": shards})
        write_table(self.folder.preselected(0), conform(judged, PRESELECTED))
        self.ended.update(reason for reason in decided if reason)
        self.tallies["extract"].append(_tally([pair["reason"] for pair in pairs]))
        living = [(pair, reason) for pair, reason in zip(pairs, decided, strict=True) if not pair["reason"]]
        self.tallies["preselect"].append(_tally([reason for _, reason in living]))
        planned = sorted((pair for pair, reason in living if not reason), key=lambda pair: uid_order(pair["uid"]))
        for shard, first in enumerate(range(0, len(planned), self.rows_per_shard)):
            self._shard(shard, planned[first : first + self.rows_per_shard])
        kept = self.ended[KEPT]
        for size in (min(_WRITTEN_AT_ONCE, kept - first) for first in range(0, kept, _WRITTEN_AT_ONCE)):
            numbers = {"tar_bytes": size * 20_000}
            self.tallies["write/base"].append(Tally(size, {KEPT: size}, "0" * 64, numbers=numbers))
        for stage in LEDGERS:
            self._close(stage)

    def _close(self, stage: str) -> None:
        tallies = enumerate(self.tallies[stage])
        markers = [Marker(Ticket(stage, n, "f" * 64, "i" * 64), tally, 1.5 * (n + 1)) for n, tally in tallies]
        section = {"scorer": stage, "options": {"model": "ViT-B-32"}} if stage.startswith("score") else {}
        made = {"stage": stage.partition("/")[0], "version": 1, "section": section}
        Ledger(self.folder.ledger(stage)).finish(Manifest(stage, "f" * 64, "done", made, len(markers), tuple(markers)))

    def _pair(self, row: int, before: Sequence[Row]) -> Row:
        hostile = self.texts[row] if row < len(self.texts) else ""
        text = hostile or f"a {_COLOURS[row % 8]} {_SHAPES[row % 3]} on a soft background, number {row}"
        host = f"{'cdn' if row % 4 else 'pictures'}{row % 7}{hostile[:20]}"
        url = f"https://{host}.example.org/photos/{row:05d}{hostile[:100]}.jpg"
        if row % 30 == 11:
            url, text = before[row - 1]["url"], before[row - 1]["text"]
        elif row % 12 == 5 and not hostile:
            text = "img"
        lost = row % 40 == 7
        return {
            "uid": uid(text, url),
            "url": "" if lost else url,
            "text": text,
            "page_url": f"https://blog.example.org/{row // 5}{hostile}",
            "position": row % 5,
            "page_language": hostile or ("en", "en", "de", "fr", None)[int(self.numbers.integers(0, 5))],
            "reason": "no_image_url" if lost else None,
            "message": f"the element has no src{hostile}" if lost else None,
        }

    def _preselect(self, pairs: Sequence[Row]) -> list[str | None]:
        seen: set[tuple[str, str]] = set()
        reasons: list[str | None] = []
        for pair in pairs:
            key = (pair["url"], pair["text"])
            again = "same_pair" if key in seen else None
            reasons.append(pair["reason"] or ("text_too_short" if len(pair["text"]) < 5 else again))
            seen.add(key)
        return reasons

    def _shard(self, shard: int, part: Sequence[Row]) -> None:
        planned = [{name: value for name, value in pair.items() if name in PLANNED.names} for pair in part]
        write_table(self.folder.planned(shard), pa.Table.from_pylist(planned, schema=PLANNED))
        images = [self._image(shard, row, pair) for row, pair in enumerate(part)]
        write_table(self.folder.image_table(shard), pa.Table.from_pylist(images, schema=IMAGES))
        with atomic_write(self.folder.image_tar(shard)) as file:
            tar = TarShardWriter(file)
            for row, image in enumerate(images[: self.pictures]):
                if not image["reason"]:
                    tar.add(f"{image['key']}.jpg", self._drawn(shard, row, image))
                    tar.add(f"{image['key']}.json", b"{}")
            tar.close()
        fine = np.array([image["reason"] is None for image in images])
        scores = self._score(shard, [pair["uid"] for pair in part], fine)
        copies = self._group(shard, [pair["uid"] for pair in part], fine)
        reasons = self._select(shard, images, scores, copies)
        self.ended.update(reason or KEPT for reason in reasons)
        self.tallies["planned"].append(_tally([None] * len(part)))
        self.tallies["download"].append(_tally([image["reason"] for image in images]))
        for stage in SIDECARS:
            self.tallies[stage].append(_tally([None] * int(fine.sum())))
        self.tallies["select/base"].append(_tally([r for r, good in zip(reasons, fine, strict=True) if good]))

    def _image(self, shard: int, row: int, pair: Row) -> Row:
        key = sample_key(shard, row, rows_per_shard=self.rows_per_shard)
        same = {"uid": pair["uid"], "url": pair["url"], "caption": pair["text"], "key": key}
        width, height = (int(side) + 60 for side in self.numbers.lognormal((6.4, 6.2), (0.5, 0.4)))
        if self.numbers.random() < 0.18:
            reason, message = _FAILURES[row % 5]
            said = message + (pair["text"] if self.texts else "")
            return {**same, "reason": reason, "error_message": said, "status": "failed_to_download"}
        sizes = {"original_width": width, "original_height": height, "width": 256, "height": 192}
        kind = ("JPEG", "JPEG", "PNG", "WEBP")[row % 4]
        return {**same, **sizes, "reason": None, "status": "success", "format": kind, "byte_size": 20_000 + 900 * row}

    def _drawn(self, shard: int, row: int, image: Row) -> bytes:
        colour, shape = [*image["caption"].split(), "", "", ""][1:3]
        colour, shape = colour if colour in _COLOURS else "teal", shape if shape in _SHAPES else "square"
        sides = (image["original_width"], image["original_height"])
        width, height = (max(16, side * 256 // max(sides)) for side in sides)
        return draw(shape, colour, seed=row // 3 if row % 9 < 3 else 1000 * shard + row, width=width, height=height)

    def _score(self, shard: int, uids: Sequence[str], fine: np.ndarray) -> dict[str, np.ndarray]:
        count, numbers = len(uids), self.numbers
        scores = {
            "clip_similarity": numbers.normal(np.where(numbers.random(count) < 0.25, 0.18, 0.36), 0.05),
            "entropy": np.clip(numbers.normal(6, 1.4, count), 0, 8),
            "sharpness": numbers.lognormal(6, 1.2, count),
            "saturation": numbers.beta(2, 4, count),
            "text_tokens": numbers.integers(3, 24, count),
        }
        kinds = {"text_tokens": pa.int32()}
        shown = {name: pa.array(each, kinds.get(name, pa.float32()), mask=~fine) for name, each in scores.items()}
        clip = ("clip_similarity", "text_tokens")
        write_table(self.folder.scores("clip", shard), pa.table({"uid": uids, **{name: shown[name] for name in clip}}))
        facts = {name: values for name, values in shown.items() if name not in clip}
        write_table(self.folder.scores("image_facts", shard), pa.table({"uid": uids, **facts}))
        return {name: np.asarray(values.to_numpy(zero_copy_only=False)) for name, values in shown.items()}

    def _group(self, shard: int, uids: Sequence[str], fine: np.ndarray) -> list[str | None]:
        """Groups of up to three rows whose pictures were drawn alike, the first surviving; their duplicate_of."""
        names = ("near_group", "near_size", "near_similarity", "near_duplicate_of")
        rows: list[Row] = [dict.fromkeys(names) for _ in uids]
        for first in range(0, len(uids) - 2, 9):
            members = [row for row in range(first, first + 3) if fine[row]]
            for row in members if len(members) > 1 else ():
                rows[row] |= {"near_group": uids[members[0]], "near_size": len(members)}
                if row != members[0]:
                    similar = float(self.numbers.uniform(0.961, 1.0))
                    rows[row] |= {"near_similarity": similar, "near_duplicate_of": uids[members[0]]}
        near = pa.table({name: [row[name] for row in rows] for name in names}).add_column(0, "uid", pa.array(uids))
        write_table(self.folder.groups("near", shard), near)
        none = pa.nulls(len(uids), pa.string())
        exact = {"uid": uids, "exact_group": none, "exact_size": none.cast(pa.int32()), "exact_duplicate_of": none}
        write_table(self.folder.groups("exact", shard), pa.table(exact))
        return [row["near_duplicate_of"] for row in rows]

    def _select(
        self, shard: int, images: Sequence[Row], scores: dict[str, np.ndarray], copies: Sequence[str | None]
    ) -> list[str | None]:
        blurred = scores["sharpness"] < np.nanquantile(scores["sharpness"], 0.1)
        reasons: list[str | None] = []
        for row, image in enumerate(images):
            rules = (
                (scores["clip_similarity"][row] < 0.3, "clip_below_threshold"),
                (not 2.5 < scores["entropy"][row] <= 7.75, "plain_or_noisy"),
                (copies[row] is not None, "near_duplicate"),
                (blurred[row], "blurred"),
            )
            reasons.append(image["reason"] or next((reason for fails, reason in rules if fails), None))
        keep = [reason is None for reason in reasons]
        selected = {"uid": [image["uid"] for image in images], "keep": keep, "reason": reasons}
        write_table(self.folder.selected("base", shard), conform(pa.table(selected), SELECTED))
        return reasons


def make_run(
    path: Path, *, rows: int = 240, rows_per_shard: int = 80, texts: Sequence[str] = (), pictures: int = 10**9
) -> Made:
    """Writes a run of so many pairs."""
    folder = RunFolder(str(path))
    maker = _Maker(folder, rows_per_shard, texts, pictures, np.random.default_rng(1))
    maker.make(rows)
    return Made(ReportTask(str(path), "base", 0, RECIPE, LEDGERS), folder, maker.ended)


@pytest.fixture(scope="session")
def run_maker() -> Callable[..., Made]:
    """`make_run`, for tests that need a run of their own."""
    return make_run


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The run of the defaults."""
    return make_run(tmp_path_factory.mktemp("run"))
