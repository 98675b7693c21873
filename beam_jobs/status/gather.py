"""How far a run is: read from the ledgers in its folder and nothing else, while another process works or long after.

In: a run folder's URL; the clock. Out: a RunStatus, a StageStatus a ledger in the order of the flow. A Watch keeps the
markers that it has read, so that looking again costs a listing and the files that are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from beam_jobs.recaptioning.cost import Cost, cost_of_markers, estimate_rest
from beam_jobs.storage.files import list_folders
from beam_jobs.storage.launches import RUNNING, Launch, read_launch
from beam_jobs.storage.ledger import Ledger, Manifest, Marker, reasons_of
from beam_jobs.storage.run_folder import RunFolder
from schemas.reasons import KEPT
from schemas.recipe import STAGES
from schemas.refusal import Refusal

DONE, AT_WORK, STOPPED, WAITING = "done", "running", "stopped", "waiting"
# A launch that gave no sign of life for so long is no more: it gives one every ten seconds.
SECONDS_WITHOUT_A_SIGN = 60.0
SLOWEST_SHOWN = 5


@dataclass(frozen=True)
class SlowShard:
    """One of a stage's slowest shards."""

    shard: int
    seconds: float
    rows: int


@dataclass(frozen=True)
class StageStatus:
    """One ledger. total: its shards, None where nobody knows yet. seconds: by the clock, so far.

    rows_per_second: of the rows that came in, since its last launch began. left: seconds, None where unknown. quiet:
    seconds since the last shard was finished, of a stage at work. cost, rest: of a captioner, what its captions took,
    and what those of the shards that are left will take at that rate.
    """

    ledger: str
    state: str
    shards: int = 0
    total: int | None = None
    rows: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    rows_per_second: float | None = None
    left: float | None = None
    quiet: float | None = None
    median: float | None = None
    slowest: Sequence[SlowShard] = ()
    cost: Cost | None = None
    rest: Cost | None = None

    @property
    def kept(self) -> int:
        return self.reasons.get(KEPT, 0)

    @property
    def lost(self) -> dict[str, float]:
        """The share of the rows that each reason but `kept` has, greatest first."""
        others = sorted(self.reasons.items(), key=lambda one: (-one[1], one[0]))
        return {reason: rows / self.rows for reason, rows in others if reason != KEPT and rows}


@dataclass(frozen=True)
class RunStatus:
    """A run as it stands `at` a time. state: running, stopped (killed, or failed: see message), ended, or unknown."""

    work: str
    at: float
    state: str
    stages: tuple[StageStatus, ...]
    launch: Launch | None = None

    @property
    def is_running(self) -> bool:
        return self.state == AT_WORK


class Watch:
    """Looks at a run folder again and again."""

    def __init__(self, work: str) -> None:
        self._folder = RunFolder(work)
        self._read: dict[str, tuple[float | None, dict[int, Marker]]] = {}

    def look(self, now: float) -> RunStatus:
        """The run as it stands; Refusal where there is none."""
        launch = read_launch(self._folder.work)
        state = _state_of(launch, now)
        ledgers = list(_ledgers(self._folder, launch))
        if not ledgers:
            raise Refusal(f"--work: {self._folder.work} holds no run")
        stages = tuple(self._look_at(ledger, now, at_work=state == AT_WORK) for ledger in ledgers)
        return RunStatus(self._folder.work, now, state, stages, launch)

    def _look_at(self, name: str, now: float, *, at_work: bool) -> StageStatus:
        ledger = Ledger(self._folder.ledger(name))
        # The loose markers first: those that are removed while we look stand in the manifest that is read after them.
        there = ledger.loose_markers()
        begun, known = self._read.get(name, (None, {}))
        new = ledger.read_markers(shard for shard in there if shard not in known)
        manifest = ledger.read_manifest()
        if manifest is None:
            return StageStatus(name, WAITING)
        if begun not in (None, manifest.begun):
            known, new = {}, ledger.read_markers(there)
        known = {**known, **new}
        self._read[name] = (manifest.begun, known)
        markers = {marker.ticket.shard: marker for marker in manifest.markers}
        markers.update((shard, known[shard]) for shard in there if shard in known)
        return stage_status(manifest, markers, now, at_work=at_work)


def stage_status(manifest: Manifest, markers: Mapping[int, Marker], now: float, *, at_work: bool) -> StageStatus:
    """One ledger's state from its manifest and its markers."""
    done = manifest.state == DONE
    reasons = reasons_of(markers.values())
    total = len(markers) if done else manifest.planned or None
    own = [marker for marker in markers.values() if done or marker.ended >= manifest.begun]
    seconds = manifest.seconds
    if not done:
        end = now if at_work else max((marker.ended for marker in own), default=manifest.begun)
        seconds += max(0.0, end - manifest.begun)
    spent = seconds if done else max(0.0, now - manifest.begun)
    running = at_work and not done
    left = None
    if running and own and total is not None and spent > 0:
        left = (total - len(markers)) * spent / len(own)
    rows = sum(marker.tally.rows_in for marker in own)
    cost = cost_of_markers(markers.values()) if manifest.stage.startswith("recaption/") and markers else None
    rest = None
    if cost is not None and total is not None and total > len(markers):
        rest = estimate_rest(cost, rows=round(cost.rows * (total - len(markers)) / len(markers)))
    last = max((marker.ended for marker in own), default=manifest.begun)
    timed = sorted(marker.seconds for marker in markers.values() if marker.seconds > 0)
    return StageStatus(
        ledger=manifest.stage,
        state=DONE if done else AT_WORK if at_work else STOPPED,
        shards=len(markers),
        total=total,
        rows=reasons.total(),
        reasons=dict(reasons),
        seconds=seconds,
        rows_per_second=rows / spent if spent > 0 and rows and (done or running) else None,
        left=left,
        quiet=max(0.0, now - last) if running else None,
        median=timed[len(timed) // 2] if timed else None,
        slowest=slowest(markers.values()),
        cost=cost,
        rest=rest,
    )


def slowest(markers: Iterable[Marker], most: int = SLOWEST_SHOWN) -> tuple[SlowShard, ...]:
    """The shards that took longest, of those whose time is known."""
    timed = [marker for marker in markers if marker.seconds > 0]
    timed.sort(key=lambda marker: (-marker.seconds, marker.ticket.shard))
    return tuple(SlowShard(one.ticket.shard, one.seconds, one.tally.rows_in) for one in timed[:most])


def _state_of(launch: Launch | None, now: float) -> str:
    if launch is None:
        return "unknown"
    if launch.state != RUNNING:
        return "ended" if launch.state == "ended" else STOPPED
    return AT_WORK if now - launch.seen < SECONDS_WITHOUT_A_SIGN else STOPPED


def _ledgers(folder: RunFolder, launch: Launch | None) -> Iterator[str]:
    """The launch's, in the order of the flow; without one, those that are there."""
    if launch is not None:
        yield from launch.ledgers
        return
    present = list_folders(folder.ledger(""))
    for stage in (*STAGES[:3], "planned", *STAGES[3:]):
        if stage in present:
            yield from [f"{stage}/{name}" for name in list_folders(folder.ledger(stage))] or [stage]
