"""Near-duplicates against brute force over all pairs: drawn vectors in many cells, and real pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from beam_jobs.matching.components import Edges, components
from beam_jobs.stages.group import GroupShards
from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.files import read_json
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import GroupOptions, NearOptions
from schemas.tables import IMAGES, conform

MODEL = Path(__file__).parents[3] / "filters" / "models" / "tiny_clip"


def groups_of(work: Path, vectors: np.ndarray, shards: int, cosine: float) -> list[str]:
    """The group of each row, by the stage over so many shards."""
    folder = RunFolder(str(work))
    for shard, part in enumerate(np.array_split(np.arange(len(vectors)), shards)):
        rows = [{"uid": f"{row:032x}", "status": "success", "url": f"http://images.test/{row}"} for row in part]
        write_table(folder.image_table(shard), conform(pa.Table.from_pylist(rows, schema=IMAGES), IMAGES))
        write_embeddings(folder.image_embeddings("clip", shard), vectors[part])
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        options = GroupOptions((NearOptions(cosine=cosine, keep=()),))
        pipeline | GroupShards(str(work), shards=range(shards), options=options)
    tables = [read_table(folder.groups("near", shard), ["near_group"]) for shard in range(shards)]
    return [group for table in tables for group in table["near_group"].to_pylist()]


def recall_and_precision(vectors: np.ndarray, groups: Sequence[str], cosine: float) -> tuple[int, float, float]:
    """Close pairs by brute force; the share of them that are joined; of what is joined, the share that these join."""
    wide = vectors.astype(np.float16).astype(np.float64)
    units = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    narrow, pairs = units.astype(np.float32), []
    for start in range(0, len(units), 1000):
        at, to = np.nonzero(narrow[start : start + 1000] @ narrow.T >= cosine - 1e-5)
        at += start
        exact = np.einsum("ij,ij->i", units[at], units[to]) >= cosine
        pairs.append(np.column_stack([at, to])[exact & (at < to)])
    found = np.concatenate(pairs)
    _, named = np.unique(groups, return_inverse=True)
    recall = float((named[found[:, 0]] == named[found[:, 1]]).mean())
    known = np.arange(len(units))
    ids, lowest = components(Edges(found[:, 0], found[:, 1], np.ones(len(found))))
    known[ids] = lowest
    order = np.lexsort((known, named))
    joined = named[order[1:]] == named[order[:-1]]
    return len(found), recall, float((known[order[1:]] == known[order[:-1]])[joined].mean())


def test_drawn_vectors_in_many_cells(tmp_path: Path) -> None:
    """20,000 random directions, a tenth of them beside another at the threshold or nearer."""
    rng = np.random.default_rng(31)
    vectors = rng.standard_normal((20_000, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    originals, aside = vectors[2000:4000], rng.standard_normal((2000, 64))
    aside -= (aside * originals).sum(axis=1, keepdims=True) * originals
    close = rng.uniform(0.96, 1, (2000, 1))
    vectors[:2000] = close * originals + np.sqrt(1 - close**2) * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    vectors = vectors[rng.permutation(len(vectors))]
    groups = groups_of(tmp_path, vectors, 4, 0.96)
    facts = read_json(str(tmp_path / "groups" / "near" / "cells.json"))
    assert facts["cells"] == 141
    assert facts["margin"] is not None
    assert facts["measured_recall"] >= 0.99
    count, recall, precision = recall_and_precision(vectors, groups, 0.96)
    assert count > 1900
    assert recall >= 0.99
    assert precision == 1


@pytest.fixture(scope="module")
def pictures(shared_folder: Path) -> tuple[list[str], np.ndarray]:
    """Real pictures that have near-duplicates, and one photograph's many versions, as a small CLIP sees them."""
    import open_clip
    import torch

    paths = sorted({path for pair in known_pairs(shared_folder) for path in pair})
    with (shared_folder / "near_duplicates" / "manifest.tsv").open() as file:
        versions = [
            row for row in csv.DictReader(file, delimiter="\t") if row["decodes"] == "True" and int(row["w"]) < 1200
        ]
    paths += [f"near_duplicates/{row['path']}" for row in versions]
    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{MODEL}")
    model.eval()
    contents = [(shared_folder / path).read_bytes() for path in paths]
    vectors = {}
    for content in dict.fromkeys(contents):
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (256, 256))
            seen = prepare(image.convert("RGB"))
        with torch.no_grad():
            vectors[content] = model.encode_image(seen[None], normalize=True).numpy()
    return paths, np.concatenate([vectors[content] for content in contents])


def known_pairs(shared_folder: Path) -> list[tuple[str, str]]:
    """Pictures that are known to look alike; drawings in SVG are no pictures yet."""
    with (shared_folder / "web" / "near_duplicates.tsv").open() as file:
        pairs = [(row["image_path_a"], row["image_path_b"]) for row in csv.DictReader(file, delimiter="\t")]
    return [(f"web/{a}", f"web/{b}") for a, b in pairs if not a.endswith(".svg") and not b.endswith(".svg")]


def test_real_pictures(pictures: tuple[list[str], np.ndarray], shared_folder: Path, tmp_path: Path) -> None:
    paths, vectors = pictures
    shuffled = np.random.default_rng(2).permutation(len(paths))
    groups = groups_of(tmp_path, vectors[shuffled], 3, 0.96)
    assert len(paths) > 180
    count, recall, precision = recall_and_precision(vectors[shuffled], groups, 0.96)
    assert count > 400
    assert recall >= 0.99
    assert precision == 1
    group = {paths[number]: name for number, name in zip(shuffled.tolist(), groups, strict=True)}
    known = known_pairs(shared_folder)
    assert sum(group[a] == group[b] for a, b in known) == len(known) > 400
