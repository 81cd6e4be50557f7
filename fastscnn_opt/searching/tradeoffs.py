"""The trade-off of a pipeline between accuracy and speed, and which trade-offs are the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.scoring.pareto import NOTICEABLE, pareto_front

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class TradeOff:
    """The points of mIoU that a variant loses, and how many times faster than the baseline it is, with the interval."""

    name: str
    drop: float
    ratio: float
    low: float
    high: float

    @classmethod
    def of_baseline(cls, name: str) -> TradeOff:
        """Return the trade-off that the others are compared with."""
        return cls(name, 0.0, 1.0, 1.0, 1.0)

    def surely_beats(self, other: TradeOff) -> bool:
        """Return whether this one loses no more accuracy, and is faster by more than both intervals."""
        return self.drop <= other.drop + NOTICEABLE and self.low > other.high


def best_of(found: Sequence[TradeOff]) -> list[TradeOff]:
    """Return the Pareto front, the fastest first."""
    return pareto_front(found, speed=lambda one: one.ratio, loss=lambda one: one.drop)


def finalists(found: Sequence[TradeOff], most: int) -> list[TradeOff]:
    """Return up to `most` that a better measurement may show to be on the front: the front first, then the fastest."""
    first = best_of(found)
    near = [one for one in found if one not in first and not any(other.surely_beats(one) for other in found)]
    return [*first, *sorted(near, key=lambda one: -one.ratio)][:most]
