"""The Pareto front of accuracy and speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NOTICEABLE = 0.005
"""Points of IoU below which a change reads as 0.00; such a change is not shown and decides nothing."""

Item = TypeVar("Item")


def pareto_front(items: Iterable[Item], *, speed: Callable[[Item], float], loss: Callable[[Item], float]) -> list[Item]:
    """Return the items that lose less than everything faster, by `NOTICEABLE` or more; the fastest comes first.

    `loss` returns points of mIoU, against the same reference for all items.
    """
    best: list[Item] = []
    for item in sorted(items, key=lambda item: (-speed(item), loss(item))):
        if not best or loss(item) < loss(best[-1]) - NOTICEABLE:
            best.append(item)
    return best
