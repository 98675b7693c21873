"""Grouping a run folder: what the sidecars say, and that nothing about the run changes it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.matching import near_steps
from beam_jobs.matching.near_steps import edges_of_bucket
from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.files import read_bytes, write_bytes
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import ExactOptions, GroupOptions, NearOptions
from schemas.keys import uid, uid_order
from schemas.tables import IMAGES, conform

FAILED = 404


@dataclass(frozen=True)
class Image:
    """A row of a test's images/: the embedding is absent where the download failed."""

    name: str
    sha256: str | None = None
    width: int = 100
    embedding: np.ndarray | None = None
    caption: str = "a caption"

    @property
    def uid(self) -> str:
        return uid(self.caption, self.url)

    @property
    def url(self) -> str:
        return f"http://images.test/{self.name}.jpg"

    def row(self) -> dict[str, object]:
        if self.sha256 is None and self.embedding is None:
            return {"uid": self.uid, "reason": "http_404", "status": "failed_to_download", "url": self.url}
        sha256 = self.sha256 or hashlib.sha256(self.name.encode()).hexdigest()
        sizes = {"original_width": self.width, "original_height": 100, "sha256": sha256}
        return {"uid": self.uid, "status": "success", "url": self.url, "caption": self.caption, **sizes}


def lay_out(work: Path, images: Sequence[Image], shards: int) -> list[Image]:
    """Writes images/ and embeddings/ as the stages before do; the images in the order of their rows."""
    folder = RunFolder(str(work))
    ordered = sorted(images, key=lambda image: uid_order(image.uid))
    size = -(-len(ordered) // shards)
    for shard in range(shards):
        part = ordered[shard * size : (shard + 1) * size]
        table = pa.Table.from_pylist([image.row() for image in part], schema=IMAGES)
        write_table(folder.image_table(shard), conform(table, IMAGES))
        write_table(folder.planned(shard), pa.table({"uid": [image.uid for image in part]}))
        vectors = [image.embedding for image in part if image.embedding is not None]
        if vectors:
            file = work / "vectors.npy"
            np.save(file, np.stack(vectors).astype(np.float16))
            write_bytes(folder.image_embeddings("clip", shard), file.read_bytes())
    return ordered


def run_group(work: Path, options: GroupOptions, shards: Sequence[int], *flags: str) -> dict[tuple[str, int], object]:
    """Runs the stage; the tallies. Collected through files, since a pipeline gives no values back."""
    tallies: dict[tuple[str, int], object] = {}
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *flags]))
    made = pipeline | GroupShards(str(work), shards=shards, options=options)
    (
        made
        | beam.Map(lambda one: f"{one[0]} {one[1]} {one[2].digest} {dict(one[2].details['duplicates'])}")
        | beam.io.WriteToText(str(work / "tallies"), num_shards=1, shard_name_template="")
    )
    pipeline.run().wait_until_finish()
    for line in (work / "tallies").read_text().splitlines():
        ledger, shard, digest, kinds = line.split(" ", 3)
        tallies[ledger, int(shard)] = (digest, kinds)
    return tallies


def sidecar_rows(work: Path, label: str, shards: int) -> dict[str, dict[str, object]]:
    folder = RunFolder(str(work))
    tables = [read_table(folder.groups(label, shard)) for shard in range(shards)]
    for shard, table in enumerate(tables):
        assert table["uid"].equals(read_table(folder.image_table(shard), ["uid"])["uid"])
    return {row["uid"]: row for table in tables for row in table.to_pylist()}


