"""Two runs side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import Breach, RunError
from fastscnn_opt.scoring.records import Status
from fastscnn_opt.scoring.tables.gate import FAILURES, ratio_of
from fastscnn_opt.scoring.tables.hosts import Place, machines
from fastscnn_opt.scoring.tables.limits import Gate, Interval, drop_breaches, slowdown_breaches
from fastscnn_opt.scoring.tables.rendering import UNKNOWN, Heading, accuracy, number
from fastscnn_opt.scoring.tables.row import NO_SPEED, TableRow, can_be_baseline
from fastscnn_opt.text import counted, joined

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run import Run


TWO_RUNS: tuple[Heading, ...] = (
    ("variant", False), ("target", False), ("batch", True), ("mIoU % 1", True), ("mIoU % 2", True), ("change", True),
    ("fps 1", True), ("fps 2", True), ("times", True), ("streams fps 1", True), ("streams fps 2", True),
    ("status 1", False), ("status 2", False),
)  # fmt: skip


@dataclass(frozen=True)
class ComparedRow:
    """A row of the first run and the same row of the second, which is None if only the first has it.

    A row that only the second run has is in the first one with the status ``absent`` and without figures.
    """

    first: TableRow
    second: TableRow | None

    @property
    def miou_change(self) -> float | None:
        """Points of mIoU gained from the first run to the second; None unless both are known."""
        if self.second is None or self.first.mIoU is None or self.second.mIoU is None:
            return None
        return 100 * (self.second.mIoU - self.first.mIoU)

    @property
    def mark(self) -> str:
        """What stands behind the change of mIoU where it is shown."""
        return self.first.mark or (self.second.mark if self.second else "")

    @property
    def fps_ratio(self) -> float | None:
        """The fps of the second run over that of the first; None unless both are known."""
        if self.second is None or self.first.fps is None or self.second.fps is None:
            return None
        return self.second.fps / self.first.fps

    def breaches(self, gate: Gate) -> list[Breach]:
        """Return what the second run lacks, or has lost beyond the limits of `gate`."""
        first, second, where = self.first, self.second, self.first.label
        if second is None:
            return [Breach(where, "is not in the second run")]
        worse = first.status is Status.OK and second.status is not Status.OK
        if worse or second.status in FAILURES:
            reason = f": {second.reason}" if second.reason else ""
            return [Breach(where, f"was not scored in the second run ({second.status}{reason})")]
        drop = None if self.miou_change is None else -self.miou_change
        lost = gate.max_slowdown and not can_be_baseline(second.emulated, first.emulated)
        return [
            *([Breach(where, f"has no slowdown: {NO_SPEED}")] if lost else []),
            *drop_breaches(where, drop, gate.max_drop, "the first run"),
            *slowdown_breaches(where, self.slowdown, gate.max_slowdown, "in the first run, each against its baseline"),
        ]

    @property
    def slowdown(self) -> Interval | None:
        """How many times as long as in the first run the row takes, each measured against the baseline of its run."""
        before, after = ratio_of(self.first), self.second and ratio_of(self.second)
        return before.over(after) if before and after else None

    def to_json(self, gate: Gate) -> dict[str, Any]:
        """Return the row of the first run, that of the second as ``other``, the change, and how the `gate` ended."""
        judged = None if gate.is_open else ("failed" if self.breaches(gate) else "passed")
        change: dict[str, Any] = {"mIoU": self.miou_change, "fps": self.fps_ratio}
        if gate.max_slowdown is not None:
            change["slowdown"] = self.slowdown and asdict(self.slowdown)
        other = self.second and self.second.to_json()
        return {**self.first.to_json(), "gate": judged, "other": other, "change": change}


def side_by_side(first: Run, second: Run) -> list[ComparedRow]:
    """Return the rows of `first`, each with that of `second`; rows that only `second` has follow."""
    others = {row.identity: row for row in second.table}
    rows = [ComparedRow(row, others.pop(row.identity, None)) for row in first.table]
    return rows + [ComparedRow(_absent(row, first), row) for row in others.values()]


def comparison_breaches(first: Run, second: Run, gate: Gate) -> list[Breach]:
    """Return what the second run lacks, or has lost beyond the limits of `gate`; nothing if there is no limit.

    Raises RunError if the figures of the two runs cannot be held against each other.
    """
    if gate.is_open:
        return []
    if all(row.mIoU is None for row in first.table):
        raise RunError("no row was scored, so there is nothing to compare with", where=first.folder)
    if gate.max_drop is not None and first.description.data.key != second.description.data.key:
        raise RunError(
            f"{first.folder} was scored on other images, so no drop in mIoU follows from the two runs",
            where=second.folder,
            cure="score both on the same ones",
        )
    if gate.max_slowdown is not None and (reason := _why_not_timed_alike(first, second)):
        raise RunError(
            f"no slowdown against {first.folder} follows from the two runs: {reason}",
            where=second.folder,
            cure="time both models in one session: give `compare` the two models and --data",
        )
    return [breach for row in side_by_side(first, second) for breach in row.breaches(gate)]


def _why_not_timed_alike(first: Run, second: Run) -> str:
    """Say why the ratios of two runs cannot be divided; the empty text if they can."""
    if _other_hardware(first, second):
        return "they are from different machines"
    before, after = (_baseline_keys(run) for run in (first, second))
    if not before or not after or any(before[row] != after[row] for row in before.keys() & after.keys()):
        return "their baselines are not the same model with the same options and versions of the target"
    return "" if before.keys() & after.keys() else "they have no baseline in common"


def other_places(first: Run, second: Run) -> str:
    """Say that rows were timed elsewhere in the second run than in the first; empty if they were not."""
    pairs = _known_places(first, second)
    hosts = [(one, other) for one, other in pairs if one.host != other.host]
    devices = [(one, other) for one, other in pairs if one.has_other_devices(other)]
    if other := hosts or devices:
        there, here = (joined([place.text for place in machines(places)]) for places in zip(*other, strict=True))
        return (
            f"of {counted(len(pairs), 'row')}, {len(other)} {'was' if len(other) == 1 else 'were'} timed on different "
            f"{'machines' if hosts else 'devices'}, {there} in the first run and {here} in the second, so a change of "
            "speed says nothing there"
        )
    if not pairs and _other_hardware(first, second):
        return "the runs are from different machines, so a change of speed says nothing about the rows"
    return ""


def _known_places(first: Run, second: Run) -> list[tuple[Place, Place]]:
    """Return where each row was timed in the first and in the second run, if both say so."""
    before, after = first.places, second.places
    return [(place, after[row]) for row, place in before.items() if row in after]


def _other_hardware(first: Run, second: Run) -> bool:
    """Tell whether rows were timed on other devices or numbers of cores; of old records, the runs tell that."""
    pairs = [(one, other) for one, other in _known_places(first, second) if one.devices and other.devices]
    if pairs:
        return any(one.has_other_hardware(other) for one, other in pairs)
    one, other = first.description.machine, second.description.machine
    return (one.cpu, one.cores) != (other.cpu, other.cores)


def _baseline_keys(run: Run) -> dict[tuple[str, str, int], str]:
    """Return the keys of everything that the speed of the baseline's rows depends on."""
    records = [run.record_of(plan) for plan in run.plan if run.baseline.is_row(plan)]
    return {record.identity: record.keys.speed for record in records if record and record.status is Status.OK}


