"""A vocabulary: the entries that concepts are counted for, from a file.

In: a text file with an entry a line, or Parquet with one column of texts, at any fsspec URL. Out: entries in the order
of the file, and the SHA-256 of its bytes, by which a fingerprint knows it. Refused in one line: a file that is missing
or of another shape, no entries, an empty one, one that is there twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from beam_jobs.storage.files import read_bytes
from schemas.refusal import JobFailed, Refusal

MOST_ENTRIES = 20_000_000


@dataclass(frozen=True)
class Vocabulary:
    """Different texts, none empty."""

    entries: pa.StringArray
    sha256: str

    def __len__(self) -> int:
        return len(self.entries)


def read_vocabulary(url: str, *, fold_case: bool = False) -> Vocabulary:
    """The vocabulary of a file, its entries in lower case if asked for."""
    try:
        data = read_bytes(url)
    except (OSError, ValueError, ImportError) as error:
        raise Refusal(
            f"vocabulary {url}: expected a file of entries; it cannot be read: {_first_line(error)}"
        ) from error
    entries = _from_parquet(url, data) if url.endswith(".parquet") else _from_lines(url, data)
    if not entries:
        raise Refusal(f"vocabulary {url}: expected an entry a line; given none")
    if len(entries) > MOST_ENTRIES:
        raise Refusal(f"vocabulary {url}: expected at most {MOST_ENTRIES:,} entries; given {len(entries):,}")
    if fold_case:
        entries = [entry.lower() for entry in entries]
    for number, entry in enumerate(entries):
        if not entry.strip():
            raise Refusal(f"vocabulary {url}: entry {number + 1} of {len(entries)} is empty")
    if len(set(entries)) < len(entries):
        [(entry, times)] = Counter(entries).most_common(1)
        folded = " in lower case" if fold_case else ""
        raise Refusal(f"vocabulary {url}: expected different entries; {entry!r} is there {times} times{folded}")
    return Vocabulary(pa.array(entries, pa.string()), hashlib.sha256(data).hexdigest())


@lru_cache(maxsize=4)
def known_vocabulary(url: str, sha256: str, *, fold_case: bool) -> Vocabulary:
    """The vocabulary that a run was launched with, read once a process; JobFailed when the file is another by now."""
    found = read_vocabulary(url, fold_case=fold_case)
    if found.sha256 != sha256:
        raise JobFailed(f"vocabulary {url} is not the file that the run was launched with")
    return found


def _from_lines(url: str, data: bytes) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"vocabulary {url}: expected UTF-8, an entry a line; byte {error.start} is not") from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text.strip() else []


def _from_parquet(url: str, data: bytes) -> list[str]:
    try:
        table = pq.read_table(BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise Refusal(f"vocabulary {url}: expected Parquet with a column of texts; {_first_line(error)}") from error
    kinds = [f"{field.name}: {field.type}" for field in table.schema]
    if table.num_columns != 1 or table.schema[0].type not in (pa.string(), pa.large_string()):
        raise Refusal(
            f"vocabulary {url}: expected Parquet with one column of texts; given {', '.join(kinds) or 'none'}"
        )
    return [entry or "" for entry in table.column(0).to_pylist()]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
