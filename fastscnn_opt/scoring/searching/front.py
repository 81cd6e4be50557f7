"""Which of several trade-offs between accuracy and speed are worth having."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SAME_DROP = 0.01
"""Points of mIoU within which two losses count as equal, so that rounding alone puts nobody ahead."""


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

    def beats(self, other: Point, *, surely: bool = False) -> bool:
        """Tell whether this one is as good in both and better in one; `surely`: faster beyond both intervals."""
        if self.drop > other.drop + SAME_DROP:
            return False
        if surely:
            return self.low > other.high
        return self.ratio > other.ratio or (self.ratio == other.ratio and self.drop < other.drop - SAME_DROP)


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats, the fastest first."""
    best = [point for point in points if not any(other.beats(point) for other in points)]
    return sorted(best, key=lambda point: (-point.ratio, point.drop))


def finalists(points: Sequence[Point], most: int) -> list[Point]:
    """Return up to `most` points that may be on the front when measured better: the front first, then the fastest."""
    leaders = front(points)
    near = [
        point
        for point in points
        if point not in leaders and not any(other.beats(point, surely=True) for other in points)
    ]
    return [*leaders, *sorted(near, key=lambda point: -point.ratio)][:most]
