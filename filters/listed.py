"""Lists that a user gives: URLs, domains, uids or hashes to take or to leave, and which rows stand in one.

In: a file (a line a value in text, `#` before a comment, .gz and the like read as they are named; the column of that
name in Parquet; DataComp's subset in .npy) and a column of texts. Out: for each row whether its value is listed.

    url      the same URL: scheme and host in lower case, without default port and fragment, else to the letter
    domain   the host itself or any subdomain: `example.com` lists a.example.com, not notexample.com; an IP address
             lists itself alone
    uid      as it stands; sha256 in lower case. How often a value is listed does not count.

A list is held as 8 bytes a value, sorted, whatever the values' length. That one of a billion rows is taken by chance
for one of two billion listed values is expected once in ten lists.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import ada_url
import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.recipe_steps import LISTED_BY, Listed, Step
from schemas.urls import canonical_url

Hashes = npt.NDArray[np.uint64]
_LINES = 100_000
_CHUNK = 8 << 20
_ADDRESS = re.compile(r"[0-9.]+|\[.*\]")
_HOST = r"^\s*[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#\\]*@)?(?P<host>\[[^\]/?#]*\]|[^/?#\\:@]*)"
_DIGEST = re.compile(r"[0-9a-f]+")
# Odd, so that digests which differ in one of their parts differ in their hash: uids may be padded with zeros.
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xFF51AFD7ED558CCD], dtype=np.uint64)
_SUBSET = np.dtype("u8,u8")


def pinned(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps, each list with the SHA-256 of its file; a Refusal where a file cannot be read as a list."""
    return tuple(_pin(step) if isinstance(step, Listed) else step for step in steps)


def _pin(step: Listed) -> Listed:
    found = hashlib.sha256()
    place = step.place.at(step.verb).at("file")
    try:
        with fsspec.open(step.file, "rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
        first = next(_values(step.file, step.by), None)
    except (OSError, ValueError, ImportError) as error:
        raise place.refusal(f"{step.file} cannot be read as a list: {error}") from error
    if first is None:
        raise place.refusal(f"{step.file} lists nothing")
    for value in first[:1_000]:
        if not _FITS[step.by](value):
            raise place.refusal(f"{step.file} is no list of values of {step.by!r}: it holds {value!r}")
    return replace(step, sha256=found.hexdigest())


def listed_values(file: str, by: str) -> Iterator[str]:
    """The values of a list, in the one form in which they are compared."""
    for values in _values(file, by):
        yield from map(_FORMS[by], values)


def where_listed(values: pa.Array | pa.ChunkedArray, step: Listed) -> npt.NDArray[np.bool_]:
    """Whether each value stands in the list of a step; null does not."""
    listed = _load(step.file, step.by, step.sha256)
    column = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if step.by == "domain":
        column = pc.struct_field(pc.extract_regex(column, _HOST), "host")
    coded = column.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    hits = np.zeros(len(texts) + 1, dtype=bool)  # the last one is null's
    if step.by == "domain":
        hits[:-1] = [bool(_contains(listed, _hashes(_with_parents(text))).any()) for text in texts]
    else:
        hits[:-1] = _contains(listed, _hashes(map(_FORMS[step.by], texts)))
    return hits[pc.fill_null(coded.indices, len(texts)).to_numpy(zero_copy_only=False)]


@lru_cache(maxsize=4)
def _load(file: str, by: str, sha256: str) -> Hashes:
    """The hashes of a list, sorted. sha256: of the content that was read at launch; another one is an error."""
    if sha256:
        with fsspec.open(file, "rb") as opened:
            digest = hashlib.sha256()
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise ValueError(f"{file} has changed since the run was launched")
    parts = [_hashes(map(_FORMS[by], values)) for values in _values(file, by)]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.uint64)


def _contains(listed: Hashes, wanted: Hashes) -> npt.NDArray[np.bool_]:
    if not len(listed):
        return np.zeros(len(wanted), dtype=bool)
    at = np.minimum(np.searchsorted(listed, wanted), len(listed) - 1)
    found: npt.NDArray[np.bool_] = listed[at] == wanted
    return found


def _hashes(values: Iterable[str]) -> Hashes:
    """8 bytes a value: of one that is a digest in hex made of its own bytes, else of its BLAKE2b."""
    texts = list(values)
    if set(map(len, texts)) in ({32}, {64}) and _DIGEST.fullmatch(joined := "".join(texts)):
        whole = np.frombuffer(bytes.fromhex(joined), dtype=">u8").reshape(len(texts), -1)
        return (whole.astype(np.uint64) * _FACTORS[: whole.shape[1]]).sum(axis=1, dtype=np.uint64)
    return np.fromiter(map(_hash, texts), dtype=np.uint64, count=len(texts))


def _hash(text: str) -> int:
    if len(text) in (32, 64) and _DIGEST.fullmatch(text):
        return int(_hashes([text])[0])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def _canonical_host(host: str) -> str:
    """In lower case and ASCII, without a dot at its end."""
    plain = host.rstrip(".").lower()
    return plain if plain.isascii() else ada_url.idna_to_ascii(plain).decode() or plain


def _with_parents(host: str) -> Iterator[str]:
    """A host and the domains above it."""
    host = _canonical_host(host)
    yield host
    if not _ADDRESS.fullmatch(host):
        while "." in host:
            host = host.partition(".")[2]
            yield host


def _values(file: str, by: str) -> Iterator[list[str]]:
    """The values of a list, so many at once."""
    if file.endswith(".parquet"):
        with fsspec.open(file, "rb") as opened:
            table = pq.ParquetFile(opened)
            if by not in table.schema_arrow.names:
                raise ValueError(f"no column {by!r}; there are {', '.join(table.schema_arrow.names)}")
            for batch in table.iter_batches(batch_size=_LINES, columns=[by]):
                yield from _filled(batch.column(0).cast(pa.string()).drop_null().to_pylist())
    elif file.endswith(".npy"):
        with fsspec.open(file, "rb") as opened:
            rows = np.load(opened, allow_pickle=False)
        if by != "uid" or rows.dtype != _SUBSET:
            raise ValueError(f"a .npy lists uids as DataComp's subsets do, of type u8,u8; this is of {rows.dtype}")
        for first in range(0, len(rows), _LINES):
            yield [f"{int(high):016x}{int(low):016x}" for high, low in rows[first : first + _LINES]]
    else:
        with fsspec.open(file, "rt", encoding="utf-8", compression="infer") as opened:
            while lines := opened.readlines(_CHUNK):
                stripped = map(str.strip, lines)
                yield from _filled([value for value in stripped if value and not value.startswith("#")])


def _filled(values: list[str]) -> Iterator[list[str]]:
    if values:
        yield values


def _is_url(value: str) -> bool:
    try:
        return bool(urlsplit(value).hostname)
    except ValueError:
        return False


_FORMS: Mapping[str, Callable[[str], str]] = {
    "url": canonical_url,
    "domain": _canonical_host,
    "uid": str,
    "sha256": str.lower,
}
_FITS: Mapping[str, Callable[[str], Any]] = {
    "url": _is_url,
    "domain": re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:@?#\[\]]+)").fullmatch,
    "uid": re.compile(r"\S+").fullmatch,
    "sha256": re.compile(r"[0-9A-Fa-f]{64}").fullmatch,
}
assert set(_FORMS) == set(_FITS) == set(LISTED_BY)
