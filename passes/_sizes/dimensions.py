"""Dimensions as products of extents, each with its size before and after the change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Extent:
    """A factor of a dimension: its size before and after, and the side of the image it comes from, if any."""

    old: int
    new: int
    side: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the extent stays as it is."""
        return self.old == self.new


@dataclass(frozen=True)
class Dim:
    """A dimension of a tensor. One that a Reshape merged has several extents, the outermost first."""

    extents: tuple[Extent, ...]

    @classmethod
    def fixed(cls, size: int) -> Dim:
        """Return a dimension that has nothing to do with the size of the image."""
        return cls((Extent(size, size),))

    @property
    def old(self) -> int:
        """The size before."""
        return math.prod(extent.old for extent in self.extents)

    @property
    def new(self) -> int:
        """The size after."""
        return math.prod(extent.new for extent in self.extents)

    @property
    def sides(self) -> set[str]:
        """The sides of the image that it comes from."""
        return {extent.side for extent in self.extents if extent.side}

    @property
    def side(self) -> str | None:
        """The only side of the image that it comes from; None if there is none, or two."""
        return next(iter(self.sides)) if len(self.sides) == 1 else None

    def resized(self, old: int, new: int) -> Dim:
        """Return the dimension behind an operator that makes it `old` before and `new` after."""
        return self if (self.old, self.new) == (old, new) else Dim((Extent(old, new, self.side),))


def regroup(dims: Iterable[Dim], targets: Sequence[int]) -> list[Dim] | None:
    """Return the dimensions behind a Reshape to the sizes `targets` before the change.

    Elements stay in order, so the targets are products of the extents in order. None if a target would split an extent
    that changes, since either part could be the one to change.
    """
    waiting = [extent for dim in dims for extent in dim.extents if (extent.old, extent.new) != (1, 1)]
    grouped = []
    for target in targets:
        taken: list[Extent] = []
        missing = target
        while waiting and missing > 1:
            extent = waiting.pop(0)
            if missing % extent.old == 0:
                missing //= extent.old
                taken.append(extent)
            elif extent.old % missing == 0 and extent.is_plain:
                waiting.insert(0, Extent(extent.old // missing, extent.old // missing))
                taken.append(Extent(missing, missing))
                missing = 1
            else:
                return None
        if missing != 1:
            return None
        grouped.append(Dim(tuple(taken) or (Extent(1, 1),)))
    return None if waiting else grouped
