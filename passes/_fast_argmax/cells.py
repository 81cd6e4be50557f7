"""Find the cells of a bilinear Resize in which more than one class may be the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.measuring.label_map import label_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs

    from .._emitter import Emitter
    from .sampling import AxisSampling


@dataclass(frozen=True)
class Grid:
    """The logits N, C, height, width before the Resize, and how each axis is sampled."""

    images: int
    classes: int
    height: int
    width: int
    rows: AxisSampling
    columns: AxisSampling

    @property
    def label_type(self) -> np.dtype[np.unsignedinteger]:
        """The type of the label map."""
        return label_type(self.classes)

    @property
    def count(self) -> int:
        """How many cells there are in all images."""
        return self.images * len(self.rows.cells) * len(self.columns.cells)


@dataclass(frozen=True)
class Corners:
    """The values at the four corners of K cells; the first two axes are top and bottom, and left and right.

    `vectors` are the logits, float 2 x 2 x K x C. `first` and `second` are the lowest and the highest of the four best
    classes, int64 K; `gaps` are the differences of their logits, float 2 x 2 x K. `hard`, bool K, says whether more
    than these two are left.
    """

    vectors: gs.Variable
    first: gs.Variable
    second: gs.Variable
    gaps: gs.Variable
    hard: gs.Variable


def find_uncertain(emit: Emitter, best: gs.Variable, grid: Grid) -> gs.Variable:
    """Return image, row and column of every cell whose corners differ in their best class, int64 3 x K.

    `best` is float N, height, width: ORT compares floats in vectors, and a class number is exact in them.
    """
    best, (top, bottom) = _ends_of_cells(emit, best, 1, grid.height, grid.rows)
    best, (left, right) = _ends_of_cells(emit, best, 2, grid.width, grid.columns)
    size = np.array([len(grid.rows.cells), len(grid.columns.cells)])
    starts = (np.array([row, column]) for row in (top, bottom) for column in (left, right))
    corners = [emit.slice(best, start, start + size, (1, 2)) for start in starts]
    same = [emit.node("Equal", corners[0], other, dtype=np.bool_) for other in corners[1:]]
    agree = emit.node("And", emit.node("And", same[0], same[1]), same[2])
    return emit.node("NonZero", emit.node("Not", agree), dtype=np.int64)


def _ends_of_cells(
    emit: Emitter, values: gs.Variable, axis: int, length: int, sampling: AxisSampling
) -> tuple[gs.Variable, tuple[int, int]]:
    """Return `values` so that both ends of all cells of an axis are a slice of it, and where these two begin."""
    cells = sampling.cells
    if not np.array_equal(cells, np.arange(cells[0], cells[-1] + 1)):  # cells without a sample are left out
        ends = np.concatenate([sampling.low, sampling.high])
        return emit.node("Gather", values, emit.constant(ends, np.int64), axis=axis), (0, len(cells))
    before, after = int(cells[0] < 0), int(cells[-1] + 1 > length - 1)
    if before or after:
        pads = np.zeros(6)
        pads[axis], pads[axis + 3] = before, after
        values = emit.node("Pad", values, emit.constant(pads, np.int64), mode="edge")
    start = int(cells[0]) + before
    return values, (start, start + 1)


def coordinates(emit: Emitter, places: gs.Variable) -> list[gs.Variable]:
    """Return the three rows of `places`: image, row and column, int64 K each.

    By a Split: of several Gather, onnxruntime 1.32 makes one itself, under a name that another may have in a branch.
    """
    return [emit.flat(row) for row in emit.split(places, 0, 3)]


def read_corners(
    emit: Emitter, vectors: gs.Variable, best: gs.Variable, cells: Sequence[gs.Variable], grid: Grid
) -> Corners:
    """Read the corners of `cells` (image, row and column, int64 K each) of the logit `vectors` (N, h, w, C).

    `best` holds the best classes, float N, h, w.
    """
    table = emit.node("Reshape", vectors, emit.constant([-1, grid.classes], np.int64))
    index = _corner_indices(emit, cells, grid)
    vectors = emit.node("Gather", table, index, axis=0)
    best = emit.node("Gather", emit.flat(best), index, axis=0)
    first, second = (emit.cast(emit.reduced(op, best, [0, 1]), np.int64) for op in ("ReduceMin", "ReduceMax"))
    start = emit.node("Mul", index, emit.constant(grid.classes, np.int64))
    # As one row of two dimensions: shape inference follows the values of a tensor of one dimension, however long.
    row = emit.node("Reshape", table, emit.constant([1, -1], np.int64))
    scores = [emit.node("Gather", row, emit.node("Add", start, label), axis=1) for label in (first, second)]
    gaps = emit.node("Reshape", emit.node("Sub", *scores), emit.constant([2, 2, -1], np.int64))
    return Corners(vectors, first, second, gaps, _is_hard(emit, vectors, scores, grid.classes))


def _corner_indices(emit: Emitter, cells: Sequence[gs.Variable], grid: Grid) -> gs.Variable:
    """Return the index of each corner in the logit vectors of all images, int64 2 x 2 x K."""
    image, row, column = cells
    tables = np.stack([grid.rows.low, grid.rows.high]) * grid.width, np.stack([grid.columns.low, grid.columns.high])
    rows, columns = (
        emit.node(
            "Reshape", emit.node("Gather", emit.constant(table, np.int64), cell, axis=1), emit.constant(shape, np.int64)
        )
        for table, cell, shape in zip(tables, (row, column), ([2, 1, -1], [1, 2, -1]), strict=True)
    )
    start = emit.node("Mul", image, emit.constant(grid.height * grid.width, np.int64))
    return emit.node("Add", emit.node("Add", start, rows), columns)


def _is_hard(emit: Emitter, vectors: gs.Variable, scores: list[gs.Variable], classes: int) -> gs.Variable:
    """Return whether more than two classes are left, bool K.

    A class that is left is exceeded neither by the first nor by the second class at all four corners. These two never
    exceed each other so, since each is the best at one corner; and the best class of any corner is left.
    """
    each = emit.constant([2, 2, -1, 1], np.int64)
    leads = [
        emit.reduced("ReduceMax", emit.node("Sub", vectors, emit.node("Reshape", score, each)), [0, 1])
        for score in scores
    ]
    beaten = emit.node("Less", emit.node("Min", *leads), emit.constant(0, np.float32), dtype=np.bool_)
    left = emit.cast(emit.node("Not", beaten), np.float32)
    count = emit.node("MatMul", left, emit.constant(np.ones((classes, 1)), np.float32))
    return emit.flat(emit.node("Greater", count, emit.constant(2.5, np.float32), dtype=np.bool_))
