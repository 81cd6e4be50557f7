"""What makes a run fail: too much accuracy lost, a broken contract, or rows that could not be scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import CheckFailedError, RunError
from fastscnn_opt.scoring.records import Status
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.tables.row import TableRow


def check_outcome(run: Run) -> None:
    """Raise the error that the outcome of `run` calls for, if any.

    Raises
    ------
    CheckFailedError
        A row lost more mIoU than the variants file allows, a pass broke its contract, or a row failed, crashed or timed
        out while another was scored. A row whose target is not available here is none of these.
    RunError
        No row could be scored, and none crashed or timed out.
    """
    rows, baseline, max_drop = run.table, run.description.baseline, run.description.max_drop
    beyond = [f"{_name(row, rows)} ({row.mIoU_drop:.2f})" for row in rows if row.gate == "failed"]
    if beyond:
        raise CheckFailedError(
            f"{len(beyond)} of {counted(len(rows), 'row')} lost more than {max_drop:g} points of mIoU "
            f"against {baseline!r}: {', '.join(beyond)}"
        )
    if max_drop is not None and any(row.mIoU is not None and row.gate is None for row in rows):
        raise CheckFailedError(f"the baseline {baseline!r} could not be scored, so no row was compared with max_drop")
    broken = [f"{row.variant}: {row.reason}" for row in rows if row.status is Status.BROKEN]
    if broken:
        raise CheckFailedError(broken[0])
    done = any(row.status in {Status.OK, Status.COMPILED} for row in rows)
    ended = any(row.status in {Status.CRASHED, Status.TIMED_OUT} for row in rows)
    failed = [row for row in rows if row.status in {Status.FAILED, Status.CRASHED, Status.TIMED_OUT}]
    if failed and (done or ended):
        names = ", ".join(f"{_name(row, rows)} ({row.status})" for row in failed)
        raise CheckFailedError(f"{len(failed)} of {counted(len(rows), 'row')} could not be scored: {names}")
    if not done:
        raise RunError(f"no row could be scored; {rows[0].variant}: {rows[0].reason}")


def _name(row: TableRow, rows: Sequence[TableRow]) -> str:
    """Return a row's variant, with target and batch size where the variant has several rows."""
    alone = sum(other.variant == row.variant for other in rows) == 1
    return row.variant if alone else f"{row.variant}, {row.target}, batch {row.batch}"
