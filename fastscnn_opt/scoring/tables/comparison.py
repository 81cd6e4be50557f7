"""Two runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.scoring.records import Status
from fastscnn_opt.scoring.tables.rendering import UNKNOWN, Heading, number
from fastscnn_opt.scoring.tables.row import TableRow

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run import Run


TWO_RUNS: tuple[Heading, ...] = (
    ("variant", False), ("target", False), ("batch", True), ("mIoU % 1", True), ("mIoU % 2", True), ("change", True),
    ("fps 1", True), ("fps 2", True), ("times", True), ("status 1", False), ("status 2", False),
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
    def fps_ratio(self) -> float | None:
        """The fps of the second run over that of the first; None unless both are known."""
        if self.second is None or self.first.fps is None or self.second.fps is None:
            return None
        return self.second.fps / self.first.fps

    def to_json(self) -> dict[str, Any]:
        """Return the row of the first run, that of the second as ``other``, and the ``change``."""
        return {
            **self.first.to_json(),
            "other": self.second and self.second.to_json(),
            "change": {"mIoU": self.miou_change, "fps": self.fps_ratio},
        }


def side_by_side(first: Run, second: Run) -> list[ComparedRow]:
    """Return the rows of `first`, each with that of `second`; rows that only `second` has follow."""
    others = {row.identity: row for row in second.table}
    rows = [ComparedRow(row, others.pop(row.identity, None)) for row in first.table]
    return rows + [ComparedRow(_absent(row, first), row) for row in others.values()]


def comparison_json(first: Run, second: Run) -> dict[str, Any]:
    """Return two runs side by side as `compare` prints them."""
    rows = [row.to_json() for row in side_by_side(first, second)]
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
        number(first.mIoU, 2, 100),
        number(second.mIoU if second else None, 2, 100),
        UNKNOWN if points is None else f"{points:+.2f}",
        number(first.fps, 2),
        number(second.fps if second else None, 2),
        number(compared.fps_ratio, 3),
        first.status,
        second.status if second else Status.ABSENT,
    ]
