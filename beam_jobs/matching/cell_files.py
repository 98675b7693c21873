"""Fitted cells in the run folder: written once, before any row is assigned, read by every worker.

In: embedding files of all shards. Out: centroids.npy, basis.npy and cells.json beside the grouper's sidecars, and the
Cells read from them. The sample is the first rows of each shard: rows lie in shards by a hash of their uid, so these
are a uniform sample, the same on every runner.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, TypeVar

import numpy as np

from beam_jobs.matching.cells import Cells
from beam_jobs.matching.fit_cells import cells_for, fit_cells, sample_rows
from beam_jobs.matching.image_rows import embedding_shape, read_head
from beam_jobs.matching.vectors import unit_rows
from beam_jobs.storage.files import read_bytes, read_json, write_bytes, write_json
from beam_jobs.storage.run_folder import RunFolder
from schemas.grouping import NearOptions
from schemas.keys import fingerprint

_READERS = 16

Given = TypeVar("Given")
Made = TypeVar("Made")


def fit_and_write(work: str, shards: Sequence[int], options: NearOptions) -> tuple[str, int]:
    """Fits cells to a sample of all embeddings and writes them; their digest, and how many rows there are."""
    shards = sorted(shards)
    shapes = each(partial(embedding_shape, work, options.embedding), shards)
    rows, width = sum(shape[0] for shape in shapes), max((shape[1] for shape in shapes), default=0)
    cells = cells_for(rows, options.cells)
    wanted = sample_rows(rows, cells)
    quotas = [-(-shape[0] * wanted // max(1, rows)) for shape in shapes]
    heads = each(lambda given: read_head(work, options.embedding, *given), list(zip(shards, quotas, strict=True)))
    sample = np.concatenate([head for head in heads if len(head)] or [np.zeros((0, width), np.float16)])
    fitted = fit_cells(
        unit_rows(sample),
        rows=rows,
        cells=cells,
        cosine=options.cosine,
        recall=options.recall,
        seed=options.seed,
    )
    return write_cells(work, options.label, fitted, rows=rows, sampled=len(sample)), rows


def write_cells(work: str, label: str, cells: Cells, *, rows: int, sampled: int) -> str:
    """Writes the three files; a digest of them. rows, sampled: for people who read cells.json."""
    facts = {
        "cells": cells.count,
        "rows": rows,
        "sampled": sampled,
        "margin": None if cells.one_block else cells.margin,
        "measured_recall": cells.measured_recall,
        "mean_visits": cells.mean_visits,
        "basis_width": int(cells.basis.shape[1]),
    }
    url = RunFolder(work).centroids(label)
    digests = [write_bytes(url, npy(cells.centroids))]
    digests.append(write_bytes(_beside(url, "basis.npy"), npy(cells.basis)))
    digests.append(write_bytes(_beside(url, "shares.npy"), npy(cells.share)))
    write_json(_beside(url, "cells.json"), facts)
    return fingerprint([*digests, facts])


@lru_cache(maxsize=2)
def read_cells(work: str, label: str, digest: str) -> Cells:
    """The cells of that digest; kept for the next call of the same process."""
    url = RunFolder(work).centroids(label)
    facts = read_json(_beside(url, "cells.json"))
    return Cells(
        centroids=read_array(url),
        margin=float("inf") if facts["margin"] is None else facts["margin"],
        basis=read_array(_beside(url, "basis.npy")),
        share=read_array(_beside(url, "shares.npy")),
        measured_recall=facts["measured_recall"],
        mean_visits=facts["mean_visits"],
    )


def _beside(url: str, name: str) -> str:
    return f"{url.rsplit('/', 1)[0]}/{name}"


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def read_array(url: str) -> Any:
    return np.load(io.BytesIO(read_bytes(url)), allow_pickle=False)


def each(do: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(do, given))
