"""Which of several trade-offs between accuracy and speed are worth having."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NOTICEABLE = 0.005
"""Points of IoU below which a change reads as 0.00; it is not told, and decides nothing."""

Item = TypeVar("Item")


def front(items: Iterable[Item], *, speed: Callable[[Item], float], loss: Callable[[Item], float]) -> list[Item]:
    """Return the Pareto front, the fastest first: all that lose less than everything faster, by `NOTICEABLE` or more.

    `loss` is in points of mIoU, against whatever is the same for all.
    """
    best: list[Item] = []
    for item in sorted(items, key=lambda item: (-speed(item), loss(item))):
        if not best or loss(item) < loss(best[-1]) - NOTICEABLE:
            best.append(item)
    return best
