"""Lists of hashes of pictures that must not be stored: no byte of one is, and its row says why.

In: files of SHA-256, MD5 or PDQ hashes, hashes alone; the bytes of an image as served, the PDQ hash of its pixels. Out:
which list it stands in, if any. Bytes are looked up before anything is decoded, pixels before anything is written.

    sha256:FILE, md5:FILE, pdq:FILE     a value a line, or a column of that name in .csv, .tsv or .parquet
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beam_jobs.storage.files import read_bytes, read_pinned
from schemas.refusal import Refusal

HEX_DIGITS = {"sha256": 64, "md5": 32, "pdq": 64}
# In how many bits of 256 a picture's PDQ hash may differ from a listed one: what its publication recommends.
DISTANCE = 31
# Where the lists stand in the download's configuration.
BLOCKLIST = "blocklist"
_KEY = np.dtype([("high", "<u8"), ("low", "<u8")])
_WORDS = 4


@dataclass(frozen=True)
class BlockedFile:
    """One list: its kind of hash, where it lies, and the SHA-256 of what it held at launch."""

    kind: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Blocklist:
    """All lists of a run. distance: see DISTANCE."""

    files: tuple[BlockedFile, ...] = ()
    distance: int = DISTANCE

    @property
    def looks_at_pixels(self) -> bool:
        return any(file.kind == "pdq" for file in self.files)

    def to_json(self) -> dict[str, object]:
        """What stands for the lists in a fingerprint: what they hold, not where they lie."""
        return {"distance": self.distance, "lists": sorted([file.kind, file.sha256] for file in self.files)}

    def of_bytes(self, data: bytes) -> str | None:
        """The kind of list in which a file's bytes stand; None for most."""
        for file in self.files:
            if file.kind != "pdq":
                digest = hashlib.new(file.kind, data, usedforsecurity=False).digest()
                if _stands_in(_loaded(file), digest):
                    return file.kind
        return None

    def of_pixels(self, pdq: str | None) -> str | None:
        """`pdq` where a picture's hash is near a listed one; None for most, and for pictures without a hash."""
        if pdq is None:
            return None
        words = np.frombuffer(bytes.fromhex(pdq), "<u8")
        for file in self.files:
            if file.kind == "pdq" and bool((_bits_apart(_loaded(file), words) <= self.distance).any()):
                return "pdq"
        return None


def parse_blocklist(given: Sequence[str], distance: int = DISTANCE) -> Blocklist | None:
    """The lists that the command line gives, each `KIND:FILE`, read once and checked; None for none."""
    if not 0 <= distance <= DISTANCE:
        raise Refusal(f"--blocklist_distance: expected 0 to {DISTANCE} bits; given {distance}")
    files = []
    for value in given:
        kind, colon, url = value.partition(":")
        if not colon or kind not in HEX_DIGITS or not url:
            raise Refusal(f"--blocklist: expected KIND:FILE, of {', '.join(HEX_DIGITS)}; given {value!r}")
        try:
            data = read_bytes(url)
            first = next(_values(data, url, kind), None)
            count = sum(len(_digest(text, kind)) > 0 for text in _values(data, url, kind))
        except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
            raise Refusal(f"--blocklist: {url} cannot be read: {error}") from error
        except ValueError as error:
            raise Refusal(f"--blocklist: {url} is no list of {kind}: {error}") from error
        if first is None or not count:
            raise Refusal(f"--blocklist: {url} lists nothing")
        files.append(BlockedFile(kind, url, hashlib.sha256(data).hexdigest()))
    return Blocklist(tuple(files), distance) if files else None


def check_blocklist(blocklist: Blocklist | None, before: Mapping[str, Any] | None, work: str) -> None:
    """Raises a Refusal where a folder's images are to be held against lists that are not given, or not these."""
    if before is not None and (blocklist is None or blocklist.to_json() != before):
        raise Refusal(f"--blocklist: the images of {work} are held against lists of hashes; give the same again")
    if before is None and blocklist is not None:
        raise Refusal(f"--blocklist: the images of {work} were fetched without lists of hashes; use another --work")


@lru_cache(maxsize=16)
def _loaded(file: BlockedFile) -> NDArray[Any]:
    """A list in memory: sorted first bytes of digests, or the four words of each PDQ hash."""
    data = read_pinned(file.url, file.sha256)
    digests = [_digest(text, file.kind) for text in _values(data, file.url, file.kind)]
    if file.kind == "pdq":
        return np.frombuffer(b"".join(digests), "<u8").reshape(-1, _WORDS)
    return np.unique(np.frombuffer(b"".join(digest[: _KEY.itemsize] for digest in digests), _KEY))


def _stands_in(keys: NDArray[np.void], digest: bytes) -> bool:
    key = np.frombuffer(digest[: _KEY.itemsize], _KEY)[0]
    first, last = (int(np.searchsorted(keys["high"], key["high"], side=side)) for side in ("left", "right"))
    return bool((keys["low"][first:last] == key["low"]).any())


def _bits_apart(listed: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.int64]:
    different = listed ^ words
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(different).sum(axis=1, dtype=np.int64))
    return np.asarray(np.unpackbits(different.view(np.uint8), axis=1).sum(axis=1, dtype=np.int64))


def _digest(text: str, kind: str) -> bytes:
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{HEX_DIGITS[kind]}}}", text):
        raise ValueError(f"it holds {text[:80]!r}; expected {HEX_DIGITS[kind]} hex digits")
    return bytes.fromhex(text)


def _values(data: bytes, url: str, kind: str) -> Iterator[str]:
    """The values of a list as they are written."""
    if url.endswith(".parquet"):
        yield from _column(pq.read_table(io.BytesIO(data)), kind)
    elif url.endswith((".csv", ".tsv")):
        rows = csv.DictReader(io.StringIO(data.decode()), delimiter="\t" if url.endswith(".tsv") else ",")
        if kind not in (rows.fieldnames or ()):
            raise ValueError(f"no column {kind!r}; there are {', '.join(rows.fieldnames or ())}")
        yield from (row[kind].strip() for row in rows if row[kind] and row[kind].strip())
    else:
        lines = (line.strip() for line in data.decode().splitlines())
        yield from (line for line in lines if line and not line.startswith("#"))


def _column(table: pa.Table, kind: str) -> Iterator[str]:
    if kind not in table.column_names:
        raise ValueError(f"no column {kind!r}; there are {', '.join(table.column_names)}")
    yield from table[kind].cast(pa.string()).drop_null().to_pylist()
