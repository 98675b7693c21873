"""An index file of a run's embeddings, as faiss reads it: for clip-retrieval, or any program that searches.

In: embeddings/<label>/ of a run folder, in clip-retrieval's layout. Out: image.index and text.index in that folder,
which is then what `clip-retrieval back` opens: the number of a hit is the row of metadata/, its files in order. The
kind of index follows from the number of rows and the memory that it may take; the same rows give the same bytes.

    flat      every row exactly, while they are few
    IVF       rows by nearest centroid, as float16, else in 8 bits a number, else as product codes of fewer bytes
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from beam_jobs.matching.fit_cells import ROUNDS, fit_threads
from beam_jobs.matching.image_rows import open_halves, read_halves
from beam_jobs.matching.vectors import Floats, Halves, unit_rows, usable
from beam_jobs.storage.files import atomic_write, exists, join, list_files, open_read, write_json
from beam_jobs.storage.run_folder import RunFolder
from schemas.refusal import Refusal

FLAT_ROWS = 20_000
DEFAULT_BYTES = 4 << 30
RECALL = 0.95
_ASKED, _NEAREST = 256, 10
_TRAINED_PER_LIST, _MOST_TRAINED = 64, 262_144
_ROWS_AT_ONCE = 65_536
_PRODUCT_CODES = (256, 128, 64, 32, 16)
_PROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

Place = tuple[str, int]


@dataclass(frozen=True)
class SearchIndex:
    """What was written. recall_10: of the 10 nearest of some rows, the share found with the probes set in the file."""

    file: str
    kind: str
    rows: int
    width: int
    probes: int
    recall_10: float
    sha256: str


def write_search_indexes(work: str, label: str, *, most_bytes: int = DEFAULT_BYTES) -> list[SearchIndex]:
    """Writes an index of images, and one of texts where these have embeddings."""
    folder = RunFolder(work)
    if not list_files(join(folder.embeddings(label), "img_emb"), ".npy"):
        raise Refusal(f"{folder.embeddings(label)} holds no embeddings; score with a model that stores them first")
    made = []
    for side, url_of in (("image", folder.image_embeddings), ("text", folder.text_embeddings)):
        shards = _shards(folder, label, url_of)
        if shards:
            url = join(folder.embeddings(label), f"{side}.index")
            index = _write(url, [url_of(label, shard) for shard in shards], most_bytes)
            write_json(join(folder.embeddings(label), f"{side}.json"), asdict(index))
            made.append(index)
    return made


def _shards(folder: RunFolder, label: str, url_of: Callable[[str, int], str]) -> list[int]:
    """The shards of a side, in the order of the files of metadata/."""
    names = list_files(join(folder.embeddings(label), "metadata"), ".parquet")
    shards = [int(name.removesuffix(".parquet").rsplit("_", 1)[1]) for name in names]
    return [shard for shard in shards if exists(url_of(label, shard))]


def kind_of_index(rows: int, width: int, most_bytes: int) -> str:
    """The most exact index of so many rows that takes no more memory, as faiss's index factory names it."""
    if rows <= FLAT_ROWS and rows * width * 4 <= most_bytes:
        return "Flat"
    lists = max(1, min(int(4 * math.sqrt(rows)), rows // 39))
    for bytes_a_row, coder in ((2 * width, "SQfp16"), (width, "SQ8")):
        if rows * (bytes_a_row + 8) <= most_bytes:
            return f"IVF{lists},{coder}"
    codes = [size for size in _PRODUCT_CODES if size < width and width % size == 0]
    fit = [size for size in codes if rows * (size + 8) <= most_bytes]
    if not codes:
        return f"IVF{lists},SQ8"
    return f"IVF{lists},PQ{fit[0] if fit else codes[-1]}np"


def _write(url: str, files: Sequence[str], most_bytes: int) -> SearchIndex:
    import faiss

    places = list(zip(files, (_shape(file)[0] for file in files), strict=True))
    rows, width = sum(count for _, count in places), max(_shape(file)[1] for file in files)
    kind = kind_of_index(rows, width, most_bytes)
    index: Any = faiss.index_factory(width, kind, faiss.METRIC_INNER_PRODUCT)
    lists = getattr(index, "nlist", 0)
    with fit_threads(_MOST_TRAINED * lists * width):
        if not index.is_trained:
            wanted = min(_MOST_TRAINED, _TRAINED_PER_LIST * lists, rows)
            for clustering in (index.cp, *([index.pq.cp] if hasattr(index, "pq") else [])):
                clustering.seed, clustering.min_points_per_centroid, clustering.niter = 1, 1, ROUNDS
            index.train(_sample(places, wanted))
        asked = _sample(places, min(_ASKED, rows))
        found = _Nearest(asked)
        for start, block in _blocks(places):
            index.add(block)
            found.look(start, block)
        probes, recall = _set_probes(index, asked, found.numbers)
    with atomic_write(url) as file:
        write: Any = faiss
        writer = write.PyCallbackIOWriter(file.write)
        write.write_index(index, writer)
        del writer
    return SearchIndex(url.rsplit("/", 1)[1], kind, rows, width, probes, round(recall, 4), file.hexdigest())


def _set_probes(index: Any, asked: Floats, nearest: np.ndarray) -> tuple[int, float]:
    """Sets how many lists a search looks into: the fewest that find the stated share of what is nearest."""
    recall, probes = 0.0, 1
    inverted = hasattr(index, "nprobe")
    for probes in _PROBES if inverted else (1,):
        if inverted:
            index.nprobe = min(probes, index.nlist)
        _, numbers = index.search(asked, nearest.shape[1])
        met = [np.isin(near[near >= 0], hit).mean() for near, hit in zip(nearest, numbers, strict=True)]
        recall = float(np.mean(met))
        if recall >= RECALL or (inverted and probes >= index.nlist):
            break
    return (int(index.nprobe) if inverted else 0), recall


class _Nearest:
    """The rows nearest to some, exactly, kept while all rows pass by."""

    def __init__(self, asked: Floats) -> None:
        self._asked = asked
        self._cosines = np.full((len(asked), _NEAREST), -2.0, np.float32)
        self.numbers = np.full((len(asked), _NEAREST), -1, np.int64)

    def look(self, start: int, block: Floats) -> None:
        similar = np.concatenate([self._cosines, self._asked @ block.T], axis=1)
        numbers = np.concatenate(
            [self.numbers, np.broadcast_to(np.arange(start, start + len(block)), (len(self._asked), len(block)))],
            axis=1,
        )
        first = np.argpartition(-similar, _NEAREST - 1, axis=1)[:, :_NEAREST]
        self._cosines = np.take_along_axis(similar, first, axis=1)
        self.numbers = np.take_along_axis(numbers, first, axis=1)


def _shape(file: str) -> tuple[int, int]:
    with open_read(file) as opened:
        return open_halves(opened, file)


def _sample(places: Sequence[Place], wanted: int) -> Floats:
    """The first rows of each file, as many as its share: rows lie in shards by a hash of their uid."""
    rows = sum(count for _, count in places)
    return np.concatenate([_read(file, -(-count * wanted // max(1, rows))) for file, count in places])[:wanted]


def _read(file: str, rows: int) -> Floats:
    with open_read(file) as opened:
        there, width = open_halves(opened, file)
        return _units(read_halves(opened, file, min(rows, there), width))


def _blocks(places: Sequence[Place]) -> Iterator[tuple[int, Floats]]:
    """All rows in order, so many at once, each block with the number of its first."""
    start = 0
    for file, count in places:
        with open_read(file) as opened:
            _, width = open_halves(opened, file)
            for first in range(0, count, _ROWS_AT_ONCE):
                size = min(_ROWS_AT_ONCE, count - first)
                yield start, _units(read_halves(opened, file, size, width))
                start += size


def _units(halves: Halves) -> Floats:
    """Rows of length one; zeros where a row cannot be compared, so that every row keeps its number."""
    units = np.zeros(halves.shape, np.float32)
    good = usable(halves)
    units[good] = unit_rows(halves[good])
    return units
