"""Rows held against indexes: what brute force finds, in any layout of shards and however the search is parted."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image

from beam_jobs.known.build import PartTask, holds_of, write_part
from beam_jobs.known.index import KnownIndex, open_index, write_manifest
from beam_jobs.matching import fit_cells, near_steps, perceptual_steps
from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.files import write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from filters.pdq import pdq
from schemas.grouping import GroupOptions
from schemas.grouping_known import AgainstOptions, KnownOptions
from schemas.tables import IMAGES, conform

COUNT, WIDTH = 1500, 64
MADE = {"scorer": "clip", "version": 1}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class World:
    """Rows of one run: `uids` name them, the arrays are what scorers made of their images."""

    def __init__(
        self, uids: Sequence[str], hashes: np.ndarray, vectors: np.ndarray, days: Sequence[str | None]
    ) -> None:
        self.uids = list(uids)
        self.hashes = hashes
        self.vectors = vectors
        self.days = list(days)

    def lay_out(self, work: Path, shards: int) -> None:
        folder = RunFolder(str(work))
        for shard in range(shards):
            at = [number for number in range(len(self.uids)) if number % shards == shard]
            uids = [self.uids[number] for number in at]
            table = pa.table(
                {
                    "uid": uids,
                    "status": ["success"] * len(at),
                    "url": [f"HTTP://images.test:80/{uid}" for uid in uids],
                    "caption": [f"caption {uid}" for uid in uids],
                    "sha256": [digest(uid) for uid in uids],
                }
            )
            write_table(folder.image_table(shard), conform(table, IMAGES))
            write_table(folder.planned(shard), pa.table({"uid": uids, "day": [self.days[number] for number in at]}))
            scores = pa.table(
                {
                    "uid": uids,
                    "pixel_sha256": [digest(f"pixels of {uid}") for uid in uids],
                    "pdq": [self.hashes[number].tobytes().hex() for number in at],
                    "pdq_quality": pa.array([100] * len(at), pa.int32()),
                }
            )
            write_table(folder.scores("hashes", shard), scores)
            np.save(work / "vectors.npy", self.vectors[at])
            write_bytes(folder.image_embeddings("clip", shard), (work / "vectors.npy").read_bytes())


def random_world(seed: int, prefix: str, count: int = COUNT) -> World:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hashes = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    return World([f"{prefix}{n:05d}" for n in range(count)], hashes, vectors.astype(np.float16), [None] * count)


def copies_of(known: World, seed: int) -> World:
    """Rows of which the first half are copies of known ones: 0 to 40 bits and a cosine of 0.9 to 1 away."""
    world, rng = random_world(seed, "new"), np.random.default_rng(seed + 1)
    for row in range(COUNT // 2):
        of = int(rng.integers(len(known.uids)))
        bits = np.unpackbits(known.hashes[of])
        bits[rng.choice(256, row % 41, replace=False)] ^= 1
        world.hashes[row] = np.packbits(bits)
        original, aside = known.vectors[of].astype(np.float64), rng.standard_normal(WIDTH)
        aside -= (aside @ original) * original / (original @ original)
        cosine = rng.uniform(0.9, 1)
        moved = cosine * original / np.linalg.norm(original) + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside)
        world.vectors[row] = moved.astype(np.float16)
    return world


def make_index(world: World, folder: Path, shards: int, **manifest: object) -> KnownIndex:
    world.lay_out(folder / "work", shards)
    url = str(folder / "index")
    tasks = [
        PartTask(str(folder / "work"), shard, url, None, ("hashes",), True, "pdq", ("clip",)) for shard in range(shards)
    ]
    values = {"name": "before", "since": None, **manifest}
    parts = tuple(write_part(task) for task in tasks)
    write_manifest(
        KnownIndex(url=url, holds=holds_of(tasks[0]), embeddings={"clip": MADE}, hash=MADE, parts=parts, **values)
    )
    return open_index(url, option="--against")


def hold(
    work: Path, options: KnownOptions, shards: Sequence[int], *indexes: KnownIndex, flags: Sequence[str] = ()
) -> dict[str, dict[str, object]]:
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *flags])) as pipeline:
        pipeline | GroupShards(
            str(work),
            shards=shards,
            options=GroupOptions((options,)),
            scores=["hashes"],
            known={options.label: indexes},
        )
    tables = [read_table(RunFolder(str(work)).groups(options.label, shard)) for shard in sorted(shards)]
    assert all(table.column_names == ["uid", *options.columns] for table in tables)
    return {row["uid"]: row for table in tables for row in table.to_pylist()}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, KnownIndex, Path]:
    folder = tmp_path_factory.mktemp("known")
    world = random_world(1, "old")
    return world, make_index(world, folder, 3), folder


@pytest.fixture(scope="module")
def new(known: tuple[World, KnownIndex, Path]) -> World:
    return copies_of(known[0], 5)


def test_every_pair_of_hashes_up_to_the_distance_is_found(
    known: tuple[World, KnownIndex, Path], new: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, index, _ = known
    words = [world.hashes.view(np.uint64) for world in (new, old)]
    apart = np.bitwise_count(words[0][:, None] ^ words[1][None]).sum(axis=2)
    new.lay_out(tmp_path, 2)
    found = hold(tmp_path, AgainstOptions(by=("perceptual",)), range(2), index)
    monkeypatch.setattr(perceptual_steps, "PART_ROWS", 128)
    new.lay_out(tmp_path / "parted", 4)
    assert hold(tmp_path / "parted", AgainstOptions(by=("perceptual",)), [3, 1, 0, 2], index) == found
    hits = 0
    for number, uid in enumerate(new.uids):
        nearest = int(apart[number].min())
        expected = nearest if nearest <= 31 else None
        assert found[uid]["against_distance"] == expected
        told = [found[uid][f"against_{name}"] for name in ("kind", "index", "duplicate_of")]
        of = old.uids[int(apart[number].argmin())]
        assert told == ([None] * 3 if expected is None else ["perceptual", "before", of])
        hits += expected is not None
    assert hits == sum(row % 41 <= 31 for row in range(COUNT // 2))


@pytest.mark.parametrize("one_block", [16_384, 500])
def test_the_nearest_embedding_from_the_threshold_on_is_found(
    one_block: int,
    known: tuple[World, KnownIndex, Path],
    new: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit_cells, "ONE_BLOCK_ROWS", one_block)
    monkeypatch.setattr(near_steps, "BUCKET_ROWS", 600)
    old, index, _ = known
    sides = [world.vectors.astype(np.float64) for world in (new, old)]
    sides = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides]
    cosines = sides[0] @ sides[1].T
    options = AgainstOptions(by=("near",), cosine=0.95)
    found = {}
    for shards in (2, 5) if one_block == 16_384 else (2,):
        new.lay_out(tmp_path / str(shards), shards)
        found[shards] = hold(tmp_path / str(shards), options, list(reversed(range(shards))), index)
    hits = [number for number in range(COUNT) if cosines[number].max() >= 0.95]
    named = [number for number in hits if found[2][new.uids[number]]["against_kind"]]
    assert len(hits) > 300
    assert len(named) >= (0.99 * len(hits) if one_block == 500 else len(hits))
    for number in range(COUNT):
        row = found[2][new.uids[number]]
        if number in named:
            assert row["against_duplicate_of"] == old.uids[int(cosines[number].argmax())]
            assert row["against_similarity"] == pytest.approx(cosines[number].max(), abs=1e-6)
        elif number not in hits:
            assert set(row.values()) == {new.uids[number], None}
    if one_block == 16_384:
        assert found[5] == found[2]


def test_equal_keys_are_found_and_what_says_most_is_told(known: tuple[World, KnownIndex, Path], tmp_path: Path) -> None:
    old, index, _ = known
    world = random_world(9, "old", 40)
    world.uids = [*old.uids[:10], *(f"other{number}" for number in range(30))]
    world.lay_out(tmp_path, 3)
    folder = RunFolder(str(tmp_path))
    for shard in range(3):
        table = read_table(folder.image_table(shard))
        rows = table.to_pylist()
        for row in rows:
            if row["uid"] == "other3":
                row["url"] = f"http://images.test/{old.uids[100]}#top"
            if row["uid"] == "other4":
                row["sha256"], row["caption"] = digest(old.uids[101]), f"caption {old.uids[102]}"
            if row["uid"] == "other5":
                row["caption"] = f"caption {old.uids[103]}"
            if row["uid"] == "other6":
                row["sha256"], row["status"] = digest(old.uids[101]), "failed_to_download"
        write_table(folder.image_table(shard), pa.Table.from_pylist(rows, schema=table.schema))
    options = AgainstOptions(by=("text", "uid", "sha256", "url", "pixels"))
    found = hold(tmp_path, options, range(3), index)
    told = {
        uid: (row["against_kind"], row["against_duplicate_of"]) for uid, row in found.items() if row["against_kind"]
    }
    assert told == {
        **{uid: ("uid", uid) for uid in old.uids[:10]},
        "other3": ("url", old.uids[100]),
        "other4": ("sha256", old.uids[101]),
        "other5": ("text", old.uids[103]),
    }
    assert set(hold(tmp_path, AgainstOptions(by=("sha256",)), range(3))["old00000"].values()) == {"old00000", None}


def test_rows_older_than_an_index_are_not_held_against_it(
    known: tuple[World, KnownIndex, Path], tmp_path: Path
) -> None:
    old, index, _ = known
    later = make_index(random_world(1, "eval"), tmp_path / "eval", 2, name="exam", since="2023-02-01")
    world = World(
        old.uids[:6], old.hashes[:6], old.vectors[:6], ["2023-01-31", "2023-02-01T10:00:00Z", None, "x", "2024", ""]
    )
    world.uids = [f"row{number}" for number in range(6)]
    world.lay_out(tmp_path / "work", 2)
    for by in ("perceptual", "near"):
        found = hold(tmp_path / "work", AgainstOptions(by=(by,), date="day"), range(2), later)
        assert [found[f"row{number}"]["against_index"] for number in range(6)] == [None, *["exam"] * 5]
        both = hold(tmp_path / "work", AgainstOptions(by=(by,), date="day"), range(2), later, index)
        assert [both[f"row{number}"]["against_index"] for number in range(6)] == ["before", *["exam"] * 5]


def test_versions_of_a_real_photograph_are_known(shared_folder: Path, tmp_path: Path) -> None:
    folder = shared_folder / "near_duplicates"
    with (folder / "manifest.tsv").open() as file:
        files = [row for row in csv.DictReader(file, delimiter="\t") if row["decodes"] == "True"]
    hashes = {}
    for row in files:
        if int(row["w"]) < 1200:
            with Image.open(folder / row["path"]) as image:
                digest, quality = pdq(image)
            if quality >= 50:
                hashes[row["path"]] = bytes.fromhex(digest)
    squares = sorted(name for name in hashes if "square-" in name or "shrink-" in name)
    sides = {"old": squares[:1], "new": [name for name in hashes if name != squares[0]]}
    worlds = {}
    for name, uids in sides.items():
        made = np.frombuffer(b"".join(hashes[uid] for uid in uids), np.uint8).reshape(-1, 32)
        worlds[name] = World(uids, made, np.ones((len(uids), 4), np.float16), [None] * len(uids))
    index = make_index(worlds["old"], tmp_path / "old", 1)
    worlds["new"].lay_out(tmp_path / "new", 3)
    found = hold(tmp_path / "new", AgainstOptions(by=("perceptual",)), [2, 0, 1], index)
    known = int(hashes[squares[0]].hex(), 16)
    apart = {uid: (int(hashes[uid].hex(), 16) ^ known).bit_count() for uid in sides["new"]}
    assert {uid: row["against_distance"] for uid, row in found.items()} == {
        uid: bits if bits <= 31 else None for uid, bits in apart.items()
    }
    assert all(found[uid]["against_duplicate_of"] == squares[0] for uid in squares[1:])
    assert any(bits > 31 for bits in apart.values())


def test_two_workers_find_what_one_does(known: tuple[World, KnownIndex, Path], tmp_path: Path) -> None:
    old, index, _ = known
    world = random_world(2, "new", 40)
    world.uids[:5], world.hashes[5:20] = old.uids[:5], old.hashes[5:20]
    found = []
    for order, flags in (([0, 1], []), ([1, 0], ["--direct_num_workers=2", "--direct_running_mode=multi_processing"])):
        world.lay_out(tmp_path / str(order), 2)
        found.append(hold(tmp_path / str(order), AgainstOptions(by=("uid", "perceptual")), order, index, flags=flags))
    assert found[0] == found[1]
    assert [found[0][uid]["against_kind"] for uid in world.uids] == ["uid"] * 5 + ["perceptual"] * 15 + [None] * 20


def test_a_crowd_on_both_sides_is_compared_once(tmp_path: Path) -> None:
    crowd = random_world(3, "old", 3000)
    crowd.hashes[:] = crowd.hashes[0]
    crowd.vectors[:] = crowd.vectors[0]
    index = make_index(crowd, tmp_path / "known", 2)
    crowd.uids = [f"new{number:04d}" for number in range(3000)]
    crowd.lay_out(tmp_path / "new", 2)
    found = hold(tmp_path / "new", AgainstOptions(by=("perceptual", "near")), range(2), index)
    assert {row["against_duplicate_of"] for row in found.values()} == {"old00000"}
    assert {(row["against_distance"], row["against_similarity"]) for row in found.values()} == {(0, 1.0)}
