"""download: the planned rows of a shard are fetched, prepared and stored, each with what became of it.

In: planned/NNNNN.parquet. Out: images/NNNNN.tar (successes, in row order), images/NNNNN_stats.json and, last,
images/NNNNN.parquet (every row, failures with a class and a message): img2dataset's contract with our columns in
front. Fetching, decoding and waiting overlap; encoded images wait for their turn in a temporary file.
"""

from __future__ import annotations

import json
import queue
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from json.encoder import encode_basestring_ascii as quoted
from typing import IO, Any

import pyarrow as pa

from beam_jobs.fetching.addresses import ResolveRule
from beam_jobs.fetching.blocklist import Blocklist
from beam_jobs.fetching.decoders import shared_decoders
from beam_jobs.fetching.fetch import Fetched, fetch_all
from beam_jobs.fetching.pixels import Prepared
from beam_jobs.fetching.policy import FetchOptions
from beam_jobs.storage.files import atomic_write, open_read, write_bytes
from beam_jobs.storage.ledger import Tally
from beam_jobs.storage.parquet import read_table, write_table
from beam_jobs.storage.run_folder import RunFolder
from beam_jobs.storage.tar_shard import TarShardWriter, iter_samples
from schemas.download import DownloadSection
from schemas.keys import sample_key
from schemas.reasons import KEPT, Failed
from schemas.tables import IMAGES

SUCCESS, NOT_FETCHED, NOT_PREPARED = "success", "failed_to_download", "failed_to_resize"
_MOST_ERRORS = 50_000
_FROM_PREPARED = (
    "format",
    "frame_count",
    "orientation",
    "width",
    "height",
    "original_width",
    "original_height",
    "exif",
    "sha256",
)
_Row = dict[str, Any]


@dataclass(frozen=True)
class DownloadOptions:
    """What the recipe says of images, and how this launch fetches. decoders: processes, 0 for one a core.

    blocklist: hashes of images of which no byte may be stored.
    """

    section: DownloadSection = field(default_factory=DownloadSection)
    fetch: FetchOptions = field(default_factory=FetchOptions)
    decoders: int = 0
    decoder_timeout: float = 20.0
    blocklist: Blocklist = field(default_factory=Blocklist)

    @staticmethod
    def build(
        section: DownloadSection | Mapping[str, Any],
        *,
        resolve: Sequence[ResolveRule] = (),
        contact: str | None = None,
        blocklist: Blocklist | None = None,
        **limits: Any,
    ) -> DownloadOptions:
        """From a recipe's section and the launch's rules, contact and limits (fields of FetchOptions)."""
        if not isinstance(section, DownloadSection):
            section = DownloadSection(**section)
        fetch = FetchOptions(
            max_bytes=section.max_bytes,
            robots=section.robots,
            honour_tdm=section.tdm_reservation,
            read_tdm_file=section.tdm_reservation,
            honour_tags=bool(section.disallowed_directives),
            disallowed=section.disallowed_directives,
            resolve=tuple(resolve),
            contact=contact,
        )
        return DownloadOptions(section=section, fetch=replace(fetch, **limits), blocklist=blocklist or Blocklist())


@dataclass(frozen=True)
class DownloadTask:
    """One shard to download. again: of a shard downloaded before, only rows that failed so are fetched once more."""

    work: str
    shard: int
    options: DownloadOptions
    again: frozenset[str] = frozenset()


class _Spool:
    """Encoded images on a local disk until their turn comes, by row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[int, tuple[int, int]] = {}
        self._end = 0

    def put(self, row: int, data: bytes) -> None:
        self._places[row] = (self._end, len(data))
        self._file.write(data)
        self._end += len(data)

    def get(self, row: int) -> bytes:
        at, size = self._places[row]
        self._file.seek(at)
        return self._file.read(size)


def download_shard(task: DownloadTask) -> Tally:
    """Downloads one shard; the Tally's digest is that of its table."""
    folder, started = RunFolder(task.work), time.time()
    planned = read_table(folder.planned(task.shard), columns=["uid", "url", "text"])
    with tempfile.TemporaryFile(prefix="pairmill-images-") as file:
        spool = _Spool(file)
        rows = [_empty_row(task, index, pair) for index, pair in enumerate(planned.to_pylist())]
        settled = _take_over(task, rows, spool) if task.again else set()
        _download_rows(rows, sorted(set(range(len(rows))) - settled), task.options, spool)
        _write_tar(folder.image_tar(task.shard), rows, spool, task.options.section.encode_format)
    _write_stats(folder.image_stats(task.shard), rows, started)
    table = pa.Table.from_pylist(rows, schema=IMAGES)
    digest = write_table(folder.image_table(task.shard), table, compression="snappy")
    return Tally(
        rows_in=len(rows),
        reasons=dict(Counter(row["reason"] or KEPT for row in rows)),
        digest=digest,
        numbers={"bytes_fetched": float(sum(row["byte_size"] or 0 for row in rows))},
    )


