"""The limits of gates: how a figure is held against each of them, and the words for what is beyond."""

from __future__ import annotations

from dataclasses import dataclass

from fastscnn_opt.errors import Breach

_ROUNDING = 1e-9
"""How far a figure may be beyond its limit because differences of binary fractions are not exact."""


@dataclass(frozen=True)
class Gate:
    """What may be lost: `max_drop` points of mIoU, and latency per image at most `max_slowdown` times as long."""

    max_drop: float | None = None
    max_slowdown: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is no limit."""
        return self.max_drop is None and self.max_slowdown is None


@dataclass(frozen=True)
class Interval:
    """A ratio with the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def over(self, other: Interval) -> Interval:
        """Return the quotient of two ratios that were measured apart; its interval has at least their confidence."""
        return Interval(self.value / other.value, self.low / other.high, self.high / other.low)


def is_more(figure: float, limit: float) -> bool:
    """Return whether a figure is beyond an upper limit by more than rounding."""
    return figure > limit + _ROUNDING


def drop_breaches(where: str, drop: float | None, limit: float | None, against: str) -> list[Breach]:
    """Return the breach if a row lost more points of mIoU than `limit`."""
    if drop is None or limit is None or not is_more(drop, limit):
        return []
    return [Breach(where, f"lost {drop:.2f} points of mIoU against {against}; at most {limit:g} may be lost")]


def slowdown_breaches(where: str, slowdown: Interval | None, limit: float | None, against: str) -> list[Breach]:
    """Return the breach if the whole interval of a slowdown is above `limit`."""
    if slowdown is None or limit is None or not is_more(slowdown.low, limit):
        return []
    return [Breach(where, f"takes {slowdown} times as long as {against}; at most {limit:g} times is allowed")]


def miou_breaches(where: str, miou: float, limit: float | None) -> list[Breach]:
    """Return the breach if a mIoU, which is a fraction, is below `limit`, which is in percent."""
    if limit is None or not is_more(limit, 100 * miou):
        return []
    return [Breach(where, f"the mIoU is {100 * miou:.2f} %; at least {limit:g} % is asked for")]


def ratio_breaches(where: str, ratio: Interval, limit: float | None, against: str) -> list[Breach]:
    """Return the breach if the whole interval of a ratio to the baseline is below `limit`."""
    if limit is None or not is_more(limit, ratio.high):
        return []
    return [Breach(where, f"is {ratio} times as fast as {against}; at least {limit:g} times is asked for")]
