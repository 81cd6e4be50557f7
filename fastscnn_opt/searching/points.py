"""What is known of each pipeline's accuracy and speed, and which are the best by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.scoring.pareto import NOTICEABLE, front

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Point:
    """What a variant loses in points of mIoU, and how many times faster than the baseline it is, with the interval."""

    name: str
    drop: float
    ratio: float
    low: float
    high: float

    @classmethod
    def of_baseline(cls, name: str) -> Point:
        """Return the point that the others are compared with."""
        return cls(name, 0.0, 1.0, 1.0, 1.0)

    def surely_beats(self, other: Point) -> bool:
        """Tell whether this one is as good in accuracy, and faster beyond both intervals."""
        return self.drop <= other.drop + NOTICEABLE and self.low > other.high


def leaders(points: Sequence[Point]) -> list[Point]:
    """Return the points on the front, the fastest first."""
    return front(points, speed=lambda point: point.ratio, loss=lambda point: point.drop)


def finalists(points: Sequence[Point], most: int) -> list[Point]:
    """Return up to `most` points that may be on the front when measured better: the front first, then the fastest."""
    first = leaders(points)
    near = [point for point in points if point not in first and not any(other.surely_beats(point) for other in points)]
    return [*first, *sorted(near, key=lambda point: -point.ratio)][:most]
