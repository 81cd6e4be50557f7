"""Lowering of adaptive average pooling to operators that every runtime has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.model import ADAPTIVE_POOL
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step
from fastscnn_opt.rewriting.runnable import pooled_size, windows

from ._graph import DEFAULT_DOMAINS, append_node, unique_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


class Lowering(StrEnum):
    """What an adaptive average pooling becomes."""

    MATMUL = "matmul"
    AVGPOOL = "avgpool"
    NATIVE = "native"


@dataclass(frozen=True)
class AdaptiveAvgPool(Pass):
    """Lower adaptive average pooling, which ONNX does not have, to operators that it has.

    1. Matched are ``AdaptiveAvgPool2d`` of any domain with the attribute ``output_size``, and the ATen node that
       PyTorch exports for it. The height and width of the input must be known.
    2. ``lower=matmul`` (default) multiplies by two constant matrices, one along the height and one along the width. A
       row of them averages the window from floor(i n / k) to ceil((i + 1) n / k) of bin i of k over n elements, which
       is the definition of the pooling, so the result is exact for any size. Nodes of the same size share the
       matrices.
    3. ``lower=avgpool`` writes one AveragePool of stride n // k and kernel n - (k - 1) * (n // k). Its windows are the
       true ones only where k divides n; elsewhere it is another function, so this lowering is lossy.
    4. ``lower=native`` writes ``AdaptiveAvgPool2d`` of the default domain, which the vendor compiler atc takes for
       opset 8 to 13 though ONNX does not define it, and drops the custom domain. A node in that form already is left
       alone.
    """

    name: ClassVar[str] = "adaptive-avgpool"
    contract: ClassVar[Contract] = Contract.EXACT

    lower: Lowering = Lowering.MATMUL

    def promise(self) -> Contract:
        """Return LOSSY for ``lower=avgpool``, EXACT otherwise."""
        return Contract.LOSSY if self.lower is Lowering.AVGPOOL else Contract.EXACT

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Lower every adaptive average pooling of the graph.

        Raises
        ------
        PassError
            An input size is unknown, a number of bins is not positive, or AveragePool cannot make so many bins.
        """
        matrices = _Matrices(graph)
        for node in list(graph.nodes):
            bins = pooled_size(node)
            if bins is None:
                if node.op == ADAPTIVE_POOL or node.attrs.get("operator") == "adaptive_avg_pool2d":
                    raise PassError(f"{node.name}: has no constant output_size; export it with a fixed pooling size")
                continue
            if min(bins) < 1:
                raise PassError(
                    f"{node.name}: output_size {list(bins)} is not positive; export it with a fixed pooling size"
                )
            if self.lower is Lowering.NATIVE:
                yield _make_native(node, bins)
                continue
            size = _input_size(node)
            if self.lower is Lowering.AVGPOOL:
                yield _make_avgpool(node, size, bins)
            else:
                yield _make_matmul(graph, node, size, bins, matrices)


def _input_size(node: gs.Node) -> tuple[int, int]:
    """Return the height and width of the node's input."""
    height, width = (node.inputs[0].shape or [None, None])[-2:]
    if not isinstance(height, int) or not isinstance(width, int):
        raise PassError(
            f"{node.name}: the height and width of its input are not known; export the model with a fixed input size, "
            "or use lower=native"
        )
    return height, width


def _make_native(node: gs.Node, bins: tuple[int, int]) -> Step:
    if node.op == ADAPTIVE_POOL and node.domain in DEFAULT_DOMAINS:
        return Skip(node, "is AdaptiveAvgPool2d of the default domain already")
    before = f"{node.domain}.{node.op}" if node.domain else node.op
    node.op, node.domain = ADAPTIVE_POOL, None
    node.inputs = [node.inputs[0]]
    node.attrs = {"output_size": list(bins)}
    return Change(node, f"{before} -> AdaptiveAvgPool2d of the default domain, output_size {list(bins)}")