def planted(count: int, width: int, seed: int) -> Iterator[Image]:
    """Random directions, a fifth of them copies of another at a cosine of 0.94 to 1, and failed rows."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for row in range(count // 5):
        cosine = rng.uniform(0.94, 1)
        original, aside = rows[row + count // 2], rng.standard_normal(width)
        aside -= (aside @ original) * original
        rows[row] = cosine * original + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside)
    for row in range(count):
        failed = row % 97 == 0
        yield Image(f"{row:05d}", width=100 + row % 7, embedding=None if failed else rows[row].astype(np.float16))


NEAR = GroupOptions((NearOptions(cosine=0.96, also=(0.985,), keep=("most_pixels",)),))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Image]]:
    work = tmp_path_factory.mktemp("corpus")
    return work, lay_out(work, list(planted(5000, 64, seed=11)), shards=5)


@pytest.fixture(scope="module")
def grouped(corpus: tuple[Path, list[Image]]) -> dict[tuple[str, int], object]:
    return run_group(corpus[0], NEAR, range(5))


def test_near_finds_what_brute_force_finds(
    corpus: tuple[Path, list[Image]], grouped: dict[tuple[str, int], object]
) -> None:
    work, images = corpus
    rows = sidecar_rows(work, "near", 5)
    there = [image for image in images if image.embedding is not None]
    vectors = np.stack([image.embedding for image in there]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    pairs = np.argwhere(np.triu(cosines >= 0.96, 1))
    assert len(pairs) > 500
    found = sum(rows[there[a].uid]["near_group"] == rows[there[b].uid]["near_group"] for a, b in pairs)
    assert found >= 0.99 * len(pairs)
    joined = {index for pair in pairs.tolist() for index in pair}
    copies = [index for index, image in enumerate(there) if rows[image.uid]["near_size"] > 1]
    assert set(copies) <= joined


def test_near_names_the_survivor_and_the_cosine_to_it(corpus: tuple[Path, list[Image]], grouped: object) -> None:
    work, images = corpus
    rows = sidecar_rows(work, "near", 5)
    by_uid = {image.uid: image for image in images}
    groups: dict[object, list[str]] = {}
    for name, row in rows.items():
        groups.setdefault(row["near_group"], []).append(name)
    copies = 0
    for group, members in groups.items():
        if group is None:
            assert all(by_uid[name].embedding is None for name in members)
            continue
        assert group == min(members)
        best = min(members, key=lambda name: (-by_uid[name].width, name))
        for name in members:
            assert rows[name]["near_size"] == len(members)
            expected = None if name == best else best
            assert rows[name]["near_duplicate_of"] == expected
            if expected is not None:
                a, b = (by_uid[x].embedding.astype(np.float64) for x in (name, best))
                cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
                assert rows[name]["near_similarity"] == pytest.approx(cosine, abs=1e-7)
                copies += 1
    assert copies > 400


def test_a_higher_threshold_is_answered_too(corpus: tuple[Path, list[Image]], grouped: object) -> None:
    rows = sidecar_rows(corpus[0], "near", 5).values()
    lower = {row["uid"] for row in rows if row["near_duplicate_of"]}
    higher = {row["uid"]: row for row in rows if row["near_duplicate_of_0985"]}
    assert 100 < len(higher) < len(lower)
    assert set(higher) < lower
    close = [row for row in higher.values() if row["near_duplicate_of_0985"] == row["near_duplicate_of"]]
    assert len(close) > 100


def test_failed_rows_hold_nulls_and_the_rest_a_cluster(corpus: tuple[Path, list[Image]], grouped: object) -> None:
    work, images = corpus
    rows = sidecar_rows(work, "near", 5)
    failed = [rows[image.uid] for image in images if image.embedding is None]
    assert len(failed) == 52
    assert all(value is None for row in failed for name, value in row.items() if name != "uid")
    clusters = {row["cluster"] for row in rows.values()} - {None}
    assert clusters <= set(range(70))
    assert len(clusters) > 60


def test_tallies_add_up(corpus: tuple[Path, list[Image]], grouped: dict[tuple[str, int], object]) -> None:
    rows = sidecar_rows(corpus[0], "near", 5).values()
    assert set(grouped) == {("group/near", shard) for shard in range(5)}
    kinds = [eval_free(kinds) for _, kinds in grouped.values()]
    assert sum(kind["no_image"] for kind in kinds) == 52
    assert sum(kind["duplicate"] for kind in kinds) == sum(row["near_duplicate_of"] is not None for row in rows)
    assert sum(sum(kind.values()) for kind in kinds) == 5000
    digests = [
        hashlib.sha256(read_bytes(RunFolder(str(corpus[0])).groups("near", shard))).hexdigest() for shard in range(5)
    ]
    assert digests == [grouped["group/near", shard][0] for shard in range(5)]


def eval_free(kinds: str) -> dict[str, int]:
    """{'survivor': 3, ...} as written by str."""
    pairs = (item.split(": ") for item in kinds.strip("{}").split(", "))
    return {name.strip("'"): int(count) for name, count in pairs}


@pytest.mark.parametrize(
    "flags", [(), ("--direct_num_workers=2", "--direct_running_mode=multi_threading")], ids=["one", "two workers"]
)
def test_order_of_shards_and_workers_change_no_byte(
    corpus: tuple[Path, list[Image]], grouped: dict[tuple[str, int], object], flags: tuple[str, ...]
) -> None:
    assert run_group(corpus[0], NEAR, [3, 1, 4, 0, 2], *flags) == grouped


def test_cells_and_their_borders_lose_no_more_than_stated(
    corpus: tuple[Path, list[Image]],
    grouped: dict[tuple[str, int], object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With one block forbidden, so that 5,000 rows lie in 70 cells as millions do in thousands."""
    monkeypatch.setattr("beam_jobs.matching.fit_cells.ONE_BLOCK_ROWS", 0)
    whole = {name: row["near_duplicate_of"] for name, row in sidecar_rows(corpus[0], "near", 5).items()}
    lay_out(tmp_path, corpus[1], shards=5)
    run_group(tmp_path, NEAR, range(5))
    parted = {name: row["near_duplicate_of"] for name, row in sidecar_rows(tmp_path, "near", 5).items()}
    agree = sum(parted[name] == of for name, of in whole.items() if of is not None)
    assert agree >= 0.99 * sum(of is not None for of in whole.values())
    assert all(whole[name] is not None for name, of in parted.items() if of is not None)


