"""An index of known images: what an earlier run kept, or an evaluation set; keys, hashes and embeddings, no picture.

In: a folder (any fsspec URL) that `pairmill index` wrote. Out: its manifest, checked, and the rows of its parts.

    INDEX/index.json                    the manifest, written last: name, what it holds, what made that, digests
    INDEX/rows/00000.parquet            KNOWN_ROWS, one part
    INDEX/embeddings/<label>/00000.npy  float16, the rows of the part in order; zeros where there is none
    INDEX/pictures/00000.tar            of evaluation sets: small pictures for the report, by uid

Rows lie in a part in the order of a hash of their uid, so the first rows of all parts are a uniform sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from beam_jobs.matching.image_rows import open_halves, read_halves
from beam_jobs.matching.vectors import Halves, Indices, usable
from beam_jobs.storage.files import exists, join, open_read, read_json, write_json
from beam_jobs.storage.parquet import read_table
from beam_jobs.storage.run_folder import shard_name
from schemas.keys import fingerprint
from schemas.refusal import Refusal

FORMAT = 1
KEY_BYTES, DIGEST_BYTES = 16, 32
KNOWN_ROWS = pa.schema(
    [
        ("uid", pa.string()),
        ("name", pa.string()),  # of a file of an evaluation set; null elsewhere
        ("url", pa.binary(KEY_BYTES)),  # the first bytes of SHA-256 of the canonical form
        ("text", pa.binary(KEY_BYTES)),  # the same of the text
        ("sha256", pa.binary(DIGEST_BYTES)),
        ("pixels", pa.binary(DIGEST_BYTES)),
        ("perceptual", pa.binary(DIGEST_BYTES)),
        ("quality", pa.int32()),
    ]
)
_MANIFEST = "index.json"
_LONG_AGO = -(2**31)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class KnownPart:
    """One part: how many rows, and digests of its files. rows_sha256: of the table; embeddings: by label."""

    rows: int
    rows_sha256: str
    embeddings: Mapping[str, str] = field(default_factory=dict)
    pictures: int = 0


@dataclass(frozen=True)
class KnownIndex:
    """The manifest of an index.

    since: the first day from which its images exist anywhere, if that is known. holds: kinds of KNOWN_KINDS that its
    rows have. embeddings, hash: what made them (a scorer's configuration), embeddings by label.
    """

    url: str
    name: str
    since: str | None
    holds: tuple[str, ...]
    embeddings: Mapping[str, Any]
    hash: Any
    parts: tuple[KnownPart, ...]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def digest(self) -> str:
        """What stands for the index in a fingerprint: all but where it lies."""
        return fingerprint({**asdict(self), "url": ""})

    @property
    def since_day(self) -> int:
        return _LONG_AGO if self.since is None else (date.fromisoformat(self.since) - _EPOCH).days

    def read_rows(self, part: int, columns: list[str]) -> pa.Table:
        return read_table(rows_url(self.url, part), columns)

    def read_embeddings(self, label: str, part: int, *, most: int | None = None) -> tuple[Indices, Halves]:
        """The rows of a part that have a usable embedding, and these; of the first `most` rows alone if given."""
        url = embeddings_url(self.url, label, part)
        with open_read(url) as file:
            rows, width = open_halves(file, url)
            halves = read_halves(file, url, rows if most is None else min(rows, most), width)
        fit = np.flatnonzero(usable(halves)).astype(np.int64)
        return fit, halves[fit]


def rows_url(url: str, part: int) -> str:
    return join(url, "rows", f"{shard_name(part)}.parquet")


def embeddings_url(url: str, label: str, part: int) -> str:
    return join(url, "embeddings", label, f"{shard_name(part)}.npy")


def pictures_url(url: str, part: int) -> str:
    return join(url, "pictures", f"{shard_name(part)}.tar")


def manifest_url(url: str) -> str:
    return join(url, _MANIFEST)


def write_manifest(index: KnownIndex) -> None:
    """Writes the manifest: from now on the index is whole."""
    write_json(manifest_url(index.url), {"format": FORMAT, **{k: v for k, v in asdict(index).items() if k != "url"}})


def open_index(url: str, *, option: str, name: str | None = None) -> KnownIndex:
    """The index at a URL; a Refusal where there is none. option: what the user gave it with. name: another for it."""
    manifest = manifest_url(url)
    if not exists(manifest):
        raise Refusal(f"{option}: {url} holds no index ({_MANIFEST} is absent); `pairmill index` writes one")
    value = read_json(manifest)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else value
        raise Refusal(f"{option}: expected an index of format {FORMAT} at {url}; it is of format {found!r}")
    return KnownIndex(
        url=url,
        name=name or value["name"],
        since=value["since"],
        holds=tuple(value["holds"]),
        embeddings=value["embeddings"],
        hash=value["hash"],
        parts=tuple(KnownPart(**part) for part in value["parts"]),
    )
