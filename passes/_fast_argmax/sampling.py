"""Where a linear Resize samples its input along one axis, as tables grouped by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AxisSampling:
    """The samples of one axis, grouped by the cell of the input that they lie in.

    Cell i lies between the elements i and i + 1 of the input; only cells that hold a sample are listed. Where one of
    the two does not exist, the border of the input stands for it. All cells get the same number of slots, S; one with
    fewer samples repeats its last.

    Attributes
    ----------
    cells
        int64, ascending, the cells that hold a sample: from -1 to the last element.
    low, high
        int64, one per cell: indices of the two elements.
    slots
        int64, cells x S: indices in the output.
    weight
        float32, cells x S: share of `high` in the sample.
    nearest
        int64, one for each element of the output: `low` of its cell.
    """

    cells: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    slots: NDArray[np.int64]
    weight: NDArray[np.float32]
    nearest: NDArray[np.int64]


def group_by_cell(position: NDArray[np.float64], before: int) -> AxisSampling:
    """Group ascending sample positions on an axis of `before` elements by cell."""
    inside = np.clip(position, -1, before - 1)
    lower = np.floor(inside).astype(np.int64)
    # A sample on the last element ends the cell before it, so that it needs no cell of its own.
    lower[(position == before - 1) & (before > 1)] -= 1
    cells, start, count = np.unique(lower, return_index=True, return_counts=True)
    within = np.minimum(np.arange(count.max()), count[:, None] - 1)
    slots = (start[:, None] + within).astype(np.int64)
    low, high = np.clip(cells, 0, before - 1), np.clip(cells + 1, 0, before - 1)
    weight = (inside[slots] - cells[:, None]).astype(np.float32)
    return AxisSampling(cells, low, high, slots, weight, np.clip(lower, 0, before - 1))