def test_identical_images_shuffle_one_row_a_shard(tmp_path: Path) -> None:
    row = np.ones(64) / 8
    lay_out(tmp_path, [Image(f"{i}", embedding=row.astype(np.float16)) for i in range(3000)], shards=3)
    arrived: list[int] = []
    original = near_steps.visit_rows

    def counting(*given: object) -> near_steps.Visiting:
        made = original(*given)  # type: ignore[arg-type]
        arrived.append(sum(near_steps.unpack(blob).num_rows for _, blob in made.buckets))
        return made

    try:
        near_steps.visit_rows = counting
        run_group(tmp_path, NEAR, range(3))
    finally:
        near_steps.visit_rows = original
    assert arrived == [1, 1, 1]
    rows = sidecar_rows(tmp_path, "near", 3).values()
    assert {row["near_size"] for row in rows} == {3000}
    assert sum(row["near_duplicate_of"] is None for row in rows) == 1


EXACT_IMAGES = [
    Image("small", sha256="11" * 32, width=50),
    Image("large", sha256="11" * 32, width=200),
    Image("middle", sha256="11" * 32, width=100),
    Image("other", sha256="22" * 32),
    Image("tied-a", sha256="33" * 32, caption="words"),
    Image("tied-b", sha256="33" * 32, caption="more words"),
    Image("failed"),
]


def test_exact_names_the_copy_with_most_pixels_then_the_longest_text(tmp_path: Path) -> None:
    lay_out(tmp_path, EXACT_IMAGES, shards=3)
    tallies = run_group(tmp_path, GroupOptions((ExactOptions(),)), range(3))
    rows = sidecar_rows(tmp_path, "exact", 3)
    by_name = {image.name: rows[image.uid] for image in EXACT_IMAGES}
    uids = {image.name: image.uid for image in EXACT_IMAGES}
    of = {name: row["exact_duplicate_of"] for name, row in by_name.items()}
    assert of == {
        "small": uids["large"],
        "large": None,
        "middle": uids["large"],
        "other": None,
        "tied-a": uids["tied-b"],
        "tied-b": None,
        "failed": None,
    }
    sizes = {name: row["exact_size"] for name, row in by_name.items()}
    assert sizes == {"small": 3, "large": 3, "middle": 3, "other": 1, "tied-a": 2, "tied-b": 2, "failed": None}
    assert by_name["middle"]["exact_group"] == min(uids[name] for name in ("small", "large", "middle"))
    assert by_name["other"]["exact_group"] == uids["other"]
    assert by_name["failed"]["exact_group"] is None
    kinds = [eval_free(kinds) for _, kinds in tallies.values()]
    totals = {name: sum(kind[name] for kind in kinds) for name in ("survivor", "duplicate", "alone", "no_image")}
    assert totals == {"survivor": 2, "duplicate": 3, "alone": 1, "no_image": 1}


