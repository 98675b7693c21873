"""What is done: a marker per shard, written last, and a manifest per stage.

A marker says what made the shard (fingerprint of the configuration, digest of the inputs) and what came of it
(digest of its table, rows in, counts by reason). A shard is done when its marker says what is asked for now;
anything else is made again. Shards that were finished together may share one manifest, so that a run of
100,000 shards reads one file to know where it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_jobs.storage.files import exists, join, list_files, read_json, remove_file, remove_tree, write_json
from beam_jobs.storage.run_folder import shard_name
from schemas.reasons import KEPT

MANIFEST = "manifest.json"
# Files of an object store that are read or removed at once: each takes some tens of milliseconds of waiting.
_AT_ONCE = 16


@dataclass(frozen=True)
class Tally:
    """What became of a shard's rows. `reasons` adds up to `rows_in`; `kept` rows go on to the next stage.

    digest: SHA-256 of the table that holds the shard's rows. details: counts of other units (pages, records).
    numbers: sums worth reporting (bytes, seconds), never read by a decision.
    """

    rows_in: int
    reasons: Mapping[str, int]
    digest: str
    details: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        total = sum(self.reasons.values())
        if total != self.rows_in:
            raise ValueError(f"reasons add up to {total}, rows to {self.rows_in}: {dict(self.reasons)}")

    @property
    def kept(self) -> int:
        return self.reasons.get(KEPT, 0)


@dataclass(frozen=True)
class Ticket:
    """What a shard's marker will say of its origin: configuration and inputs."""

    stage: str
    shard: int
    fingerprint: str
    inputs: str


@dataclass(frozen=True)
class Marker:
    """A finished shard. seconds: how long it took, 0 where it came out of a shuffle; ended: when, in Unix time."""

    ticket: Ticket
    tally: Tally
    seconds: float
    ended: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Marker:
        return Marker(Ticket(**value["ticket"]), Tally(**value["tally"]), value["seconds"], value.get("ended", 0.0))


def reasons_of(markers: Iterable[Marker]) -> Counter[str]:
    """The counts by reason of several shards together."""
    reasons: Counter[str] = Counter()
    for marker in markers:
        reasons.update(marker.tally.reasons)
    return reasons


@dataclass(frozen=True)
class Manifest:
    """A stage as a whole. `state` is `started` or `done`; `configuration` is what its fingerprint stands for.

    seconds: how long its jobs took so far, by the clock. Of a stage that is started: begun is when, in Unix time;
    planned how many shards it is to have, 0 where only its pipeline can number them.
    """

    stage: str
    fingerprint: str
    state: str
    configuration: Any
    shards: int
    markers: tuple[Marker, ...] = ()
    seconds: float = 0.0
    begun: float = 0.0
    planned: int = 0


class Ledger:
    """The ledger of one stage (`download`, `score/clip`, `select/base` ...) in a run folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write_marker(self, marker: Marker) -> None:
        write_json(join(self.folder, f"{shard_name(marker.ticket.shard)}.json"), marker.to_json())

    def read_marker(self, shard: int) -> Marker | None:
        url = join(self.folder, f"{shard_name(shard)}.json")
        return Marker.from_json(read_json(url)) if exists(url) else None

    def read_markers(self, shards: Iterable[int]) -> dict[int, Marker]:
        """The markers of these shards, but of those that were removed since they were listed."""
        wanted = list(shards)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = dict(zip(wanted, pool.map(self._read_if_there, wanted), strict=True))
        return {shard: marker for shard, marker in found.items() if marker is not None}

    def _read_if_there(self, shard: int) -> Marker | None:
        try:
            return Marker.from_json(read_json(join(self.folder, f"{shard_name(shard)}.json")))
        except FileNotFoundError:
            return None

    def loose_markers(self) -> list[int]:
        """The shards finished since the manifest was last written; one listing, no file read."""
        return [int(name[:-5]) for name in list_files(self.folder, ".json") if name[:-5].isdigit()]

    def read_manifest(self) -> Manifest | None:
        url = join(self.folder, MANIFEST)
        if not exists(url):
            return None
        value = read_json(url)
        value["markers"] = tuple(Marker.from_json(marker) for marker in value["markers"])
        return Manifest(**value)

    def write_manifest(self, manifest: Manifest) -> None:
        write_json(join(self.folder, MANIFEST), asdict(manifest))

    def markers(self) -> dict[int, Marker]:
        """Every finished shard, whatever made it: the manifest's, then the loose ones, which are newer."""
        manifest = self.read_manifest()
        found = {marker.ticket.shard: marker for marker in manifest.markers} if manifest else {}
        found.update(self.read_markers(self.loose_markers()))
        return dict(sorted(found.items()))

    def done(self, tickets: Iterable[Ticket]) -> dict[int, Marker]:
        """The markers of those tickets whose shards need not be made again."""
        markers = self.markers()
        return {
            ticket.shard: markers[ticket.shard]
            for ticket in tickets
            if ticket.shard in markers and markers[ticket.shard].ticket == ticket
        }

    def finish(self, manifest: Manifest) -> None:
        """Writes the manifest with all its markers, then removes the loose ones that it now holds."""
        self.write_manifest(manifest)
        files = [join(self.folder, f"{shard_name(shard)}.json") for shard in self.loose_markers()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(remove_file, files))

    def clear(self) -> None:
        remove_tree(self.folder)
