"""What each pass costs: rows whose pipelines begin alike, compared with one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastscnn_opt.report.content import Content, ReportRow


@dataclass(frozen=True)
class PassCost:
    """What `passes` changed in `entry`, whose pipeline is that of `before` and these at its end.

    `points` of mIoU were lost (negative: gained), and it became `times` as fast, where both are timed.
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


def pass_costs(content: Content) -> list[PassCost]:
    """Return the cost of each row's last passes, beyond the longest pipeline of another row that it begins with.

    Rows are compared on the same target, batch size and patches only. A row that begins with no other's pipeline has
    no cost.
    """
    scored = [entry for entry in content.entries if entry.row["mIoU"] is not None]
    costs = []
    for entry in scored:
        shorter = [other for other in scored if _begins_with(entry, other)]
        if shorter:
            before = max(shorter, key=lambda other: len(other.pipeline))
            points = 100 * (before.row["mIoU"] - entry.row["mIoU"])
            both = entry.is_complete and before.is_complete
            times = entry.row["fps"] / before.row["fps"] if both else None
            costs.append(PassCost(entry.pipeline[len(before.pipeline) :], entry, before, points, times))
    return costs


def _begins_with(entry: ReportRow, other: ReportRow) -> bool:
    same_place = all(entry.row[key] == other.row[key] for key in ("target", "batch", "patches"))
    count = len(other.pipeline)
    return same_place and count < len(entry.pipeline) and entry.pipeline[:count] == other.pipeline