def _make_avgpool(node: gs.Node, size: tuple[int, int], bins: tuple[int, int]) -> Step:
    if any(bins[axis] > size[axis] for axis in (0, 1)):
        raise PassError(
            f"{node.name}: AveragePool cannot make {_times(bins)} bins of {_times(size)} elements; use lower=matmul"
        )
    strides = [size[axis] // bins[axis] for axis in (0, 1)]
    kernel = [size[axis] - (bins[axis] - 1) * strides[axis] for axis in (0, 1)]
    exact = all(
        [(i * strides[axis], i * strides[axis] + kernel[axis]) for i in range(bins[axis])]
        == windows(size[axis], bins[axis])
        for axis in (0, 1)
    )
    node.op, node.domain = "AveragePool", None
    node.inputs = [node.inputs[0]]
    node.attrs = {"kernel_shape": kernel, "strides": strides}
    note = "the true windows" if exact else f"not the true windows, since {_times(bins)} does not divide {_times(size)}"
    return Change(node, f"AveragePool of kernel {_times(kernel)}, stride {_times(strides)} ({note})")


def _make_matmul(
    graph: gs.Graph, node: gs.Node, size: tuple[int, int], bins: tuple[int, int], matrices: _Matrices
) -> Step:
    """Replace `node` by rows @ input @ columns; a product with the identity is left out."""
    source, result = node.inputs[0], node.outputs[0]
    node.outputs.clear()
    dtype = np.dtype(source.dtype or np.float32)
    products = [
        ("rows", [matrices.rows(size[0], bins[0], dtype), None], bins[0] != size[0]),
        ("columns", [None, matrices.columns(size[1], bins[1], dtype)], bins[1] != size[1]),
    ]
    # The first product costs most. In onnxruntime a product from the left runs about twice as fast as one from the
    # right for the same count (measured on 128 x 32 x 64), so the columns go first only where they save more than half
    # of the multiplications.
    if bins[0] * size[1] * (size[0] + bins[1]) > 2 * bins[1] * size[0] * (size[1] + bins[0]):
        products.reverse()
    needed = [(side, operands) for side, operands, differs in products if differs]
    for index, (side, operands) in enumerate(needed):
        inputs = [source if operand is None else operand for operand in operands]
        last = index == len(needed) - 1
        source = append_node(graph, "MatMul", inputs, f"{node.name}_{side}", output=result if last else None)
    if not needed:
        append_node(graph, "Identity", [source], f"{node.name}_same", output=result)
    return Change(node, f"{_times(size)} -> {_times(bins)} by {len(needed)} MatMul with constants")


class _Matrices:
    """The constant averaging matrices of one graph, made once per size and type."""

    def __init__(self, graph: gs.Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[str, str], gs.Constant] = {}

    def rows(self, length: int, bins: int, dtype: np.dtype[np.generic]) -> gs.Constant:
        """Return the matrix of shape bins, length that averages along the height."""
        return self._constant(f"adaptive_pool_rows_{bins}_of_{length}", _averages(length, bins), dtype)

    def columns(self, length: int, bins: int, dtype: np.dtype[np.generic]) -> gs.Constant:
        """Return the matrix of shape length, bins that averages along the width."""
        return self._constant(f"adaptive_pool_columns_{bins}_of_{length}", _averages(length, bins).T, dtype)

    def _constant(self, name: str, values: NDArray[np.float64], dtype: np.dtype[np.generic]) -> gs.Constant:
        import onnx_graphsurgeon as gs

        key = (name, dtype.name)
        if key not in self._made:
            contiguous = np.ascontiguousarray(values, dtype=dtype)
            self._made[key] = gs.Constant(unique_name(self._graph, name), contiguous)
        return self._made[key]


def _averages(length: int, bins: int) -> NDArray[np.float64]:
    matrix = np.zeros((bins, length))
    for row, (start, end) in zip(matrix, windows(length, bins), strict=True):
        row[start:end] = 1 / (end - start)
    return matrix


def _times(pair: tuple[int, int] | list[int]) -> str:
    return f"{pair[0]}x{pair[1]}"