def test_a_column_may_choose_the_survivor(tmp_path: Path) -> None:
    ordered = lay_out(tmp_path, EXACT_IMAGES, shards=1)
    better = {"small": 0.9, "large": 0.1, "middle": 0.5}
    values = [better.get(image.name) for image in ordered]
    scores = pa.table({"uid": [image.uid for image in ordered], "beauty": pa.array(values, pa.float32())})
    write_table(RunFolder(str(tmp_path)).scores("beauty", 0), scores)
    options = GroupOptions((ExactOptions(keep=("-beauty",)), ExactOptions(keep=("beauty",), label="worst")))
    with beam.Pipeline("FnApiRunner") as pipeline:
        pipeline | GroupShards(str(tmp_path), shards=[0], options=options, scores=["beauty"])
    for label, survivor in (("exact", "small"), ("worst", "large")):
        rows = sidecar_rows(tmp_path, label, 1)
        uids = {image.name: image.uid for image in EXACT_IMAGES}
        assert rows[uids[survivor]][f"{label}_duplicate_of"] is None
        assert rows[uids["middle"]][f"{label}_duplicate_of"] == uids[survivor]


def test_one_url_written_in_two_ways_is_one(tmp_path: Path) -> None:
    first, second, third = Image("a", sha256="44" * 32), Image("%61", sha256="55" * 32), Image("A", sha256="66" * 32)
    lay_out(tmp_path, [first, second, third], shards=2)
    run_group(tmp_path, GroupOptions((ExactOptions(by="url", label="same_url"),)), range(2))
    sizes = {name: row["same_url_size"] for name, row in sidecar_rows(tmp_path, "same_url", 2).items()}
    assert sizes == {first.uid: 2, second.uid: 2, third.uid: 1}


def test_real_files_with_identical_bytes_are_found_and_no_others(shared_folder: Path, tmp_path: Path) -> None:
    with (shared_folder / "web" / "near_duplicates.tsv").open() as file:
        pairs = list(csv.DictReader(file, delimiter="\t"))
    paths = sorted({pair[side] for pair in pairs for side in ("image_path_a", "image_path_b")})
    digests = {path: hashlib.sha256((shared_folder / "web" / path).read_bytes()).hexdigest() for path in paths}
    images = {path: Image(path.replace("/", "-"), sha256=digests[path]) for path in paths}
    lay_out(tmp_path, list(images.values()), shards=4)
    run_group(tmp_path, GroupOptions((ExactOptions(),)), range(4))
    rows = sidecar_rows(tmp_path, "exact", 4)
    group = {path: rows[image.uid]["exact_group"] for path, image in images.items()}
    joined = [group[pair["image_path_a"]] == group[pair["image_path_b"]] for pair in pairs]
    identical = [pair["bytes"] == "identical bytes" for pair in pairs]
    assert sum(identical) == 417
    assert joined == identical


def test_rows_of_a_bucket_beyond_memory_go_to_disk(corpus: tuple[Path, list[Image]], grouped: object) -> None:
    work, options = corpus[0], NEAR.groupers[0]
    from beam_jobs.matching.cell_files import fit_and_write, read_cells
    from beam_jobs.matching.image_rows import ImageRows

    digest, rows = fit_and_write(str(work), range(5), options)
    cells = read_cells(str(work), "near", digest)
    buckets = near_steps.buckets_of(cells, rows)
    blobs = [
        blob
        for shard in range(5)
        for _, blob in near_steps.visit_rows(ImageRows(str(work), shard), options, cells, buckets).buckets
    ]
    assert edges_of_bucket(blobs, options, cells, held_bytes=100_000) == edges_of_bucket(blobs, options, cells)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_embeddings_and_unusable_ones(tmp_path: Path, count: int) -> None:
    """Zeros and what is no number count as no embedding."""
    row = np.ones(8, np.float16)
    useless = [Image("zero", embedding=0 * row), Image("nan", embedding=np.nan * row)]
    images = [Image(str(number), embedding=row) for number in range(count)]
    lay_out(tmp_path, [*useless, *images], shards=1)
    tallies = run_group(tmp_path, GroupOptions((NearOptions(),)), [0])
    rows = sidecar_rows(tmp_path, "near", 1)
    assert [rows[image.uid]["near_size"] for image in (*useless, *images)] == [None, None, *([count] * count)]
    assert [rows[image.uid]["cluster"] for image in (*useless, *images)] == [None, None, *([0] * count)]
    assert set(tallies) == {("group/near", 0)}


def test_no_embedding_at_all(tmp_path: Path) -> None:
    lay_out(tmp_path, [Image("failed"), Image("failed too")], shards=1)
    file = tmp_path / "none.npy"
    np.save(file, np.empty((0, 8), np.float16))
    write_bytes(RunFolder(str(tmp_path)).image_embeddings("clip", 0), file.read_bytes())
    run_group(tmp_path, NEAR, [0])
    assert all(set(row.values()) == {row["uid"], None} for row in sidecar_rows(tmp_path, "near", 1).values())
