"""Average pooling as two matrix products with constants: rows @ input @ columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.adaptive_pooling import windows

from .._graph import append_node, type_name, unique_name

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


def adaptive_averages(length: int, bins: int) -> NDArray[np.float64]:
    """Return the matrix of shape bins, length whose row i averages the window of bin i of an adaptive pooling."""
    matrix = np.zeros((bins, length))
    for row, (start, end) in zip(matrix, windows(length, bins), strict=True):
        row[start:end] = 1 / (end - start)
    return matrix


class Products:
    """Replaces poolings of one graph by products; poolings with the same matrix share it."""

    def __init__(self, graph: gs.Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[str, str, bytes], gs.Constant] = {}

    def replace(self, node: gs.Node, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> str:
        """Replace `node` by products, and return in words what was done.

        `rows` has the shape h, H and `columns` the shape w, W for a pooling of N, C, H, W to N, C, h, w. A product
        with the identity is left out.
        """
        source, result = node.inputs[0], node.outputs[0]
        if isinstance(source.dtype, int):
            raise PassError(f"its input is {type_name(source)}, of which no matrix can be made", where=node.name)
        node.outputs.clear()
        (bins_high, height), (bins_wide, width) = rows.shape, columns.shape
        sides = [side for side, matrix in (("rows", rows), ("columns", columns)) if not _is_identity(matrix)]
        # The first product costs most. In onnxruntime a product from the left runs about twice as fast as one from the
        # right for the same count (measured on 128 x 32 x 64), so the columns go first only where they save more than
        # half of the multiplications.
        if bins_high * width * (height + bins_wide) > 2 * bins_wide * height * (width + bins_high):
            sides.reverse()
        dtype = np.dtype(source.dtype or np.float32)
        for side in sides:
            matrix = self._constant(side, rows if side == "rows" else columns.T, dtype)
            inputs = [matrix, source] if side == "rows" else [source, matrix]
            output = result if side == sides[-1] else None
            source = append_node(self._graph, "MatMul", inputs, f"{node.name}_{side}", output=output)
        if not sides:
            append_node(self._graph, "Identity", [source], f"{node.name}_same", output=result)
        return f"{height}x{width} -> {bins_high}x{bins_wide} by {len(sides)} MatMul with constants"

    def _constant(self, side: str, matrix: NDArray[np.float64], dtype: np.dtype[np.generic]) -> gs.Constant:
        import onnx_graphsurgeon as gs

        values = np.ascontiguousarray(matrix, dtype=dtype)
        key = (f"average_{side}_{min(values.shape)}_of_{max(values.shape)}", dtype.name, values.tobytes())
        if key not in self._made:
            self._made[key] = gs.Constant(unique_name(self._graph, key[0]), values)
        return self._made[key]


def _is_identity(matrix: NDArray[np.float64]) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix)))
