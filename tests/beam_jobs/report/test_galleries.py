"""The clusters of the report: the largest ones with the images nearest to their centres, on the page itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.matching.cluster_steps import CLUSTERS
from beam_jobs.report.gallery_views import clusters_views
from beam_jobs.report.gather import Findings, gather
from beam_jobs.report.page import render
from beam_jobs.storage.ledger import Ledger
from beam_jobs.storage.parquet import read_table, write_table

LABELS = {0: "shapes", 2: "<b>odd</b>"}


@pytest.fixture(scope="module")
def clustered(run_maker: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """A run whose images lie in clusters by their row: 0 and 1 the largest, 7 small ones."""
    made = run_maker(tmp_path_factory.mktemp("galleries"))
    folder, task = made.folder, made.task
    shards = sorted(Ledger(folder.ledger("download")).markers())
    fine = {shard: read_table(folder.image_table(shard), ["reason"])["reason"].is_null().to_numpy() for shard in shards}
    own = {
        shard: np.where(
            np.arange(len(good)) % 2 == 0, 0, np.where(np.arange(len(good)) % 4 == 1, 1, np.arange(len(good)) % 7 + 2)
        )
        for shard, good in fine.items()
    }
    sizes = Counter(int(cluster) for shard in shards for cluster in own[shard][fine[shard]])
    seen: Counter[int] = Counter()
    for shard in shards:
        rows = []
        for cluster, good in zip(own[shard].tolist(), fine[shard], strict=True):
            row: dict[str, Any] = dict.fromkeys(["clusters_id", "clusters_size", "clusters_place", "clusters_label"])
            if good:
                row |= {"clusters_id": cluster, "clusters_size": sizes[cluster], "clusters_label": LABELS.get(cluster)}
                row |= {"clusters_place": seen[cluster], "clusters_similarity": 1 - seen[cluster] / 1000}
                seen[cluster] += 1
            rows.append(row)
        uids = read_table(folder.image_table(shard), ["uid"])["uid"]
        columns = [("clusters_id", pa.int32()), ("clusters_size", pa.int64()), ("clusters_place", pa.int32())]
        columns += [("clusters_label", pa.string()), ("clusters_similarity", pa.float32())]
        table = pa.Table.from_pylist(rows, schema=pa.schema(columns)).add_column(0, "uid", uids)
        write_table(folder.groups("clusters", shard), table)
    counted = [{"cluster": cluster, "size": size} for cluster, size in sorted(sizes.items())]
    write_table(folder.clusters("clusters", 0), pa.Table.from_pylist(counted, schema=CLUSTERS))
    return gather(task.work, task.recipe_name, task.recipe, (*task.ledgers, "group/clusters"))


def test_the_largest_clusters_are_shown_from_their_prototype_on(clustered: Findings) -> None:
    [found] = clustered.galleries
    assert found.rows == 163
    sizes = sorted(found.sizes.tolist(), reverse=True)
    galleries = found.galleries()
    assert [gallery.size for gallery in galleries] == sizes[:6]
    assert galleries[0].cluster == 0
    assert [round(shown.similarity, 4) for shown in galleries[0].shown] == [1 - place / 1000 for place in range(8)]
    assert found.half_of_rows() == next(n for n in range(1, 10) if sum(sizes[:n]) >= 163 / 2)
    assert {gallery.label for gallery in galleries} <= {"shapes", "", "<b>odd</b>"}


def test_the_page_tells_of_them_and_escapes_labels(clustered: Findings) -> None:
    [view] = clusters_views(clustered)
    assert view.told.startswith("163 images in 9 clusters; the largest holds ")
    page = render(clustered)
    [section] = re.findall(r'<section id="clusters">.*?</section>', page, re.DOTALL)
    assert section.count('<div class="group">') == 6
    assert section.count("data:image/webp") > 20
    assert "cluster 0 · <b><bdi>shapes</bdi></b>" in section
    assert "<b>odd</b>" not in page
    assert '<a href="#clusters">Clusters</a>' in page


def test_a_run_without_clusters_has_no_such_section(made_run: Any) -> None:
    task = made_run.task
    assert 'id="clusters"' not in render(gather(task.work, task.recipe_name, task.recipe, task.ledgers))
