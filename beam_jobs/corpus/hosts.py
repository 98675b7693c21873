"""Hosts of images and their last labels, counted over the corpus.

In: URLs. Out: host, host_pairs, tld, tld_pairs; null where a URL names no host, or an address in numbers no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.corpus.hashing import starts_of, text_keys
from beam_jobs.corpus.keying import Keyed
from beam_jobs.corpus.tallies import Counts, Spectrum
from schemas.corpus import HostsOptions

_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)*(?P<host>\[[^\]/?#]+\]|[^/?#:@\[\]]+)"
_LAST = r"\.(?P<tld>[^.\]]*[^.\]0-9][^.\]]*)$"


@dataclass(frozen=True)
class HostKeys:
    """The host of a row and its last label, where it has them."""

    options: HostsOptions

    @property
    def reads(self) -> tuple[str, ...]:
        return self.options.reads

    @property
    def entries_per_row(self) -> float:
        return 0.25

    def key(self, table: pa.Table) -> Keyed:
        hosts = hosts_of(table["url"])
        tlds = _found(hosts, _LAST, "tld")
        keys = np.column_stack([text_keys(hosts, salt=b"host"), text_keys(tlds, salt=b"tld")])
        present = np.column_stack([np.asarray(pc.is_valid(each)).astype(bool) for each in (hosts, tlds)])
        values = pa.StructArray.from_arrays([hosts, tlds], ["host", "tld"])
        return Keyed(keys[present], starts_of(present.sum(axis=1, dtype=np.int64)), values=values)

    def columns(self, table: pa.Table, keyed: Keyed, totals: Counts, spectrum: Spectrum) -> Mapping[str, pa.Array]:
        made: dict[str, pa.Array] = {}
        assert keyed.values is not None
        present = {name: np.asarray(pc.is_valid(keyed.values.field(name))).astype(bool) for name in ("host", "tld")}
        # A row's host comes first, then its label.
        place = {"host": keyed.starts[:-1], "tld": keyed.starts[:-1] + present["host"]}
        for name, has in present.items():
            pairs = np.zeros(table.num_rows, dtype=np.int64)
            pairs[has] = totals[place[name][has]]
            made[name] = keyed.values.field(name)
            made[f"{name}_pairs"] = pa.array(pairs, pa.int64(), mask=~has)
        return made


def hosts_of(urls: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """The hosts of URLs in lower case, without a last dot."""
    array = urls.combine_chunks() if isinstance(urls, pa.ChunkedArray) else urls
    return pc.utf8_rtrim(pc.utf8_lower(_found(array, _HOST, "host")), characters=".")


def _found(texts: pa.StringArray, pattern: str, name: str) -> pa.StringArray:
    """A named group of a pattern, null where the pattern is not found."""
    return pc.struct_field(pc.extract_regex(texts, pattern), name)
