"""A crowd that holds half of all images: its groups are right, and it needs no more memory than as many others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.storage.embeddings import write_embeddings
from beam_jobs.storage.parquet import write_table
from beam_jobs.storage.run_folder import RunFolder
from schemas.tables import IMAGES, conform

ROWS, WIDTH, SHARDS = 40_000, 128, 4

# In a process of its own, so that its peak is its own, on one core, so that no timing of threads plays a part: the
# buckets of cells, one after the other.
MEASURED = """
import os
import sys
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from pathlib import Path
from beam_jobs.matching import near_steps
from beam_jobs.matching.cell_files import fit_and_write, read_cells
from beam_jobs.matching.image_rows import ImageRows
from schemas.grouping import NearOptions

work, shards, options = sys.argv[1], int(sys.argv[2]), NearOptions(keep=())
digest, rows = fit_and_write(work, range(shards), options)
cells = read_cells(work, options.label, digest)
numbers = near_steps.buckets_of(cells, rows)
spool = Path(work) / "spool"
spool.mkdir()
for shard in range(shards):
    for bucket, blob in near_steps.visit_rows(ImageRows(work, shard), options, cells, numbers).buckets:
        (spool / f"{bucket}-{shard}-{len(list(spool.iterdir()))}").write_bytes(blob)
edges = 0
for bucket in sorted(set(numbers.tolist())):
    blobs = (file.read_bytes() for file in sorted(spool.glob(f"{bucket}-*")))
    found = near_steps.edges_of_bucket(blobs, options, cells, held_bytes=4 << 20)
    if found is not None:
        edges += near_steps.unpack(near_steps.unpack(found)["edges"][0].as_py()).num_rows
[line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(edges, int(line.split()[1]) // 1024)
"""


def lay_out(work: Path, crowd: float) -> None:
    """Random directions, of which a share is put about one of them, all closer to each other than the threshold."""
    rng = np.random.default_rng(12)
    vectors = rng.standard_normal((ROWS, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    inside = rng.random(ROWS) < crowd
    aside = vectors[inside] - (vectors[inside] @ vectors[0])[:, None] * vectors[0]
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    vectors[inside] = 0.985 * vectors[0] + np.sqrt(1 - 0.985**2) * aside
    folder = RunFolder(str(work))
    for shard, part in enumerate(np.array_split(np.arange(ROWS), SHARDS)):
        rows = [{"uid": f"{row:032x}", "status": "success", "url": f"http://images.test/{row}"} for row in part]
        write_table(folder.image_table(shard), conform(pa.Table.from_pylist(rows, schema=IMAGES), IMAGES))
        write_embeddings(folder.image_embeddings("clip", shard), vectors[part])


def measured(work: Path, crowd: float) -> tuple[int, int]:
    """Edges found, and the most memory in megabytes."""
    lay_out(work, crowd)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(work), str(SHARDS)], check=True, stdout=subprocess.PIPE, text=True
    )
    edges, peak = done.stdout.split()
    return int(edges), int(peak)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_half_of_all_in_one_crowd_needs_no_more_memory(tmp_path: Path) -> None:
    edges, peak = measured(tmp_path / "even", 0.0)
    assert edges == 0
    crowded, crowded_peak = measured(tmp_path / "crowd", 0.5)
    assert 0.49 * ROWS < crowded < 0.51 * ROWS
    assert crowded_peak < 1.1 * peak
