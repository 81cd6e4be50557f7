"""Nodes that compute ArgMax(Resize(logits)) by interpolating only where the label is not certain.

Every sample of a bilinear Resize is a convex combination of the logit vectors at the four corners of its cell. So

- where the four corners have the same best class, every sample of the cell has it;
- a class that another one exceeds at all four corners is nowhere the best. Where only two classes are left, the sign of
  the interpolated difference of the two decides;
- only in the few other cells are all classes interpolated.

Ties go to the lowest index at every step, as in ArgMax. Where so many cells are uncertain that interpolating everything
is faster, the graph does that, as it did before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cells import Corners, Grid, coordinates, find_uncertain, read_corners

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

    from .._emitter import Emitter

HARD_CELL_COST = 5
"""What a cell with more than two classes left costs, in units of a cell with two (measured in onnxruntime)."""

MOST_COST = 1.0
"""Cost, in that unit and per cell of the whole grid, at which the dense way is the faster one (measured likewise)."""

MOST_UNCERTAIN = 0.75
"""Largest share of uncertain cells for which the cost is computed; beyond it the dense way is taken at once."""


def write_tail(emit: Emitter, logits: gs.Variable, grid: Grid, resize: gs.Node, size: tuple[int, int]) -> gs.Variable:
    """Return the label map, N, H, W, of the float32 `logits` (N, C, h, w) after `resize` to `size` (H, W)."""
    vectors = emit.node("Transpose", logits, perm=[0, 2, 3, 1])
    # Over the second axis: for 19 x 128 x 256 over the last one, OpenVINO 2026.4 takes 2.6 ms instead of 0.1. ORT would
    # save 0.3 ms.
    best = emit.node("ArgMax", logits, axis=1, keepdims=0, dtype=np.int64)
    exact = emit.cast(best, np.float32)
    places = find_uncertain(emit, exact, grid)
    most = max(int(MOST_UNCERTAIN * grid.count), 1)
    cells = coordinates(emit, emit.slice(places, [0], [most], [1]))
    corners = read_corners(emit, vectors, exact, cells, grid)
    hard = emit.flat(emit.node("NonZero", corners.hard, dtype=np.int64))
    dense, sparse = emit.branch("dense"), emit.branch("sparse")
    dense.graph.outputs = [dense.cast(_write_dense(dense, logits, resize), grid.label_type)]
    sparse.graph.outputs = [_Sparse(sparse, cells, corners, grid).write(best, hard, (grid.images, *size))]
    is_costly = _is_costly(emit, places, hard, most, grid)
    return emit.node("If", is_costly, dtype=grid.label_type, then_branch=dense.graph, else_branch=sparse.graph)


def _is_costly(emit: Emitter, places: gs.Variable, hard: gs.Variable, most: int, grid: Grid) -> gs.Variable:
    """Return whether the sparse way would take longer than the dense one, or more than `most` cells are uncertain."""
    count = emit.node("Div", emit.node("Size", places), emit.constant(3, np.int64))
    more = emit.node("Mul", emit.node("Size", hard), emit.constant(HARD_CELL_COST - 1, np.int64))
    limit = emit.constant(int(MOST_COST * grid.count), np.int64)
    is_costly = emit.node("Greater", emit.node("Add", count, more), limit, dtype=np.bool_)
    return emit.node("Or", is_costly, emit.node("Greater", count, emit.constant(most, np.int64), dtype=np.bool_))


def _write_dense(emit: Emitter, logits: gs.Variable, resize: gs.Node) -> gs.Variable:
    resized = emit.node("Resize", logits, *resize.inputs[1:], **resize.attrs)
    return emit.node("ArgMax", resized, axis=1, keepdims=0, dtype=np.int64)


class _Sparse:
    """Writes the label map: fills every cell with the class of its first corner, then writes the uncertain ones."""

    def __init__(self, emit: Emitter, cells: Sequence[gs.Variable], corners: Corners, grid: Grid) -> None:
        self._emit = emit
        self._grid = grid
        self._image, self._row, self._column = cells
        self._corners = corners

    def write(self, best: gs.Variable, hard: gs.Variable, shape: tuple[int, int, int]) -> gs.Variable:
        """Return the label map of `shape` N, H, W.

        `best` holds the best classes, int64 N, h, w, and `hard` the numbers of the cells with more than two left.
        """
        emit, size = self._emit, shape[1:]
        labels = emit.flat(self._coarse_labels(best))
        easy = emit.flat(emit.node("NonZero", emit.node("Not", self._corners.hard), dtype=np.int64))
        for numbers, labels_of in ((easy, self._two_class_labels), (hard, self._all_class_labels)):
            labels = emit.node("ScatterElements", labels, self._places(numbers, size), labels_of(numbers), axis=0)
        return emit.node("Reshape", labels, emit.constant(shape, np.int64))

    def _coarse_labels(self, best: gs.Variable) -> gs.Variable:
        emit, grid = self._emit, self._grid
        narrow = emit.cast(best, grid.label_type)
        # Whole lines are copied many times faster than single bytes: columns are spread as lines of the transpose.
        turned = emit.node("Transpose", narrow, perm=[0, 2, 1])
        wide = emit.node("Gather", turned, emit.constant(grid.columns.nearest, np.int64), axis=1)
        upright = emit.node("Transpose", wide, perm=[0, 2, 1])
        return emit.node("Gather", upright, emit.constant(grid.rows.nearest, np.int64), axis=1)

    def _places(self, numbers: gs.Variable, size: tuple[int, int]) -> gs.Variable:
        """Return the indices of all slots of the cells `numbers` in the flat label map of height and width `size`."""
        emit, (height, width) = self._emit, size
        image = emit.node("Mul", self._gathered(numbers, self._image), emit.constant(height * width, np.int64))
        start = emit.node("Reshape", image, emit.constant([-1, 1, 1], np.int64))
        rows = self._table_entries(self._grid.rows.slots[:, :, None] * width, self._row, numbers)
        columns = self._table_entries(self._grid.columns.slots[:, None, :], self._column, numbers)
        places = emit.node("Add", emit.node("Add", rows, start), columns)
        return emit.flat(places)

    def _two_class_labels(self, numbers: gs.Variable) -> gs.Variable:
        """Return the labels of all slots of the cells `numbers`, in each of which two classes are left."""
        emit, corners = self._emit, self._corners
        gap = self._interpolated(corners.gaps, numbers, ())
        second_wins = emit.node("Less", gap, emit.constant(0, np.float32), dtype=np.bool_)
        # onnxruntime 1.32 has no Where for uint16.
        kind = np.dtype(np.uint8) if self._grid.label_type == np.uint8 else np.dtype(np.int32)
        names = [emit.cast(label, kind) for label in (corners.second, corners.first)]
        each = emit.constant([-1, 1, 1], np.int64)
        names = [emit.node("Reshape", self._gathered(numbers, name), each) for name in names]
        labels = emit.flat(emit.node("Where", second_wins, *names, dtype=kind))
        return labels if kind == self._grid.label_type else emit.cast(labels, self._grid.label_type)

    def _all_class_labels(self, numbers: gs.Variable) -> gs.Variable:
        """Return the labels of all slots of the cells `numbers`, all classes interpolated."""
        emit = self._emit
        logits = self._interpolated(self._corners.vectors, numbers, (self._grid.classes,))
        best = emit.node("ArgMax", logits, axis=-1, keepdims=0, dtype=np.int64)
        return emit.flat(emit.cast(best, self._grid.label_type))

    def _interpolated(self, corners: gs.Variable, numbers: gs.Variable, last: tuple[int, ...]) -> gs.Variable:
        """Interpolate 2 x 2 x K values, of shape `last` each, at all slots of the cells `numbers`."""
        emit, (rows, columns) = self._emit, (self._grid.rows.weight, self._grid.columns.weight)
        ones = [1] * len(last)
        across = self._table_entries(columns.reshape(len(columns), 1, -1, *ones), self._column, numbers)
        down = self._table_entries(rows.reshape(len(rows), -1, 1, *ones), self._row, numbers)
        chosen = emit.node("Gather", corners, numbers, axis=2)
        values = emit.node("Reshape", chosen, emit.constant([2, 2, -1, 1, 1, *last], np.int64))
        return self._between(self._between(values, 1, across), 0, down)

    def _between(self, ends: gs.Variable, axis: int, weight: gs.Variable) -> gs.Variable:
        """Interpolate between the two `ends` along `axis`, which has one element after it."""
        emit = self._emit
        start, end = emit.split(ends, axis, 2)
        return emit.node("Add", start, emit.node("Mul", weight, emit.node("Sub", end, start)))

    def _gathered(self, numbers: gs.Variable, values: gs.Variable) -> gs.Variable:
        return self._emit.node("Gather", values, numbers, axis=0)

    def _table_entries(self, table: NDArray[np.generic], cell: gs.Variable, numbers: gs.Variable) -> gs.Variable:
        """Return the entries of `table` for the row or column `cell` of the cells `numbers`."""
        values = self._emit.constant(table, table.dtype)
        return self._emit.node("Gather", values, self._gathered(numbers, cell), axis=0)
