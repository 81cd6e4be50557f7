"""Find adaptive average poolings that an exporter wrote out, and prove that they are.

PyTorch's exporter splits an AdaptiveAvgPool2d whose bins do not divide the size: a GatherND collects every window,
padded to the longest, a Where zeroes the padding, a ladder of Gather and Add sums a window element by element, and a
Div divides by the number of elements. For bins of 12 x 23 elements that makes some 600 nodes. Where all windows have
the same length, a ReduceMean stands for all behind the GatherND.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.model.adaptive_pooling import windows
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Skip
from fastscnn_opt.rewriting.graph.nodes import Readers
from fastscnn_opt.rewriting.verification.runner import GraphRunner

from .._graph import constant_value, what_fixes
from .products import adaptive_averages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_AFFINE = {
    *("Add", "CastLike", "Concat", "Div", "Gather", "Identity", "Mul", "ReduceSum", "Reshape", "Slice", "Squeeze"),
    *("ReduceMean", "Sum", "Transpose", "Unsqueeze", "Where"),
}
"""Operators of a ladder. Each is affine in the pooled tensor when its other inputs are constants."""

_LAST = ("Div", "Mul", "ReduceMean")
"""What a ladder ends with: the division by the number of elements of each window."""

_TOLERANCE = 2.0**-22
"""How far, relative to the largest input, a ladder evaluated in float64 may be from the pooling: a few times what
rounding the reciprocal of a window's size to float32 costs, and far less than one misplaced element does.
"""


@dataclass(frozen=True)
class Ladder:
    """Nodes that compute an adaptive average pooling.

    Attributes
    ----------
    source
        The pooled tensor, N, C, H, W.
    nodes
        In topological order; the output of the last one is the result, N, C, h, w.
    bins
        h and w.
    """

    source: gs.Tensor
    nodes: tuple[gs.Node, ...]
    bins: tuple[int, int]


def find_ladders(graph: gs.Graph) -> Iterator[Ladder | Skip]:
    """Yield every adaptive average pooling that is written out, and a Skip for what only looks like one."""
    outputs, readers = {id(tensor) for tensor in graph.outputs}, Readers(graph)
    for gather in list(graph.nodes):
        if (transpose := _transpose_before(gather)) is None:
            continue
        found = _examine(transpose, gather, outputs, readers, graph.opset)
        yield found if isinstance(found, Ladder) else Skip(gather, found)


def _transpose_before(node: gs.Node) -> gs.Node | None:
    """Return the Transpose of H and W to the front that the GatherND `node` reads; None if there is none."""
    if node.op != "GatherND" or node.domain not in ONNX_DOMAINS or node.attrs.get("batch_dims", 0):
        return None
    before = node.inputs[0].inputs[0] if node.inputs[0].inputs else None
    if before is None or before.op != "Transpose" or list(before.attrs.get("perm", [])) != [2, 3, 0, 1]:
        return None
    return before


def _examine(transpose: gs.Node, gather: gs.Node, outputs: set[int], readers: Readers, opset: int) -> Ladder | str:
    """Return the ladder from `transpose` through `gather` on, or why there is none."""
    indices = constant_value(gather.inputs[1])
    if indices is None:
        return f"its indices are computed in the graph; run {_folding(gather)} first"
    if indices.ndim != 5 or indices.shape[-1] != 2 or not indices.size:
        return f"its indices of shape {list(indices.shape)} name no windows of rows and columns"
    size = (transpose.inputs[0].shape or [None, None])[-2:]
    if not all(isinstance(length, int) and length for length in size):
        return f"the height and width of its input are not known; run {what_fixes(transpose.inputs[0])} first"
    bins = (indices.shape[0], indices.shape[2])
    for length, count, starts in zip(size, bins, (indices[:, 0, 0, 0, 0], indices[0, 0, :, 0, 1]), strict=True):
        wanted = [start for start, _ in windows(length, count)]
        if starts.tolist() != wanted:
            return f"its windows start at {starts.tolist()}, those of adaptive pooling at {wanted}"
    nodes = _follow(gather, outputs, readers)
    if isinstance(nodes, str):
        return nodes
    ladder = Ladder(transpose.inputs[0], (transpose, *nodes), bins)
    return _objection(ladder, opset) or ladder


def _folding(gather: gs.Node) -> str:
    """Return the passes that make the indices of `gather` constant."""
    shape = what_fixes(gather.inputs[1])
    return shape if shape == "simplify" else f"{shape},simplify"


def _follow(gather: gs.Node, outputs: set[int], readers: Readers) -> list[gs.Node] | str:
    """Return the nodes from `gather` on to the division that everything it gathered runs into, or why there is none.

    The nodes are visited in topological order, and `reads` counts the uses of visited tensors by nodes yet to visit. If
    after a node all of these uses are of its own result, everything runs through that node.
    """
    visited: list[gs.Node] = []
    inside: set[int] = set()
    waiting: dict[int, int] = {}
    ready = deque([gather])
    reads = 0
    while ready:
        node = ready.popleft()
        inner = [tensor for tensor in node.inputs if id(tensor) in inside]
        reads -= len(inner)
        visited.append(node)
        result = node.outputs[0]
        if not reads and node.op in _LAST and len(inner) == 1 and len(result.shape or ()) == 4:
            return visited
        if id(result) in outputs:
            return f"{result.name} is an output of the graph, before a division ends the averages"
        inside.add(id(result))
        reads += len(result.outputs)
        for reader in readers.of(result):
            if reader.op not in _AFFINE or reader.domain not in ONNX_DOMAINS:
                return f"{result.name} is read by {reader.name}, a {reader.op}, before a division ends the averages"
            if id(reader) not in waiting:
                waiting[id(reader)] = sum(constant_value(tensor) is None for tensor in reader.inputs)
            waiting[id(reader)] -= 1
            if not waiting[id(reader)]:
                ready.append(reader)
    return "what it gathers does not run into one division"


def _objection(ladder: Ladder, opset: int) -> str:
    """Run the ladder in float64 on random input; return what is wrong, "" if it gives the adaptive averages.

    Both sides are affine functions of the input, and affine functions that agree at a point drawn from a continuous
    distribution are the same, but for a chance of zero. No magnitude is below 1, so one wrong coefficient shows whole.
    """
    *planes, height, width = ladder.source.shape
    shape = (*(count if isinstance(count, int) and count else 2 for count in planes), height, width)
    rng = np.random.default_rng(0)
    image = rng.uniform(1, 2, shape) * rng.choice([-1.0, 1.0], shape)
    rows, columns = adaptive_averages(height, ladder.bins[0]), adaptive_averages(width, ladder.bins[1])
    expected = rows @ image @ columns.T
    actual = _evaluate(ladder, opset, image)
    if actual.shape != expected.shape:
        return f"it gives the shape {list(actual.shape)}, adaptive pooling {list(expected.shape)}"
    deviation = float(np.abs(actual - expected).max()) / float(np.abs(image).max())
    if not deviation <= _TOLERANCE:
        return f"it deviates from adaptive pooling by {deviation:.3g} of the largest input, so it is another function"
    return ""


def _evaluate(ladder: Ladder, opset: int, image: NDArray[np.float64]) -> NDArray[np.float64]:
    import onnx_graphsurgeon as gs

    source = gs.Variable("source", dtype=np.dtype(np.float64), shape=image.shape)
    result = gs.Variable("result", dtype=np.dtype(np.float64))
    tensors = {id(ladder.source): source, id(ladder.nodes[-1].outputs[0]): result}

    def twin(tensor: gs.Tensor) -> gs.Tensor:
        if (value := constant_value(tensor)) is not None:
            wide = value.astype(np.float64) if np.issubdtype(value.dtype, np.floating) else value
            return gs.Constant(f"constant_{id(tensor)}", wide)
        return tensors.setdefault(id(tensor), gs.Variable(f"tensor_{id(tensor)}"))

    nodes = [
        gs.Node(node.op, attrs=node.attrs, inputs=[*map(twin, node.inputs)], outputs=[*map(twin, node.outputs)])
        for node in ladder.nodes
    ]
    graph = gs.Graph(nodes=nodes, inputs=[source], outputs=[result], opset=opset)
    (values,) = GraphRunner(gs.export_onnx(graph))({"source": image}).values()
    return np.asarray(values)
