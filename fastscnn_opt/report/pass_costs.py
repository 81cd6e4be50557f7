"""The cost of single passes, from rows whose pipelines begin with the same passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastscnn_opt.report.content import ReportContent, ReportRow


@dataclass(frozen=True)
class PassCost:
    """The cost of `passes`, which the pipeline of `entry` has at its end in addition to the pipeline of `before`.

    `points` of mIoU were lost (negative: gained). The row became `times` as fast; None unless both rows are timed.
    """

    passes: tuple[str, ...]
    entry: ReportRow
    before: ReportRow
    points: float
    times: float | None

    @property
    def text(self) -> str:
        """The passes as pipeline text."""
        return ",".join(self.passes)


def pass_costs(content: ReportContent) -> list[PassCost]:
    """Return the cost of the last passes of each row whose pipeline begins with the pipeline of another row.

    If there are several such rows, the one with the longest pipeline counts. Only rows with the same target, batch size
    and patches are compared.
    """
    scored = [entry for entry in content.entries if entry.row.mIoU is not None]
    costs = []
    for entry in scored:
        shorter = [other for other in scored if _begins_with(entry, other)]
        if shorter:
            before = max(shorter, key=lambda other: len(other.pipeline))
            points = 100 * (before.miou - entry.miou)
            both = entry.is_complete and before.is_complete
            times = entry.fps / before.fps if both else None
            costs.append(PassCost(entry.pipeline[len(before.pipeline) :], entry, before, points, times))
    return costs


def _begins_with(entry: ReportRow, other: ReportRow) -> bool:
    same_place = all(getattr(entry.row, key) == getattr(other.row, key) for key in ("target", "batch", "patches"))
    count = len(other.pipeline)
    return same_place and count < len(entry.pipeline) and entry.pipeline[:count] == other.pipeline
