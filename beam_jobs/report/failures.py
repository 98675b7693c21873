"""What could not be fetched or read: by class with an example each, and by host.

In: shards, one after the other; for failures found before the download, the pairs. Out: classes and hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.report.shard_rows import ShardRows
from beam_jobs.report.tops import TopCounter
from beam_jobs.storage.files import exists
from beam_jobs.storage.parquet import iter_batches
from beam_jobs.storage.run_folder import RunFolder
from schemas.keys import uid_order
from schemas.reasons import KEPT

# RFC 3986's authority without user and port, as far as counting hosts needs it.
_HOST = r"^(?i:https?)://(?:[^/?#@]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#:@\s]+)"


def hosts_of(urls: pa.ChunkedArray) -> pa.ChunkedArray:
    """The lower-case host of each URL; null where there is none."""
    found = pc.struct_field(pc.extract_regex(urls, _HOST), "host")
    return pc.utf8_lower(found)


def counts_of(values: pa.ChunkedArray | pa.Array) -> dict[str, int]:
    """How often each value occurs; nulls are left out."""
    counted = pc.value_counts(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return {str(value): count for value, count in pairs if value is not None}


@dataclass(frozen=True)
class Example:
    """A failed row: the one with the lowest `uid_order` of its class."""

    url: str
    message: str


@dataclass
class Failures:
    """Failed rows of the image shards."""

    rows: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    hosts: TopCounter = field(default_factory=TopCounter)
    failed_hosts: TopCounter = field(default_factory=TopCounter)
    host_classes: TopCounter = field(default_factory=TopCounter)
    _examples: dict[str, tuple[int, Example]] = field(default_factory=dict)

    def add(self, rows: ShardRows) -> None:
        table = rows.table
        self.rows += len(rows)
        hosts = hosts_of(table["url"])
        self.hosts.add(counts_of(hosts))
        failed = np.flatnonzero(~rows.fetched)
        if not len(failed):
            return
        picked = pa.array(failed)
        reasons = table["reason"].take(picked)
        failed_hosts = hosts.take(picked)
        self.failed_hosts.add(counts_of(failed_hosts))
        self.host_classes.add(counts_of(pc.binary_join_element_wise(failed_hosts, reasons, "\t")))
        counted = counts_of(reasons)
        self.classes.update(counted)
        for reason in sorted(counted):
            of_class = failed[np.asarray(reasons.to_pylist(), dtype=object) == reason]
            order, row = min((uid_order(rows.uids[row]), row) for row in of_class.tolist())
            message = table["error_message"][row].as_py() if "error_message" in table.column_names else None
            self._offer(reason, order, Example(table["url"][row].as_py() or "", message or ""))

    def _offer(self, reason: str, order: int, example: Example) -> None:
        known = self._examples.get(reason)
        if known is None or order < known[0]:
            self._examples[reason] = (order, example)

    def example(self, reason: str) -> Example | None:
        found = self._examples.get(reason)
        return found[1] if found else None

    def main_class(self, host: str) -> str:
        """The failure class that a host shows most."""
        names = [(-self.host_classes[f"{host}\t{reason}"], reason) for reason in self.classes]
        return min(names, default=(0, ""))[1]


@dataclass(frozen=True)
class DroppedText:
    """A row that ended before any download."""

    uid: str
    text: str
    url: str
    message: str


def dropped_before_download(
    folder: RunFolder, parts: Mapping[int, object], reasons: Mapping[str, int], *, each: int, parts_read: int
) -> dict[str, list[DroppedText]]:
    """Examples of rows that `extract` and `preselect` dropped, by reason: different texts, of the
    lowest `uid_order` in the parts read.

    Parts are read in order until every reason has its examples, and `parts_read` of them at most.
    """
    wanted = {reason: min(each, rows) for reason, rows in reasons.items() if reason != KEPT and rows}
    found: dict[str, list[tuple[int, DroppedText]]] = {reason: [] for reason in wanted}
    for part in sorted(parts)[:parts_read]:
        if all(len(found[reason]) >= size for reason, size in wanted.items()):
            break
        if exists(folder.preselected(part)) and exists(folder.pairs(part)):
            _read_part(folder, part, found, each)
    return {reason: [text for _, text in texts] for reason, texts in found.items() if texts}


def _read_part(folder: RunFolder, part: int, found: dict[str, list[tuple[int, DroppedText]]], each: int) -> None:
    decided = iter_batches(folder.preselected(part), ["uid", "reason"])
    pairs = iter_batches(folder.pairs(part), ["uid", "url", "text", "message"])
    for judged, batch in zip(decided, pairs, strict=True):
        if judged["uid"] != batch["uid"]:
            raise ValueError(f"part {part} of pairs/ and preselected/ do not have the same rows")
        for reason, texts in found.items():
            rows = np.flatnonzero(
                pc.fill_null(pc.equal(judged["reason"], reason), False).to_numpy(zero_copy_only=False)
            )
            for row in rows.tolist():
                values = {name: batch[name][row].as_py() or "" for name in ("uid", "text", "url", "message")}
                texts.append((uid_order(values["uid"]), DroppedText(**values)))
            texts.sort(key=lambda entry: (entry[0], entry[1].url))
            different = {entry[1].text: entry for entry in reversed(texts)}
            texts[:] = sorted(different.values(), key=lambda entry: (entry[0], entry[1].url))[:each]