def _take_over(task: DownloadTask, rows: list[_Row], spool: _Spool) -> set[int]:
    """Fills in the rows of the earlier download that stay as they are, with their images; their places."""
    folder = RunFolder(task.work)
    stay = set()
    for index, row in enumerate(read_table(folder.image_table(task.shard)).to_pylist()):
        if row["uid"] != rows[index]["uid"]:
            raise ValueError(f"{folder.image_table(task.shard)} does not have the rows of its plan")
        if row["reason"] not in task.again:
            rows[index] = row
            stay.add(index)
    places = {rows[index]["key"]: index for index in stay}
    with open_read(folder.image_tar(task.shard)) as file:
        for sample in iter_samples(file, places.__contains__):
            spool.put(places[sample.key], sample.members[task.options.section.encode_format])
    return stay


def _download_rows(rows: list[_Row], places: Sequence[int], options: DownloadOptions, spool: _Spool) -> None:
    """Fetches and prepares the rows at these places; each ends as its record in the images table."""
    decoders = shared_decoders(options.decoders, options.decoder_timeout)
    settled: queue.SimpleQueue[tuple[int, Future[Prepared]]] = queue.SimpleQueue()
    pending = 0
    for index, fetched in fetch_all(((place, rows[place]["url"]) for place in places), options.fetch):
        _note_fetched(rows[index], fetched)
        listed = None if fetched.body is None else options.blocklist.of_bytes(fetched.body)
        if listed is not None:
            _note_blocked(rows[index], listed)
        elif fetched.body is not None:
            done = decoders.submit(fetched.body, options.section, hashed=options.blocklist.looks_at_pixels)
            done.add_done_callback(partial(_announce, settled, index))
            pending += 1
        while not settled.empty():
            _settle(*settled.get(), rows, spool, options.blocklist)
            pending -= 1
    for _ in range(pending):
        _settle(*settled.get(), rows, spool, options.blocklist)


def _announce(settled: queue.SimpleQueue[tuple[int, Future[Prepared]]], index: int, done: Future[Prepared]) -> None:
    settled.put((index, done))


def _note_blocked(row: _Row, kind: str) -> None:
    row.update(status=NOT_PREPARED, reason="blocked_by_list", error_message=f"its {kind} stands in a blocklist")


def _settle(index: int, done: Future[Prepared], rows: list[_Row], spool: _Spool, blocklist: Blocklist) -> None:
    """Notes in a row what became of its image."""
    row = rows[index]
    try:
        prepared = done.result()
    except Failed as failed:
        row.update(status=NOT_PREPARED, reason=failed.reason, error_message=failed.message)
        return
    listed = blocklist.of_pixels(prepared.pdq)
    if listed is not None:
        _note_blocked(row, listed)
        return
    spool.put(index, prepared.data)
    row.update(status=SUCCESS, **{name: getattr(prepared, name) for name in _FROM_PREPARED})


def _empty_row(task: DownloadTask, index: int, pair: Mapping[str, Any]) -> _Row:
    row: _Row = dict.fromkeys(IMAGES.names)
    key = sample_key(task.shard, index, rows_per_shard=task.options.section.rows_per_shard)
    row.update(uid=pair["uid"], url=pair["url"], caption=pair["text"], key=key)
    return row


def _note_fetched(row: _Row, fetched: Fetched) -> None:
    row.update(
        final_url=fetched.final_url,
        http_status=fetched.http_status,
        content_type=fetched.content_type,
        byte_size=None if fetched.body is None else len(fetched.body),
    )
    if fetched.body is None:
        row.update(status=NOT_FETCHED, reason=fetched.reason, error_message=fetched.message)


def _write_tar(url: str, rows: Sequence[_Row], spool: _Spool, extension: str) -> None:
    with atomic_write(url) as file:
        tar = TarShardWriter(file)
        for index, row in enumerate(rows):
            if row["status"] == SUCCESS:
                tar.add(f"{row['key']}.{extension}", spool.get(index))
                tar.add(f"{row['key']}.json", _indented(row).encode())
                tar.add(f"{row['key']}.txt", row["caption"].encode("utf-8", "replace"))
        tar.close()


def _indented(row: _Row) -> str:
    """`json.dumps(row, indent=4)` of a flat row, at a tenth of its cost."""
    lines = [
        f'    "{name}": {"null" if value is None else quoted(value) if value.__class__ is str else value}'
        for name, value in row.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}"


def _write_stats(url: str, rows: Sequence[_Row], started: float) -> None:
    """img2dataset's statistics of a shard."""
    by_status = Counter(row["status"] for row in rows)
    errors = Counter(row["error_message"] for row in rows if row["status"] != SUCCESS)
    status_dict = ({SUCCESS: by_status[SUCCESS]} if by_status[SUCCESS] else {}) | dict(errors.most_common(_MOST_ERRORS))
    ended = time.time()
    stats = {
        "count": len(rows),
        "successes": by_status[SUCCESS],
        "failed_to_download": by_status[NOT_FETCHED],
        "failed_to_resize": by_status[NOT_PREPARED],
        "duration": ended - started,
        "start_time": started,
        "end_time": ended,
        "status_dict": status_dict,
    }
    write_bytes(url, json.dumps(stats, indent=4).encode())
