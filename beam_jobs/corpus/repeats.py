"""How many images a text has and how many texts an image has, each pair of both counted once over the corpus.

In: texts and URLs. Out: images_per_text, texts_per_image. Pairs are told apart in buckets of their own, evenly filled
whatever the texts are; what goes on to the buckets of texts and of images is a count for each. So a text that a
hundred million images bear is one entry a bucket, and never one place for all of them.

    pair_blobs(part)      # (bucket of the pair, blob): group by bucket
    distinct(blobs)       # one bucket: its counts for texts and images, to be summed as in tallies
    RepeatKeys, asking    # (bucket of the key, blob): what a part wants to know
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_jobs.corpus.hashing import joined, starts_of, text_keys
from beam_jobs.corpus.keying import Keyed
from beam_jobs.corpus.tallies import Counted, Counts, Spectrum, count
from beam_jobs.matching.vectors import runs
from schemas.corpus import RepeatsOptions

# A text's key and a URL's key, a row a pair.
Pairs = NDArray[np.uint64]
_JOINED_AT_ONCE = 16


@dataclass(frozen=True)
class RepeatKeys:
    """The text and the image of each row that has a text."""

    options: RepeatsOptions

    @property
    def reads(self) -> tuple[str, ...]:
        return self.options.reads

    @property
    def entries_per_row(self) -> float:
        # Of its text and of its image: what it asks, and what a bucket of pairs counted.
        return 4.0

    def key(self, table: pa.Table) -> Keyed:
        texts = table[self.options.text]
        has = np.asarray(pc.greater(pc.binary_length(pc.fill_null(texts, "")), 0)).astype(bool)
        kept = table.filter(pa.array(has))
        pairs = np.column_stack(
            [text_keys(kept[self.options.text], salt=b"text"), text_keys(kept[self.options.image], salt=b"image")]
        )
        return Keyed(pairs.reshape(-1), starts_of(np.where(has, 2, 0).astype(np.int64)))

    def columns(self, table: pa.Table, keyed: Keyed, totals: Counts, spectrum: Spectrum) -> Mapping[str, pa.Array]:
        has = np.diff(keyed.starts) > 0
        found = totals.reshape(-1, 2)
        made = {}
        for number, name in enumerate(("images_per_text", "texts_per_image")):
            values = np.zeros(table.num_rows, dtype=np.int64)
            values[has] = found[:, number]
            made[name] = pa.array(values, pa.int64(), mask=~has)
        return made


def different_pairs(chunks: Iterable[pa.Table], keying: RepeatKeys) -> Pairs:
    """The pairs of a part, each once."""
    found: list[Pairs] = []
    for table in chunks:
        found.append(_once(keying.key(table).keys.reshape(-1, 2)))
        if len(found) == _JOINED_AT_ONCE:
            found = [_once(np.concatenate(found))]
    return _once(np.concatenate(found)) if found else np.zeros((0, 2), dtype=np.uint64)


def counts_of(pairs: Pairs) -> Counted:
    """How many different pairs each text and each image is in; pairs are different."""
    return count(pairs.reshape(-1))


def pairs_by_bucket(pairs: Pairs, buckets: int) -> Iterator[tuple[int, bytes]]:
    """Pairs by the bucket that each falls in."""
    bucket = (_keys(pairs) % np.uint64(buckets)).astype(np.int64)
    order = np.argsort(bucket, kind="stable")
    pairs = pairs[order]
    for number, here in runs(bucket[order]):
        yield number, pairs[here].astype("<u8").tobytes()


def distinct(blobs: Iterable[bytes]) -> Counted:
    """How many different pairs of one bucket each text and each image is in."""
    return counts_of(_once(np.frombuffer(b"".join(blobs), dtype="<u8").reshape(-1, 2)))


def _keys(pairs: Pairs) -> NDArray[np.uint64]:
    return joined(pairs[:, 0], pairs[:, 1])


def _once(pairs: Pairs) -> Pairs:
    return pairs[np.unique(_keys(pairs), return_index=True)[1]]