def comparison_json(first: Run, second: Run, gate: Gate = Gate()) -> dict[str, Any]:  # noqa: B008 - it is frozen
    """Return two runs side by side as `compare` prints them."""
    rows = [row.to_json(gate) for row in side_by_side(first, second)]
    return {"baseline": first.description.baseline, "runs": [str(first.folder), str(second.folder)], "rows": rows}


def _absent(row: TableRow, run: Run) -> TableRow:
    """Return an ``absent`` row in the place of one that `run` does not have."""
    return TableRow(
        variant=row.variant, passes=row.passes, patches=row.patches, target=row.target, batch=row.batch,
        status=Status.ABSENT, reason=f"not in {run.folder}", reproduce=None,
    )  # fmt: skip


def two_run_cells(compared: ComparedRow) -> list[str]:
    """Return a row of two runs as the texts of `TWO_RUNS`."""
    first, second = compared.first, compared.second
    points = compared.miou_change
    return [
        first.variant,
        first.target,
        str(first.batch),
        accuracy(first, first.mIoU, 100),
        accuracy(second, second.mIoU if second else None, 100),
        UNKNOWN if points is None else f"{points:+.2f}{compared.mark}",
        number(first.fps, 2),
        number(second.fps if second else None, 2),
        number(compared.fps_ratio, 3),
        *(number(row.throughput.fps if row and row.throughput else None, 2) for row in (first, second)),
        first.status,
        second.status if second else Status.ABSENT,
    ]
