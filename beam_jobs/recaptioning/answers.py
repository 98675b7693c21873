"""Answers that came, kept by what was asked, so that nothing is asked twice.

In: finished answers, each with the digest of its request and the place of its row in the order of uids. Out: the
answers of all rows between two places, whoever asked and in whatever shards. A store is a folder of segments, which are
only ever added: each is one object, a Parquet file that bears the first and the last place of its rows in its name. A
shard is a span of places, so it reads the segments that touch its span and no others, however many there are; when it
is done it joins its own into one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.storage.files import join, list_files, remove_file
from beam_jobs.storage.parquet import iter_batches, write_table
from captioners.captioner import Answer

SEGMENT = pa.schema(
    [
        ("place", pa.uint64()),  # of the row in the order of uids
        ("digest", pa.string()),
        ("texts", pa.list_(pa.string())),
        ("finishes", pa.list_(pa.string())),
        ("tokens_in", pa.int32()),
        ("tokens_out", pa.int32()),
    ]
)
ANSWERS_A_SEGMENT = 1024
SECONDS_A_SEGMENT = 5.0
_SUFFIX = ".parquet"
_LOOKS = 5


@dataclass(frozen=True)
class _Segment:
    name: str
    first: int
    last: int

    def touches(self, first: int, last: int) -> bool:
        return self.first <= last and first <= self.last

    def lies_in(self, first: int, last: int) -> bool:
        return first <= self.first and self.last <= last


@dataclass
class Answers:
    """The answers of one shard: those found in the store, and those that are added to it.

    first, last: the span of the shard's rows in the order of uids, both in it.
    """

    url: str
    first: int
    last: int
    by_digest: dict[str, Answer] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    _own: list[str] = field(default_factory=list)
    _waiting: list[str] = field(default_factory=list)
    _flushed: float = field(default_factory=time.monotonic)

    def find(self) -> Mapping[str, Answer]:
        """Reads what the store has of the span; by digest."""
        for turn in range(_LOOKS):
            try:
                for segment in _segments(self.url):
                    if segment.touches(self.first, self.last) and segment.name not in self._own:
                        self._read(segment)
                break
            except FileNotFoundError:
                # Another run has joined segments since they were listed: what they held stands in a new one.
                if turn + 1 == _LOOKS:
                    raise
        return self.by_digest

    def add(self, place: int, digest: str, answer: Answer) -> None:
        """Keeps an answer; it is stored with the next segment."""
        self.by_digest[digest] = answer
        self._places[digest] = place
        self._waiting.append(digest)
        late = time.monotonic() - self._flushed > SECONDS_A_SEGMENT
        if len(self._waiting) >= ANSWERS_A_SEGMENT or late:
            self.flush()

    def flush(self) -> None:
        """Stores what has come since the last segment."""
        if self._waiting:
            self._own.append(self._write(self._waiting))
            self._waiting = []
        self._flushed = time.monotonic()

    def join(self) -> None:
        """One segment in place of the several that hold rows of this span alone."""
        self.flush()
        if len(self._own) < 2:
            return
        several, self._own = self._own, [self._write(list(self._places))]
        for name in several:
            if name not in self._own:
                remove_file(join(self.url, name))

    def _read(self, segment: _Segment) -> None:
        whole = segment.lies_in(self.first, self.last)
        for batch in iter_batches(join(self.url, segment.name)):
            if not whole:
                among = pc.and_(
                    pc.greater_equal(batch["place"], pa.scalar(self.first, pa.uint64())),
                    pc.less_equal(batch["place"], pa.scalar(self.last, pa.uint64())),
                )
                batch = batch.filter(among)
            for row in batch.to_pylist():
                digest = row["digest"]
                self.by_digest[digest] = Answer(
                    tuple(row["texts"]), tuple(row["finishes"]), row["tokens_in"], row["tokens_out"]
                )
                if whole:
                    self._places[digest] = row["place"]
        if whole:
            self._own.append(segment.name)

    def _write(self, digests: list[str]) -> str:
        ordered = sorted(digests, key=lambda digest: (self._places[digest], digest))
        answers = [self.by_digest[digest] for digest in ordered]
        places = [self._places[digest] for digest in ordered]
        columns = {
            "place": places,
            "digest": ordered,
            "texts": [list(answer.texts) for answer in answers],
            "finishes": [list(answer.finishes) for answer in answers],
            "tokens_in": [answer.tokens_in for answer in answers],
            "tokens_out": [answer.tokens_out for answer in answers],
        }
        content = hashlib.sha256("".join(ordered).encode()).hexdigest()[:16]
        name = f"{places[0]:016x}-{places[-1]:016x}-{content}{_SUFFIX}"
        write_table(join(self.url, name), pa.table(columns, schema=SEGMENT))
        return name


def _segments(url: str) -> Iterator[_Segment]:
    for name in list_files(url, _SUFFIX):
        parts = PurePosixPath(name).stem.split("-")
        try:
            yield _Segment(name, int(parts[0], 16), int(parts[1], 16))
        except (IndexError, ValueError):
            continue  # no segment of ours
