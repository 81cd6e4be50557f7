"""What makes a run fail: too much accuracy or speed lost, a broken contract, or rows that could not be scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import Breach, GateError, RunError
from fastscnn_opt.scoring.records import Status
from fastscnn_opt.scoring.tables.limits import Interval, drop_breaches, slowdown_breaches
from fastscnn_opt.scoring.tables.row import NO_SPEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.tables.row import TableRow

FAILURES = frozenset({Status.FAILED, Status.CRASHED, Status.TIMED_OUT, Status.BROKEN})
"""How a row ends that could not be scored. A target that is not available here is no failure."""


def check_outcome(run: Run) -> None:
    """Raise GateError if the outcome of `run` calls for it, and what `outcome_breaches` raises."""
    if breaches := outcome_breaches(run):
        raise GateError.of(breaches)


def outcome_breaches(run: Run, max_slowdown: float | None = None) -> list[Breach]:
    """Return what makes a run fail, in the order of its rows.

    A row lost more mIoU than the variants file allows, is slower than its baseline by more than `max_slowdown`, has no
    speed because it is emulated, a pass broke its contract, or the row failed, crashed or timed out. A row whose target
    is not available here is none of these.

    Raises RunError if no row could be scored, and none crashed, timed out or broke a contract.
    """
    rows, baseline, max_drop = run.table, run.description.baseline, run.description.max_drop
    known = {Status.OK, Status.COMPILED, Status.CRASHED, Status.TIMED_OUT, Status.BROKEN}
    if all(row.status not in known and row.mIoU is None for row in rows):
        raise RunError(f"no row could be scored; {rows[0].variant}: {rows[0].reason}")
    breaches = []
    for row in rows:
        where = _name(row, rows)
        breaches += drop_breaches(where, row.mIoU_drop, max_drop, repr(baseline))
        breaches += slowdown_breaches(where, _slowdown(row), max_slowdown, repr(baseline))
        if row.emulated and max_slowdown is not None:
            breaches.append(Breach(where, f"has no slowdown: {NO_SPEED}"))
        if row.status is Status.BROKEN:
            breaches.append(Breach(where, row.reason))
        elif row.status in FAILURES:
            breaches.append(Breach(where, f"could not be scored ({row.status})"))
    if max_drop is not None and any(row.mIoU is not None and row.gate is None for row in rows):
        breaches.append(Breach(baseline, "the baseline could not be scored, so no row was compared with max_drop"))
    return breaches


def ratio_of(row: TableRow) -> Interval | None:
    """Return how many times faster than its baseline a row is; None if it was not timed."""
    if row.ratio is None or row.ratio_low is None or row.ratio_high is None:
        return None
    return Interval(row.ratio, row.ratio_low, row.ratio_high)


def _slowdown(row: TableRow) -> Interval | None:
    ratio = ratio_of(row)
    return ratio and Interval(1, 1, 1).over(ratio)


def _name(row: TableRow, rows: Sequence[TableRow]) -> str:
    """Return a row's variant, with target and batch size where the variant has several rows or is emulated."""
    alone = sum(other.variant == row.variant for other in rows) == 1
    return row.variant if alone and not row.emulated else row.label
